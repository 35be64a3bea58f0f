/**
 * The debug adapter as VS Code starts it: a separate process that speaks over stdio, or with `--server=PORT` over
 * TCP. `--program=PATH` and `--mmu=METHOD` announce what will be launched, before the client asks for the exception
 * filters.
 */
import type { Listen } from '../dap/index';
import { serve } from '../dap/index';
import { adapterHost, startAdapter } from './dap-host';

interface Arguments {
  readonly at: Listen;
  readonly expected?: Readonly<Record<string, string>>;
}

/** Undefined: invalid arguments. */
function read(args: readonly string[]): Arguments | undefined {
  const [first = ''] = args;
  const port = /^--server=(\d{1,5})$/.exec(first)?.[1];
  if (port !== undefined)
    return args.length === 1 && Number(port) <= 0xffff ? { at: { kind: 'port', port: Number(port) } } : undefined;
  const fields = args.map((each) => /^--(program|mmu)=(.*)$/s.exec(each)?.slice(1));
  const expected: Record<string, string> = {};
  for (const [key, value] of fields.map((each) => each ?? [])) {
    if (key === undefined || value === undefined) return undefined;
    expected[key] = value;
  }
  return { at: { kind: 'stdio' }, ...(args.length > 0 ? { expected } : {}) };
}

const known = read(process.argv.slice(2));
if (known) void serve(adapterHost, known.at, startAdapter(), known.expected).then((code) => (process.exitCode = code));
else {
  process.stderr.write(
    'pagewalk: dap.js takes no arguments, --server=PORT, or --program=PATH and --mmu=METHOD; see also `pagewalk dap --help`\n',
  );
  process.exitCode = 2;
}
