/** What no debug client sends: it is said to be wrong, as that, and everything goes on, or ends at once where the stream is not of the protocol. */
import assert from 'node:assert/strict';
import type { DebugProtocol as Dap } from '@vscode/debugprotocol';
import type { ChildProcessWithoutNullStreams } from 'node:child_process';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { checkArguments } from '../../src/dap/arguments';
import { MessageReader } from '../../src/dap/framing';
import { bundle } from '../support/bundle';
import { Connection } from './connection';
import { HELLO } from './guests';

/** What a reader makes of bytes, cut into pieces of `size`. */
function read(bytes: string | Buffer, size = bytes.length): { messages: unknown[]; bad: number; refused: string } {
  const seen = { messages: [] as unknown[], bad: 0, refused: '' };
  const reader = new MessageReader({
    message: (value) => seen.messages.push(value),
    notJson: () => seen.bad++,
    refused: (why) => (seen.refused = why),
  });
  const all = Buffer.from(bytes as string);
  for (let at = 0; at < all.length; at += Math.max(1, size)) reader.push(all.subarray(at, at + Math.max(1, size)));
  return seen;
}
const frame = (text: string): string => `Content-Length: ${Buffer.byteLength(text)}\r\n\r\n${text}`;

describe('hostile: the stream', () => {
  it('reads messages however they are cut', () => {
    const stream = frame('{"a":"ü"}') + `Content-Type: x\r\ncontent-length: 2\r\n\r\n[]` + frame('"\\ud800"');
    for (const size of [1, 2, 7, 1000])
      assert.deepEqual(read(stream, size), { messages: [{ a: 'ü' }, [], '\ud800'], bad: 0, refused: '' });
  });
  it('goes on after what is not JSON', () => {
    assert.deepEqual(read(frame('{') + frame('') + frame('nul') + frame('1')), { messages: [1], bad: 3, refused: '' });
  });
  it('refuses a web page, and every other header', () => {
    const body = frame('{"seq":1,"type":"request","command":"launch"}');
    for (const [stream, why] of [
      [
        `POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 45\r\n\r\n${body}`,
        /"POST \/ HTTP\/1.1" is not a header/,
      ],
      [`GET / HTTP/1.1\r\nOrigin: http://a\r\n\r\n`, /is not a header/],
      [`Content-Length: 5\r\nOrigin: null\r\n\r\nabcde`, /"Origin: null" is not a header/],
      [`Content-Type: text/plain\r\n\r\n${body}`, /without Content-Length/],
      [`Content-Length: 1\r\nContent-Length: 2\r\n\r\nab`, /one Content-Length/],
      [`Content-Length: -1\r\n\r\n`, /not a number of bytes/],
      [`Content-Length: 1e3\r\n\r\n`, /not a number of bytes/],
      [`Content-Length: 9999999999\r\n\r\n`, /too long/],
      [`Content-Length: 99999999999999999999\r\n\r\n`, /not a number of bytes/],
      ['{"seq":1}', /is not a header/],
      [`\0\0\0\0`, /is not a header/],
      [`Content-Type: ${'x'.repeat(5000)}`, /does not end within/],
      ['\r\n\r\n', /is not a header/],
    ] as const)
      for (const size of [1, 10_000]) {
        const seen = read(stream, size);
        assert.deepEqual(seen.messages, [], stream.slice(0, 40));
        // byte by byte it is known sooner, and less of it is quoted
        assert.match(seen.refused, size === 1 ? /./ : why, stream.slice(0, 40));
      }
  });
});

describe('hostile: arguments', () => {
  const check = (command: string, args: unknown, why: RegExp): void =>
    assert.throws(() => checkArguments(command, args), why);

  it('are of the types that the protocol has', () => {
    for (const wrong of [[], 'x', 5, true]) check('setBreakpoints', wrong, /PW516: .*must be an object/);
    check('setBreakpoints', undefined, /`source` must be an object; it is missing/);
    check('setBreakpoints', { source: null }, /`source` must be an object; found null/);
    check('setBreakpoints', { source: {}, breakpoints: {} }, /`breakpoints` must be an array; found an object/);
    check(
      'setBreakpoints',
      { source: {}, breakpoints: [{ line: '1' }] },
      /`breakpoints\[0\].line` must be a whole number; found "1"/,
    );
    check('setBreakpoints', { source: {}, breakpoints: [{ line: 1.5 }] }, /whole number; found 1.5/);
    check('setBreakpoints', { source: { path: ['a'] } }, /`source.path` must be a string; found an array/);
    check('evaluate', { expression: 5 }, /`expression` must be a string; found 5/);
    check('evaluate', { expression: '1', frameId: 1e300 }, /`frameId` must be a whole number/);
    check('readMemory', { memoryReference: '0', count: '4' }, /`count`/);
    check('variables', {}, /`variablesReference`/);
    check('initialize', { linesStartAt1: 'no' }, /`linesStartAt1` must be true or false/);
    check('pagewalk/translate', { expression: {}, space: 'gva' }, /`expression`/);
    check('scopes', { frameId: null }, /`frameId`/);
  });
  it('are lists that end', () => {
    const breakpoints = Array.from({ length: 100_000 }, () => ({ instructionReference: '0x0' }));
    check('setInstructionBreakpoints', { breakpoints }, /PW515: .*100000 entries; the maximum is 20000/);
  });
  it('may leave out what is optional, and hold what we do not know', () => {
    checkArguments('threads', undefined);
    checkArguments('continue', null);
    checkArguments('evaluate', { expression: '1', frameId: null, __proto__: 5, more: [1] });
    checkArguments('constructor', { a: 1 });
  });
});

