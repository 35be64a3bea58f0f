/**
 * Files where the server cannot read any itself (a browser's worker): it requests them from its client. Requested
 * files count as missing until they arrive; when all pending requests are answered, the server is notified and
 * assembles again.
 */
import { insideOf } from '../asm/index';
import { fileBeside } from '../asm/included';
import type { Host } from './host';

/** The client's answers, by `vscode.workspace.fs`. */
export interface FileRequests {
  /** Bytes of a file of the workspace; null where there is none or it may not be read. */
  readonly 'pagewalk/readFile': { readonly params: { readonly uri: string }; readonly reply: Uint8Array | null };
  /** The assembly sources of the workspace, a bounded number of them. */
  readonly 'pagewalk/findSources': { readonly params: Record<string, never>; readonly reply: readonly string[] };
}
export type Ask = <M extends keyof FileRequests>(method: M, params: FileRequests[M]['params']) => Promise<unknown>;

/** More files than this are not asked for; a guest includes far fewer. */
const MAX_FILES = 2000;

/** Paths are URIs here: what a name means is settled by their text alone. */
export class ClientFiles implements Pick<Host, 'pathOf' | 'uriOf' | 'resolve' | 'readFile' | 'sources'> {
  private readonly known = new Map<string, Uint8Array | undefined>();
  private readonly asked = new Set<string>();
  private found: readonly string[] | undefined;
  private underWay = 0;
  private notify: () => void = () => undefined;

  constructor(private readonly ask: Ask) {}

  readonly pathOf = (uri: string): string => uri;
  readonly uriOf = (path: string): string => path;

  /** A name as it is written in a source, seen from the URI of the file that names it; a URI stands for itself. */
  readonly resolve = (name: string, from: string): string => {
    if (/^[a-z][a-z0-9+.-]*:\/\//i.test(name)) return name;
    const path = name.split(/[\\/]/).map(encodeURIComponent).join('/');
    const root = /^[a-z][a-z0-9+.-]*:\/\/[^/]*/i.exec(from)?.[0] ?? '';
    return path.startsWith('/') ? root + path : fileBeside(path, from);
  };

  readonly readFile = (name: string, from: string, folders: readonly string[]): Uint8Array | undefined => {
    const uri = this.resolve(name, from);
    const limits = folders.length > 0 ? folders : [from.replace(/\/[^/]*$/, '')];
    if (!limits.some((folder) => uri.startsWith(insideOf(folder).slice(0, -1)))) return undefined;
    if (!this.asked.has(uri) && this.asked.size < MAX_FILES) {
      this.asked.add(uri);
      void this.waitFor('pagewalk/readFile', { uri }, (reply) => {
        this.known.set(uri, reply instanceof Uint8Array ? reply : undefined);
      });
    }
    return this.known.get(uri);
  };

  readonly sources = (): readonly string[] => {
    if (this.found === undefined) {
      this.found = [];
      void this.waitFor('pagewalk/findSources', {}, (reply) => {
        this.found = Array.isArray(reply) ? reply.filter((each) => typeof each === 'string').slice(0, MAX_FILES) : [];
      });
    }
    return this.found;
  };

  readonly onFilesKnown = (notify: () => void): void => {
    this.notify = notify;
  };

  readonly filesChanged = (uris: readonly string[]): void => {
    // cached results stay valid until the answer arrives
    for (const uri of uris) this.asked.delete(uri);
    this.found = undefined;
  };

  private async waitFor<M extends keyof FileRequests>(
    method: M,
    params: FileRequests[M]['params'],
    take: (reply: unknown) => void,
  ): Promise<void> {
    this.underWay++;
    // a client that cannot answer does not have the file
    take(await this.ask(method, params).catch(() => null));
    if (--this.underWay === 0) this.notify();
  }
}
