import { InvariantError } from '../base/assert';
import { parseArguments } from './arguments';
import { asmCommand } from './asm';
import { compareCommand } from './compare';
import { COMMANDS, findCommand } from './commands';
import { dapCommand } from './dap';
import { cliError, formatAll } from './diagnostics';
import { commandHelp, generalHelp } from './help';
import { pagemapCommand } from './pagemap';
import { runCommand } from './run';
import { tablesCommand } from './tables';
import { traceCommand } from './trace';
import { translateCommand } from './translate';
import type { CliHost } from './host';
import { EXIT } from './host';
import { didYouMean } from '../base/nearest';

/** Runs one command line (without the program's own name) and returns the exit code. */
export async function runCli(argv: readonly string[], host: CliHost): Promise<number> {
  const [name, ...rest] = argv;
  if (name === undefined || name === 'help' || name === '--help' || name === '-h') {
    const wanted = name === undefined ? undefined : rest[0];
    const command = wanted === undefined ? undefined : findCommand(wanted);
    if (name === undefined) host.stderr(generalHelp());
    else host.stdout(command ? commandHelp(command) : generalHelp());
    return name === undefined ? EXIT.badInput : EXIT.ok;
  }
  if (name === '--version' || name === '-v') {
    host.stdout(`pagewalk ${host.version}\n`);
    return EXIT.ok;
  }
  const command = findCommand(name);
  if (command === undefined) {
    const names = COMMANDS.map((c) => c.name);
    host.stderr(
      formatAll([
        cliError(
          'unknownCommand',
          `there is no command \`${name}\`${didYouMean(name, names) || `; there are ${names.join(', ')}`}`,
        ),
      ]),
    );
    return EXIT.badInput;
  }
  if (rest.includes('--help') || rest.includes('-h')) {
    host.stdout(commandHelp(command));
    return EXIT.ok;
  }
  if (rest.includes('--version')) {
    host.stdout(`pagewalk ${host.version}\n`);
    return EXIT.ok;
  }
  const args = parseArguments(command, rest);
  if (!args.ok) {
    host.stderr(formatAll(args.error));
    return EXIT.badInput;
  }
  try {
    switch (command.name) {
      case 'asm':
        return asmCommand(args.value, host);
      case 'run':
        return runCommand(args.value, host);
      case 'translate':
        return translateCommand(args.value, host);
      case 'tables':
        return tablesCommand(args.value, host);
      case 'compare':
        return compareCommand(args.value, host);
      case 'dap':
        return await dapCommand(args.value, host);
      case 'pagemap':
        return pagemapCommand(args.value, host);
      case 'trace':
        return traceCommand(args.value, host);
      default:
        host.stderr(formatAll([cliError('notBuiltYet', `\`${command.name}\` is not supported yet`)]));
        return EXIT.badInput;
    }
  } catch (e) {
    host.stderr(
      `pagewalk: internal error: ${e instanceof InvariantError ? e.message : e instanceof Error ? (e.stack ?? e.message) : String(e)}\n`,
    );
    return EXIT.internal;
  }
}
