import type { Server } from 'node:net';
import { createServer } from 'node:net';
import { Adapter } from './adapter';
import type { AdapterHost } from './host';

/** Where clients are: one at this process's standard streams, or any number at a TCP port of this machine (0: any free one) or at a Unix socket. */
export type Listen =
  | { readonly kind: 'stdio' }
  | { readonly kind: 'port'; readonly port: number }
  | { readonly kind: 'socket'; readonly path: string };

const LOOPBACK = '127.0.0.1';

/** Serves until a signal ends it; each client has an adapter of its own. Resolves with an exit code where it cannot listen. */
export function serve(host: AdapterHost, at: Listen): Promise<number> {
  return at.kind === 'stdio' ? serveStreams(host) : serveSockets(host, at);
}

/** The adapter ends the process with its session. */
function serveStreams(host: AdapterHost): Promise<number> {
  const adapter = new Adapter(host);
  process.on('SIGTERM', () => adapter.shutdown());
  adapter.start(process.stdin, process.stdout);
  return new Promise(() => undefined);
}

function serveSockets(host: AdapterHost, at: Exclude<Listen, { kind: 'stdio' }>): Promise<number> {
  const server = createServer((socket) => {
    const adapter = new Adapter(host);
    adapter.setRunAsServer(true);
    adapter.start(socket, socket);
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
    else server.listen(at.path, listening);
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
