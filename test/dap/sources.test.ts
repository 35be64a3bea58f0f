/** Sources that are not where the executable says, or not by the name that it says: breakpoints bind, and frames lead to a file that is there. */
import * as assert from 'node:assert/strict';
import type { DebugProtocol as Dap } from '@vscode/debugprotocol';
import { copyFileSync, mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { adapterHost } from '../../src/main/dap-host';
import { sourceFinder } from '../../src/node/moved';
import { Driver } from './driver';

/** Of main.c and src/add.c, compiled in /build/it. */
const ELF = join(dirname(fileURLToPath(import.meta.url)), '../session/recorded/two-units-dwarf5.elf');
const ADD = 'int add(int a, int b) {\n  return a + b;\n}\n';
const MAIN = 'int add(int a, int b);\nvoid _start(void) {\n  add(2, 3);\n  __asm__ volatile("hlt");\n}\n';

describe('sources elsewhere', () => {
  let folder = '';
  const at = (name: string): string => join(folder, name);
  const put = (name: string, text: string): string => {
    mkdirSync(dirname(at(name)), { recursive: true });
    writeFileSync(at(name), text);
    return at(name);
  };
  beforeEach(() => (folder = realpathSync(mkdtempSync(join(tmpdir(), 'pagewalk-sources-')))));
  afterEach(() => rmSync(folder, { recursive: true }));

  /** Sets a breakpoint at `line` of `path`, runs, and expects to stop there, in a frame of the file `shown`. */
  async function check(program: string, path: string, line: number, shown: string, fields: object = {}): Promise<void> {
    const d = new Driver(adapterHost);
    await d.launch({ program, ...fields });
    const breakpoints = [{ line }];
    const set = await d.ask<Dap.SetBreakpointsResponse['body']>('setBreakpoints', { source: { path }, breakpoints });
    assert.equal(set.breakpoints[0]?.verified, true, path);
    await d.toStop('configurationDone');
    const { stackFrames } = await d.ask<Dap.StackTraceResponse['body']>('stackTrace', { threadId: 1 });
    assert.deepEqual([stackFrames[0]?.source?.path, stackFrames[0]?.line], [shown, line]);
  }

  it('beside the executable, as many parts of their paths as are there', async () => {
    mkdirSync(at('out'));
    copyFileSync(ELF, at('out/a.elf'));
    const [main, add] = [put('out/it/main.c', MAIN), put('out/it/src/add.c', ADD)];
    await check(at('out/a.elf'), main, 4, main);
    await check(at('out/a.elf'), add, 2, add);
  });
  it('below a folder of the workspace', async () => {
    mkdirSync(at('out'));
    copyFileSync(ELF, at('out/a.elf'));
    const [main, add] = [put('ws/main.c', MAIN), put('ws/src/add.c', ADD)];
    await check(at('out/a.elf'), main, 4, main, { workspaceFolders: [at('ws')] });
    await check(at('out/a.elf'), add, 2, add, { workspaceFolders: [at('ws')] });
  });
  it('stay where they were compiled where they are found there, or nowhere', () => {
    const kept = put('src/kept.c', '');
    put('kept.c', '');
    const find = sourceFinder(at('a.elf'), []);
    assert.equal(find(kept), kept);
    for (const gone of ['/build/it/gone.c', 'gone.c', '', '/', 'C:\\it\\gone.c', '/kept.c/x'])
      assert.equal(find(gone), gone);
    assert.equal(find('C:\\it\\kept.c'), at('kept.c'));
  });
  it('are taken from the folder that moved as a whole rather than by their names', () => {
    put('ws/it/a/one.c', '');
    const two = put('ws/it/b/two.c', '');
    put('two.c', '');
    const find = sourceFinder(at('a.elf'), [at('ws')]);
    assert.equal(find('/build/it/a/one.c'), at('ws/it/a/one.c'));
    assert.equal(find('/build/it/b/two.c'), two);
  });
  it('by another path to them, through a link in either', async () => {
    const real = put('real/guest.asm', 'bits 64\nstart:\n  nop\n  hlt\n');
    symlinkSync(at('real'), at('link'));
    await check(real, at('link/guest.asm'), 3, real);
    await check(at('link/guest.asm'), real, 3, at('link/guest.asm'));
    put('real/part.inc', '  nop\n');
    const whole = put('real/whole.asm', 'bits 64\nstart:\n%include "part.inc"\n  hlt\n');
    await check(whole, at('link/part.inc'), 1, at('real/part.inc'));
  });
});
