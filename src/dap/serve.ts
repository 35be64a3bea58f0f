import { createServer } from 'node:net';
import { Adapter } from './adapter';
import type { AdapterHost } from './host';

/**
 * Serves one client over the process's standard streams; or, with `--server=PORT` among the arguments, any number of them over TCP
 * on this machine, each with an adapter of its own.
 */
export function serve(host: AdapterHost, args: readonly string[]): void {
  const port = args.map((each) => /^--server=(\d{1,5})$/.exec(each)?.[1]).find((each) => each !== undefined);
  if (port === undefined) {
    const adapter = new Adapter(host);
    process.on('SIGTERM', () => adapter.shutdown());
    adapter.start(process.stdin, process.stdout);
    return;
  }
  const server = createServer((socket) => {
    const adapter = new Adapter(host);
    adapter.setRunAsServer(true);
    adapter.start(socket, socket);
  });
  server.on('error', (error) => {
    process.stderr.write(`pagewalk: the adapter cannot listen on port ${port}: ${error.message}\n`);
    process.exitCode = 2;
  });
  server.listen(Number(port), '127.0.0.1', () =>
    process.stdout.write(`pagewalk: the adapter listens on port ${port}\n`),
  );
}
