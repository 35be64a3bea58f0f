import type { ChildProcessWithoutNullStreams } from 'node:child_process';
import type { Server } from 'node:net';
import { createServer } from 'node:net';
import { Adapter } from './adapter';
import type { AdapterHost } from './host';
import type { LaunchFields } from './launch';

/** Where clients are: one at this process's standard streams, or any number at a TCP port of this machine (0: any free one) or at a Unix socket. */
export type Listen =
  | { readonly kind: 'stdio' }
  | { readonly kind: 'port'; readonly port: number }
  | { readonly kind: 'socket'; readonly path: string };

const LOOPBACK = '127.0.0.1';

/** Starts this program again as an adapter on its standard streams. */
export type StartClient = () => ChildProcessWithoutNullStreams;

/** Serves until a signal ends it; each client has an adapter of its own. Resolves with an exit code where it cannot listen. `expected`: what the client at the standard streams will launch. */
export function serve(
  host: AdapterHost,
  at: Listen,
  startClient: StartClient,
  expected?: LaunchFields,
): Promise<number> {
  return at.kind === 'stdio' ? serveStreams(host, expected) : serveSockets(at, startClient);
}

/** The adapter ends the process with its session. */
function serveStreams(host: AdapterHost, expected?: LaunchFields): Promise<number> {
  const adapter = new Adapter(host, expected);
  adapter.start(process.stdin, process.stdout);
  return new Promise(() => undefined);
}

/** Clients at a time; each is a process. */
const MOST_CLIENTS = 32;

/** Each client is served by a process of its own, so that no client's work holds up another's and each ends by itself. */
function serveSockets(at: Exclude<Listen, { kind: 'stdio' }>, startClient: StartClient): Promise<number> {
  let clients = 0;
  const server = createServer((socket) => {
    if (clients >= MOST_CLIENTS) {
      process.stderr.write(`pagewalk: ${MOST_CLIENTS} debug clients are connected; another was turned away\n`);
      socket.destroy();
      return;
    }
    clients++;
    const child = startClient();
    socket.pipe(child.stdin);
    child.stdout.pipe(socket);
    child.stderr.pipe(process.stderr, { end: false });
    // the peer may disappear at any moment; then we just end
    for (const each of [socket, child.stdin, child.stdout]) each.on('error', () => socket.destroy());
    child.on('error', (error) => {
      process.stderr.write(`pagewalk: cannot start a process for a debug client: ${error.message}\n`);
      socket.destroy();
    });
    child.on('close', () => {
      clients--;
      socket.end();
    });
    socket.on('close', () => child.stdin.destroy());
  });
  endWithSignals(server);
  return new Promise((done) => {
    server.on('error', (error) => {
      process.stderr.write(`pagewalk: the adapter cannot listen on ${nameOf(at)}: ${error.message}\n`);
      done(2);
    });
    const listening = (): void => {
      const bound = server.address();
      const place = typeof bound === 'object' && bound ? `${bound.address}:${bound.port}` : nameOf(at);
      process.stdout.write(`pagewalk: the adapter listens on ${place}\n`);
    };
    if (at.kind === 'port') server.listen(at.port, LOOPBACK, listening);
    else {
      // for this user alone, from its first moment on
      const before = process.umask(0o177);
      server.listen(at.path, listening);
      process.umask(before);
    }
  });
}

const nameOf = (at: Exclude<Listen, { kind: 'stdio' }>): string =>
  at.kind === 'port' ? `${LOOPBACK}:${at.port}` : at.path;

/** Closing takes the socket's file away, which a signal alone would leave. */
function endWithSignals(server: Server): void {
  for (const [signal, code] of [
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const)
    process.once(signal, () => {
      server.close();
      process.exit(code);
    });
}