describe('hostile: the process', function () {
  let folder = '';
  let child: ChildProcessWithoutNullStreams | undefined;
  let dap = '';
  before(async () => (dap = await bundle('dap')));
  before(() => (folder = mkdtempSync(join(tmpdir(), 'pagewalk-hostile-'))));
  afterEach(() => child?.kill('SIGKILL'));
  after(() => rmSync(folder, { recursive: true }));

  function start(...args: string[]): ChildProcessWithoutNullStreams {
    child = spawn(process.execPath, [dap, ...args]);
    return child;
  }
  const spin = (): string => {
    const file = join(folder, 'spin.asm');
    writeFileSync(file, 'bits 64\nstart: jmp start\n');
    return file;
  };

  it('answers what is wrong, tells what it cannot answer, and goes on', async () => {
    const adapter = start();
    adapter.stderr.resume();
    const client = new Connection(adapter.stdin, adapter.stdout);
    const raw = (text: string): void => void adapter.stdin.write(frame(text));
    assert.match(await client.refused('configurationDone'), /^PW510: /);
    assert.match(await client.refused('continue', { threadId: 1 }), /^PW510: /);
    assert.match(await client.refused('__proto__'), /^PW513: /);
    assert.match(await client.refused('evaluate', { expression: null }), /^PW516: /);
    for (const text of [
      '{',
      '5',
      'null',
      '[]',
      '{"type":"request"}',
      '{"seq":"1","type":"request","command":"threads"}',
    ])
      raw(text);
    for (let i = 0; i < 6; i++) {
      const { output } = await client.event<Dap.OutputEvent>('output');
      assert.match(output, /^PW518: /);
    }
    raw('['.repeat(200_000) + ']'.repeat(200_000));
    const hello = join(folder, 'hello.asm');
    writeFileSync(hello, HELLO);
    await client.launch({ program: hello, stopOnEntry: true });
    await client.toStop('configurationDone');
    assert.match(await client.refused('configurationDone'), /^PW519: /);
    assert.match(await client.refused('evaluate', { expression: '('.repeat(50_000) }), /^PW\d+: /);
    await client.ask('terminate');
    await client.ask('disconnect');
    assert.deepEqual(await once(adapter, 'exit'), [0, null]);
  });

  it('fails at once where the stream is not of the protocol', async () => {
    const adapter = start();
    let said = '';
    adapter.stderr.on('data', (data: Buffer) => (said += data.toString()));
    adapter.stdin.write('GET / HTTP/1.1\r\n');
    assert.deepEqual(await once(adapter, 'close'), [2, null]);
    assert.match(said, /PW518: not a debug client: "GET \/ HTTP\/1.1"/);
  });

  it('turns a web page away at its port, and serves others while one is busy', async () => {
    const adapter = start('--server=0');
    adapter.stderr.resume();
    const [line] = (await once(adapter.stdout, 'data')) as [Buffer];
    const port = Number(/:(\d+)\s*$/.exec(line.toString())?.[1]);
    const dial = async (): Promise<Socket> => {
      const socket = connect(port, '127.0.0.1');
      await once(socket, 'connect');
      return socket;
    };
    const page = await dial();
    let answered = '';
    page.on('data', (data: Buffer) => (answered += data.toString()));
    page.on('error', () => undefined);
    page.write(
      `POST / HTTP/1.1\r\nContent-Length: 60\r\n\r\n${frame('{"seq":1,"type":"request","command":"initialize"}')}`,
    );
    await once(page, 'close');
    assert.equal(answered, '');

    const [first, second] = [await dial(), await dial()];
    const busy = new Connection(first, first);
    await busy.launch({ program: spin() });
    await busy.ask('configurationDone');
    const other = new Connection(second, second);
    await other.launch({ program: spin(), stopOnEntry: true });
    await other.toStop('configurationDone');
    await other.ask('disconnect');
    // the session ends and its connection with it
    if (!second.closed) await once(second, 'close');
    await busy.ask('disconnect');
    if (!first.closed) await once(first, 'close');
  });
});
