/** The command line as a process: how signals and outputs end it. */
import * as assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { bundle } from '../support/bundle';
import { skipBecause } from '../support/needs';

describe('pagewalk: the process', () => {
  let folder = '';
  let child: ChildProcess | undefined;
  let cli = '';
  before(async () => (cli = await bundle('cli')));
  before(() => (folder = mkdtempSync(join(tmpdir(), 'pagewalk-cli-'))));
  afterEach(() => child?.kill('SIGKILL'));
  after(() => rmSync(folder, { recursive: true }));
  const guest = (name: string, source: string): string => {
    writeFileSync(join(folder, name), source);
    return join(folder, name);
  };

  it('ends at a signal in the midst of a run, which a shell counts as 130 and 143; what came out before is there', async () => {
    const beat = "bits 64\nmov dx, 0x3f8\nmov al, 'x'\nout dx, al\nspin: jmp spin\n";
    for (const signal of ['SIGINT', 'SIGTERM'] as const) {
      const file = guest('spin.asm', beat);
      child = spawn(process.execPath, [cli, 'run', file], { stdio: ['ignore', 'pipe', 'inherit'] });
      const ended = once(child, 'exit');
      assert.ok(child.stdout);
      const [said] = (await once(child.stdout, 'data')) as [Buffer];
      assert.equal(said.toString(), 'x');
      child.kill(signal);
      assert.deepEqual(await ended, [null, signal]);
    }
  });

  it('refuses two outputs to one file by any of its names, before it runs', () => {
    const file = guest('spin.asm', 'bits 64\nspin: jmp spin\n');
    const outputs = ['--serial', join(folder, 'out'), '--debugcon', `${folder}/./../${folder.split('/').at(-1)}/out`];
    const ran = spawnSync(process.execPath, [cli, 'run', file, ...outputs], { encoding: 'utf8' });
    assert.equal(ran.status, 2);
    assert.match(ran.stderr, /error PW608: cannot be written: it is the same file as the output of `--serial`/);
    const over = spawnSync(process.execPath, [cli, 'run', file, '--serial', file], { encoding: 'utf8' });
    assert.equal(over.status, 2);
    assert.match(over.stderr, /error PW608: cannot be written: it is the same file as the input/);
    assert.match(readFileSync(file, 'utf8'), /spin/);
  });

  it('says that standard output takes no more', function () {
    if (!existsSync('/dev/full')) skipBecause(this, 'no /dev/full');
    const file = guest('hello.asm', "bits 64\nmov dx, 0x3f8\nmov al, 'x'\nout dx, al\nhlt\n");
    const stdio = ['ignore', openSync('/dev/full', 'w'), 'pipe'] as const;
    const ran = spawnSync(process.execPath, [cli, 'run', file], { encoding: 'utf8', stdio: [...stdio] });
    assert.deepEqual([ran.status, ran.stderr], [2, 'pagewalk: standard output cannot be written: no space is left\n']);
  });
});
