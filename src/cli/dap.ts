import type { ParsedArguments } from './arguments';
import { cliError, formatAll } from './diagnostics';
import type { CliHost, DapListen } from './host';
import { EXIT } from './host';

/** `pagewalk dap [--port N | --socket PATH]`: the debug adapter, for editors other than VS Code. */
export async function dapCommand(args: ParsedArguments, host: CliHost): Promise<number> {
  const at = listenAt(args.own.get('port'), args.own.get('socket'));
  if (typeof at !== 'string') return host.dap(at);
  host.stderr(formatAll([cliError('badValue', at)]));
  return EXIT.badInput;
}

/** Where to listen, or what is wrong. */
function listenAt(port: string | undefined, socket: string | undefined): DapListen | string {
  if (port !== undefined && socket !== undefined) return '`--port` and `--socket` exclude each other; keep one';
  if (socket !== undefined) return socket === '' ? '`--socket` needs a path' : { kind: 'socket', path: socket };
  if (port === undefined) return { kind: 'stdio' };
  if (!/^\d{1,5}$/.test(port) || Number(port) > 0xffff)
    return `\`--port\`: \`${port}\` is not a port; write 1 to 65535, or 0 for any free one`;
  return { kind: 'port', port: Number(port) };
}
