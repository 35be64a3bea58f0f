/** The debug adapter as VS Code starts it: a process of its own that speaks over stdio, or with `--server=PORT` over TCP. */
import type { Listen } from '../dap/index';
import { serve } from '../dap/index';
import { adapterHost, startAdapter } from './dap-host';

/** Undefined: the arguments are not these. */
function listenFrom(args: readonly string[]): Listen | undefined {
  const [first, ...others] = args;
  if (first === undefined) return { kind: 'stdio' };
  const port = /^--server=(\d{1,5})$/.exec(first)?.[1];
  return port === undefined || others.length > 0 || Number(port) > 0xffff
    ? undefined
    : { kind: 'port', port: Number(port) };
}

const at = listenFrom(process.argv.slice(2));
if (at) void serve(adapterHost, at, startAdapter()).then((code) => (process.exitCode = code));
else {
  process.stderr.write('pagewalk: dap.js takes no arguments, or --server=PORT; see also `pagewalk dap --help`\n');
  process.exitCode = 2;
}
