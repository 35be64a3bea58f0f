/** A language server over streams, as an editor talks to it. */
import { posix } from 'node:path';
import { PassThrough } from 'node:stream';
import {
  createConnection,
  createMessageConnection,
  StreamMessageReader,
  StreamMessageWriter,
  type MessageConnection,
  type Position,
  type TextEdit,
} from 'vscode-languageserver/node';
import { serve, type Host } from '../../src/lsp/server';
import { languageHost } from '../../src/main/language-host';

export const URI = 'file:///guest/main.asm';

export interface Editor {
  readonly client: MessageConnection;
  /** The document and the cursor. */
  readonly at: { readonly textDocument: { readonly uri: string }; readonly position: Position };
  ask<T>(method: string, more?: object): Promise<T>;
}

const host = (files: Readonly<Record<string, string>>): Host => ({
  pathOf: (uri) => uri.replace('file://', ''),
  uriOf: (path) => `file://${path}`,
  resolve: (path, from) => posix.resolve(posix.dirname(from), path),
  readFile: (path, from) => {
    const text = files[posix.relative('/guest', posix.resolve(posix.dirname(from), path))];
    return text === undefined ? undefined : new TextEncoder().encode(text);
  },
  sources: () => Object.keys(files).map((name) => `/guest/${name}`),
  options: [
    { key: 'memory', doc: 'Guest RAM.' },
    { key: 'start', doc: 'How the guest starts.', values: { boot: 'Boot sector', flat64: 'Long mode' } },
  ],
  hostWords: languageHost.hostWords,
  assemble: languageHost.assemble,
  includePath: languageHost.includePath,
});

/** Opens `source` as main.asm, or as `name`; `|` in it is the cursor, `files` lie beside it by path. */
export async function inEditor<T>(
  source: string,
  run: (editor: Editor) => Promise<T>,
  files: Readonly<Record<string, string>> = {},
  name = 'main.asm',
  settings?: object,
): Promise<T> {
  const [toServer, toClient] = [new PassThrough(), new PassThrough()];
  serve(createConnection(new StreamMessageReader(toServer), new StreamMessageWriter(toClient)), host(files));
  const client = createMessageConnection(new StreamMessageReader(toClient), new StreamMessageWriter(toServer));
  client.listen();
  const uri = URI.replace('main.asm', name);
  const cursor = source.indexOf('|');
  const before = source.slice(0, Math.max(0, cursor)).split('\n');
  const position = { line: before.length - 1, character: before.at(-1)?.length ?? 0 };
  const at = { textDocument: { uri }, position };
  try {
    await client.sendRequest('initialize', {
      processId: null,
      rootUri: null,
      capabilities: {},
      workspaceFolders: null,
    });
    await client.sendNotification('textDocument/didOpen', {
      textDocument: {
        uri,
        languageId: 'pagewalk-asm',
        version: 1,
        text: cursor < 0 ? source : source.replace('|', ''),
      },
    });
    if (settings)
      await client.sendNotification('workspace/didChangeConfiguration', { settings: { pagewalk: settings } });
    return await run({
      client,
      at,
      ask: (method, more = {}) => client.sendRequest(`textDocument/${method}`, { ...at, ...more }),
    });
  } finally {
    client.dispose();
    toServer.destroy();
    toClient.destroy();
  }
}

/** The text that edits make of a source. */
export function edited(source: string, edits: readonly TextEdit[]): string {
  const lines = source.split('\n');
  const offset = ({ line, character }: Position): number =>
    lines.slice(0, line).reduce((sum, text) => sum + text.length + 1, 0) + character;
  return [...edits]
    .sort((a, b) => offset(b.range.start) - offset(a.range.start))
    .reduce(
      (text, { range, newText }) => text.slice(0, offset(range.start)) + newText + text.slice(offset(range.end)),
      source,
    );
}
