import type { Diagnostic } from '../base/diagnostic';
import type { ParsedArguments } from './arguments';
import { cliError, formatAll } from './diagnostics';
import type { CliHost, DapListen, Secret } from './host';
import { EXIT } from './host';

/** `pagewalk dap [--port N | --socket PATH] [--secret FILE]`: the debug adapter, for editors other than VS Code. */
export async function dapCommand(args: ParsedArguments, host: CliHost): Promise<number> {
  const at = listenAt(args.own.get('port'), args.own.get('socket'));
  if (typeof at === 'string') return refuse(host, cliError('badValue', at));
  const path = args.own.get('secret');
  const secret = path === undefined ? undefined : readSecret(path, host);
  return secret && 'severity' in secret ? refuse(host, secret) : host.dap(at, secret);
}

function refuse(host: CliHost, error: Diagnostic): number {
  host.stderr(formatAll([error]));
  return EXIT.badInput;
}

/** Characters of a secret: fewer can be guessed, more are a wrong file. */
const [LEAST, MOST] = [8, 1024];

/** The first line of a file, which others need not be able to read: an argument everybody on the machine can. */
function readSecret(path: string, host: CliHost): Secret | Diagnostic {
  const read = host.readFile(path);
  if (!read.ok) return cliError('unreadable', `the secret cannot be read: ${read.why}`, path);
  const [text = ''] = new TextDecoder().decode(read.bytes.subarray(0, MOST * 4)).split(/\r?\n/);
  if (text.length >= LEAST && text.length <= MOST) return { path, text };
  return cliError(
    'badValue',
    `the first line is the secret, ${LEAST} to ${MOST} characters; it has ${text.length}`,
    path,
  );
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
