import type { CliHost } from '../../src/cli/host';

/** A command-line host over files in memory that keeps what was printed. */
export interface MemoryHost extends CliHost {
  readonly out: string;
  readonly err: string;
  readonly written: ReadonlyMap<string, Uint8Array>;
}

export function memoryHost(files: Readonly<Record<string, string | Uint8Array>>): MemoryHost {
  const written = new Map<string, Uint8Array>();
  const bytesOf = (content: string | Uint8Array): Uint8Array =>
    typeof content === 'string' ? new TextEncoder().encode(content) : content;
  const text = (content: string | Uint8Array): string =>
    typeof content === 'string' ? content : Buffer.from(content).toString('latin1');
  const host = {
    out: '',
    err: '',
    written,
    version: '0.0.0',
    readFile(path: string) {
      const content = files[path];
      return content === undefined
        ? { ok: false as const, why: 'no such file' }
        : { ok: true as const, bytes: bytesOf(content) };
    },
    openOutput(path: string) {
      const parts: Uint8Array[] = [];
      const write = (content: Uint8Array | string): undefined => {
        parts.push(bytesOf(content));
        written.set(path, Buffer.concat(parts));
      };
      return { ok: true as const, file: { identity: path, write, close: () => undefined } };
    },
    resolve: (name: string) => name,
    stdout(content: string | Uint8Array) {
      host.out += text(content);
    },
    stderr(content: string) {
      host.err += content;
    },
    dap: () => Promise.resolve(0),
  };
  return host;
}
