/** An executable from a C compiler, debugged by its own source: symbols from its symbol table, lines from its DWARF. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { prepareProgram } from '../../src/session/program';
import { Session } from '../../src/session/session';
import { needs, skipBecause, whyNoProgram } from '../support/needs';

const SOURCE = `static void put(char c) { __asm__ volatile("outb %0, $0xe9" :: "a"(c)); }
static int add(int a, int b) {
  int r = a + b;
  return r;
}
void _start(void) {
  put('0' + add(2, 3));
  __asm__ volatile("hlt");
}
`;
const OPTIONS = [
  '-g',
  '-O0',
  '-static',
  '-nostdlib',
  '-ffreestanding',
  '-fno-pie',
  '-no-pie',
  '-fcf-protection=none',
  '-Wl,-Ttext=0x200000',
  '-Wl,-N',
];

describe('an ELF guest from C', () => {
  it('stops at a line of its source, and names its functions', function () {
    const gcc = needs(this, 'gcc');
    const why = whyNoProgram(gcc);
    if (why !== undefined) skipBecause(this, why);
    const dir = mkdtempSync(join(tmpdir(), 'pw-elf-'));
    try {
      const c = join(dir, 'guest.c');
      const out = join(dir, 'guest.elf');
      writeFileSync(c, SOURCE);
      const built = spawnSync(gcc, [...OPTIONS, '-o', out, c], { encoding: 'utf8' });
      assert.equal(built.status, 0, built.stderr);
      const program = prepareProgram({ file: out, bytes: readFileSync(out), options: new Map() });
      assert.ok(program.ok);
      const made = Session.create(program.value);
      assert.ok(made.ok);
      const session = made.value;
      assert.equal(session.setSourceBreakpoints(c, [{ line: 4 }])[0]?.verified, true);
      session.continue_();
      while (session.run(1_000_000).kind === 'running') continue;
      assert.equal(session.stopped?.kind, 'breakpoint');
      const frames = session.frames().map((f) => f.name.replace(/\+.*/, ''));
      assert.deepEqual(frames.slice(0, 2), ['add', '_start']);
      assert.deepEqual(session.frames()[0]?.location?.line, 4);
      session.continue_();
      while (session.run(1_000_000).kind === 'running') continue;
      assert.equal(session.ended?.kind, 'halt');
      assert.match(
        session
          .takeOutput()
          .map((o) => o.text)
          .join(''),
        /5/,
      );
    } finally {
      rmSync(dir, { recursive: true, force: true });
    }
  });
});
