/** The adapter as VS Code starts it: a process of its own, over its standard streams or over TCP. */
import * as assert from 'node:assert/strict';
import type { DebugProtocol as Dap } from '@vscode/debugprotocol';
import type { ChildProcessWithoutNullStreams } from 'node:child_process';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Connection } from './connection';
import { HELLO } from './guests';

const ROOT = join(dirname(fileURLToPath(import.meta.url)), '../..');

describe('adapter process', () => {
  let folder = '';
  let child: ChildProcessWithoutNullStreams | undefined;
  before(() => (folder = mkdtempSync(join(tmpdir(), 'pagewalk-dap-'))));
  afterEach(() => child?.kill('SIGKILL'));
  after(() => rmSync(folder, { recursive: true }));

  function guest(name: string, source: string): string {
    const file = join(folder, name);
    writeFileSync(file, source);
    return file;
  }
  function start(...args: string[]): ChildProcessWithoutNullStreams {
    child = spawn(process.execPath, ['--import', 'tsx', join(ROOT, 'src/main/dap.ts'), ...args], { cwd: ROOT });
    child.stderr.resume();
    return child;
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
    const probe = createServer().listen(0, '127.0.0.1');
    await once(probe, 'listening');
    const { port } = probe.address() as AddressInfo;
    probe.close();
    await once(probe, 'close');
    const adapter = start(`--server=${port}`);
    await once(adapter.stdout, 'data');
    const program = guest('hello.asm', HELLO);
    const clients = await Promise.all(
      [1, 2].map(async () => {
        const socket = connect(port, '127.0.0.1');
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
});
