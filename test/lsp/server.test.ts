import * as assert from 'node:assert/strict';
import { PassThrough } from 'node:stream';
import {
  createConnection,
  createMessageConnection,
  StreamMessageReader,
  StreamMessageWriter,
  type DocumentDiagnosticReport,
  type DocumentSymbol,
  type Hover,
  type Location,
  type MessageConnection,
} from 'vscode-languageserver/node';
import { serve } from '../../src/lsp/server';

const URI = 'file:///guest/main.asm';

/** A server over streams, as an editor talks to it. `|` in the source is the cursor; `included` are the workspace's files. */
async function inEditor<T>(
  source: string,
  ask: (client: MessageConnection, at: object) => Promise<T>,
  included: Readonly<Record<string, string>> = {},
): Promise<T> {
  const [toServer, toClient] = [new PassThrough(), new PassThrough()];
  serve(createConnection(new StreamMessageReader(toServer), new StreamMessageWriter(toClient)), {
    pathOf: (uri) => uri.replace('file://', ''),
    uriOf: (path) => `file://${path}`,
    readFile: (path) => {
      const text = included[path];
      return text === undefined ? undefined : new TextEncoder().encode(text);
    },
  });
  const client = createMessageConnection(new StreamMessageReader(toClient), new StreamMessageWriter(toServer));
  client.listen();
  try {
    const before = source.slice(0, Math.max(0, source.indexOf('|'))).split('\n');
    const position = { line: before.length - 1, character: before.at(-1)?.length ?? 0 };
    await client.sendRequest('initialize', {
      processId: null,
      rootUri: null,
      capabilities: {},
      workspaceFolders: null,
    });
    await client.sendNotification('textDocument/didOpen', {
      textDocument: { uri: URI, languageId: 'pagewalk-asm', version: 1, text: source.replace('|', '') },
    });
    return await ask(client, { textDocument: { uri: URI }, position });
  } finally {
    client.dispose();
    toServer.destroy();
    toClient.destroy();
  }
}

const diagnostics = (source: string, included?: Readonly<Record<string, string>>): Promise<string[]> =>
  inEditor(
    source,
    async (client, at) => {
      const report = await client.sendRequest<DocumentDiagnosticReport>('textDocument/diagnostic', at);
      assert.equal(report.kind, 'full');
      return report.items.map(({ range, code, message }) => {
        assert.match(String(code), /^PW\d{3}$/);
        assert.notEqual(message, '');
        return `${range.start.line}:${range.start.character}-${range.end.line}:${range.end.character}`;
      });
    },
    included,
  );

const hover = (source: string): Promise<string | undefined> =>
  inEditor(source, async (client, at) => {
    const answer = await client.sendRequest<Hover | null>('textDocument/hover', at);
    return answer ? (answer.contents as { value: string }).value : undefined;
  });

const definition = (source: string): Promise<string | undefined> =>
  inEditor(source, async (client, at) => {
    const answer = await client.sendRequest<Location | null>('textDocument/definition', at);
    return answer ? `${answer.uri}:${answer.range.start.line}:${answer.range.start.character}` : undefined;
  });

describe('language server', () => {
  it('has nothing to say about a good file', async () =>
    assert.deepEqual(await diagnostics('bits 64\nstart: mov rax, [rbx+8]\n hlt\n'), []));

  it('places an error under what is wrong', async () => {
    const [place, ...rest] = await diagnostics('bits 64\n mov rax, no_such_symbol\n hlt\n');
    assert.deepEqual(rest, []);
    assert.match(place ?? '', /^1:10-1:/);
  });

  it('shows the value of a label of a file with org', async () =>
    assert.match(
      (await hover('bits 16\norg 0x7c00\n nop\nst|art: hlt\n')) ?? '',
      /\*\*start\*\* label in `\.text`\n\n`0x7c01`/,
    ));

  it('shows a distance where the file has no org', async () =>
    assert.match((await hover('bits 64\n nop\n jmp sta|rt\nstart: hlt\n')) ?? '', /`0x3 from the start of the image`/));

  it('shows constants in both bases, negative ones as such', async () => {
    assert.match((await hover('n equ 42\nbits 64\n mov rax, |n\n')) ?? '', /\*\*n\*\* constant\n\n`0x2a = 42`/);
    assert.match((await hover('n equ -1\nbits 64\n mov rax, |n\n')) ?? '', /= 18446744073709551615 = -1`/);
  });

  it('has no hover for a register or a mnemonic', async () => {
    assert.equal(await hover('bits 64\n mov r|ax, 1\n'), undefined);
    assert.equal(await hover('bits 64\n mo|v rax, 1\n'), undefined);
  });

  it('goes to the definition of a label, and of a local label below its owner', async () => {
    assert.equal(await definition('bits 64\nstart:\n jmp sta|rt\n'), `${URI}:1:0`);
    assert.equal(await definition('bits 64\na:\n.x: nop\nb:\n.x: jmp .|x\n'), `${URI}:4:0`);
    assert.equal(await definition('bits 64\na:\n.x: nop\nb:\n.x: jmp a|.x\n'), `${URI}:2:0`);
  });

  it('outlines labels with their local labels, data and constants', async () => {
    const symbols = await inEditor('n equ 1\nbits 64\na:\n.x: nop\nd: db 1\n', (client, at) =>
      client.sendRequest<DocumentSymbol[]>('textDocument/documentSymbol', at),
    );
    const show = ({ name, children = [] }: DocumentSymbol): unknown =>
      children.length > 0 ? { [name]: children.map(show) } : name;
    assert.deepEqual(symbols.map(show), ['n', { a: ['.x'] }, 'd']);
  });
});
