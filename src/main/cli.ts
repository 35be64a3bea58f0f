process.stderr.write('pagewalk: error PW900: unknown command\n');
process.exitCode = 2;
