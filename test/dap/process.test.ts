/** The adapter as VS Code starts it: a process of its own, over its standard streams or over TCP. */
import * as assert from 'node:assert/strict';
import type { DebugProtocol as Dap } from '@vscode/debugprotocol';
import type { ChildProcessWithoutNullStreams } from 'node:child_process';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import type { Socket } from 'node:net';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { bundle } from '../support/bundle';
import { Connection } from './connection';
import { needs } from '../support/needs';
import { HELLO } from './guests';

describe('adapter process', () => {
  let folder = '';
  let child: ChildProcessWithoutNullStreams | undefined;
  let [dap, cli] = ['', ''];
  before(async () => ([dap, cli] = await Promise.all([bundle('dap'), bundle('cli')])));
  before(() => (folder = mkdtempSync(join(tmpdir(), 'pagewalk-dap-'))));
  afterEach(() => child?.kill('SIGKILL'));
  after(() => rmSync(folder, { recursive: true }));

  function guest(name: string, source: string): string {
    const file = join(folder, name);
    writeFileSync(file, source);
    return file;
  }
  const run = (program: string, args: readonly string[]): ChildProcessWithoutNullStreams => {
    child = spawn(process.execPath, [program, ...args]);
    child.stderr.resume();
    return child;
  };
  const start = (...args: string[]): ChildProcessWithoutNullStreams => run(dap, args);
  /** `pagewalk dap`. */
  const command = (...args: string[]): ChildProcessWithoutNullStreams => run(cli, ['dap', ...args]);
  /** Where it says that it listens. */
  async function place(adapter: ChildProcessWithoutNullStreams): Promise<string> {
    const [said] = (await once(adapter.stdout, 'data')) as [Buffer];
    return /^pagewalk: the adapter listens on (.+)\n$/.exec(said.toString())?.[1] ?? said.toString();
  }
  /** Runs a guest to its end over a connection. */
  async function runsGuest(socket: Socket): Promise<void> {
    await once(socket, 'connect');
    const client = new Connection(socket, socket);
    await client.launch({ program: guest('hello.asm', HELLO) });
    await client.ask('configurationDone');
    assert.equal((await client.event<Dap.ExitedEvent>('exited')).exitCode, 0);
    socket.end();
  }

  it('runs a guest from disk, writes its outputs, and ends with the session', async () => {
    const adapter = start();
    const exited = once(adapter, 'exit');
    const client = new Connection(adapter.stdin, adapter.stdout);
    const serial = join(folder, 'serial.txt');
    await client.launch({ program: guest('hello.asm', HELLO), serial });
    await client.ask('configurationDone');
    assert.equal((await client.event<Dap.ExitedEvent>('exited')).exitCode, 0);
    await client.event('terminated');
    assert.equal(readFileSync(serial, 'utf8'), 'Hey\n');
    await client.ask('disconnect');
    assert.deepEqual(await exited, [0, null]);
  });

  it('ends when its client goes away, whatever the guest does', async () => {
    const adapter = start();
    const exited = once(adapter, 'exit');
    const client = new Connection(adapter.stdin, adapter.stdout);
    await client.launch({ program: guest('spin.asm', 'bits 64\nstart: jmp start\n') });
    await client.ask('configurationDone');
    adapter.stdin.end();
    await exited;
  });

  it('reads included files beside the guest and below, and no others', async () => {
    const adapter = start();
    const client = new Connection(adapter.stdin, adapter.stdout);
    await client.ask('initialize', { adapterID: 'pagewalk', pathFormat: 'path' });
    guest('part.inc', 'hlt\n');
    await client.ask('launch', { program: guest('whole.asm', 'bits 64\n%include "part.inc"\n') });
    const outside = guest('outside.asm', 'bits 64\n%include "../../etc/hostname"\nhlt\n');
    assert.match(await client.refused('launch', { program: outside }), /outside\.asm:2:\d+: error PW112/);
  });

  it('serves several clients over TCP', async () => {
    const [, port = ''] = /^127\.0\.0\.1:(\d+)$/.exec(await place(start('--server=0'))) ?? [];
    const program = guest('hello.asm', HELLO);
    const clients = await Promise.all(
      [1, 2].map(async () => {
        const socket = connect(Number(port), '127.0.0.1');
        await once(socket, 'connect');
        const client = new Connection(socket, socket);
        await client.launch({ program, stopOnEntry: true });
        await client.toStop('configurationDone');
        return { client, socket };
      }),
    );
    for (const { client, socket } of clients) {
      await client.ask('continue', { threadId: 1 });
      assert.equal((await client.event<Dap.ExitedEvent>('exited')).exitCode, 0);
      socket.end();
    }
  });

  it('is a command: over standard streams, at a free port that it names, at a socket', async () => {
    const streams = command();
    const exited = once(streams, 'exit');
    const client = new Connection(streams.stdin, streams.stdout);
    await client.launch({ program: guest('hello.asm', HELLO) });
    await client.ask('configurationDone');
    assert.equal((await client.event<Dap.ExitedEvent>('exited')).exitCode, 0);
    await client.ask('disconnect');
    assert.deepEqual(await exited, [0, null]);

    const [, port = ''] = /^127\.0\.0\.1:(\d+)$/.exec(await place(command('--port', '0'))) ?? [];
    assert.notEqual(port, '0');
    await runsGuest(connect(Number(port), '127.0.0.1'));
    child?.kill('SIGKILL');

    const path = join(folder, 'dap.sock');
    const listener = command('--socket', path);
    assert.equal(await place(listener), path);
    await runsGuest(connect(path));
    const ended = once(listener, 'exit');
    listener.kill('SIGINT');
    assert.deepEqual(await ended, [130, null]);
    assert.equal(existsSync(path), false);
  });

  it('with a secret serves only who knows it', async () => {
    const file = guest('secret.txt', 'correct horse\n');
    const listener = command('--port', '0', '--secret', file);
    const [, port = ''] = /:(\d+)$/.exec(await place(listener)) ?? [];
    const program = guest('hello.asm', HELLO);
    for (const secret of [undefined, 'correct hors', 7, 'correct horse']) {
      const socket = connect(Number(port), '127.0.0.1');
      await once(socket, 'connect');
      const closed = once(socket, 'close');
      const client = new Connection(socket, socket);
      await client.ask('initialize', { adapterID: 'pagewalk' });
      if (secret === 'correct horse') {
        await client.ask('launch', { program, secret });
        await client.event('initialized');
        await client.ask('configurationDone');
        assert.equal((await client.event<Dap.ExitedEvent>('exited')).exitCode, 0);
        socket.end();
      } else {
        const said = await client.refused('launch', { program, ...(secret === undefined ? {} : { secret }) });
        assert.match(said, /^PW505: field `secret`.*serves only clients that know its secret/);
        await closed;
      }
    }
  });

  it('ends at a signal, also while a guest runs', async () => {
    for (const [signal, status] of [
      ['SIGINT', 130],
      ['SIGTERM', 143],
    ] as const) {
      const adapter = command();
      const client = new Connection(adapter.stdin, adapter.stdout);
      await client.launch({ program: guest('spin.asm', 'bits 64\nstart: jmp start\n') });
      await client.ask('configurationDone');
      const ended = once(adapter, 'exit');
      adapter.kill(signal);
      assert.deepEqual(await ended, [null, signal]);

      const listener = command('--port', '0');
      await place(listener);
      const closed = once(listener, 'exit');
      listener.kill(signal);
      assert.deepEqual(await closed, [status, null]);
    }
  });

  it('tells of an output that takes no more, and goes on', async function () {
    const shell = needs(this, 'sh');
    const spill =
      'bits 64\nmov edx, 0x3f8\nmov ecx, 0x8000\nlea rsi, [rel text]\nrep outsb\nhlt\nalign 64\ntext: times 0x8000 db "x"\n';
    // units of 512 or 1024 bytes, as the shell counts
    const limited = `ulimit -f 16; exec "$@"`;
    child = spawn(shell, ['-c', limited, 'sh', process.execPath, dap]);
    child.stderr.resume();
    const client = new Connection(child.stdin, child.stdout);
    await client.launch({ program: guest('spill.asm', spill), serial: join(folder, 'spilled') });
    await client.ask('configurationDone');
    const said = [];
    while (said.at(-1)?.includes('halted') !== true) said.push((await client.event<Dap.OutputEvent>('output')).output);
    assert.match(
      said.join(''),
      /spilled: error PW503: field `serial`: .* the size that the system allows; the rest goes/,
    );
    assert.doesNotMatch(said.join(''), /Internal error in Pagewalk/);
    assert.equal((await client.event<Dap.ExitedEvent>('exited')).exitCode, 0);
  });

  it('says why it cannot listen', async () => {
    const listener = command('--socket', join(folder, 'no', 'such', 'folder'));
    const [said] = (await once(listener.stderr, 'data')) as [Buffer];
    assert.match(said.toString(), /^pagewalk: the adapter cannot listen on .*folder: /);
    assert.deepEqual(await once(listener, 'exit'), [2, null]);
  });
});
