/** An executable from a C compiler, debugged by its own source: symbols from its symbol table, lines from its DWARF. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { prepareProgram } from '../../../src/session/launch/program';
import { Session } from '../../../src/session/session';
import { needs, skipBecause, whyNoProgram } from '../../support/needs';

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
      assert.equal(session.breakpoints.setSource(c, [{ line: 4 }])[0]?.verified, true);
      session.run.continue_();
      while (session.run.advance(1_000_000).kind === 'running') continue;
      assert.equal(session.run.stopped?.kind, 'breakpoint');
      const frames = session.stack.frames().map((f) => f.name.replace(/\+.*/, ''));
      assert.deepEqual(frames.slice(0, 2), ['add', '_start']);
      assert.deepEqual(session.stack.frames()[0]?.location?.line, 4);
      session.run.continue_();
      while (session.run.advance(1_000_000).kind === 'running') continue;
      assert.equal(session.run.ended?.kind, 'halt');
      assert.match(
        session.output
          .take()
          .map((o) => o.text)
          .join(''),
        /5/,
      );
    } finally {
      rmSync(dir, { recursive: true, force: true });
    }
  });

  const ADD = 'int add(int a, int b) {\n  return a + b;\n}\n';
  const MAIN = 'int add(int a, int b);\nvoid _start(void) {\n  add(2, 3);\n  __asm__ volatile("hlt");\n}\n';

  for (const compiler of ['gcc', 'clang'])
    for (const version of ['4', '5'])
      it(`${compiler} -gdwarf-${version} in its own folder: breakpoints of all units bind, frames have full paths`, function () {
        const program = needs(this, compiler);
        const why = whyNoProgram(program);
        if (why !== undefined) skipBecause(this, why);
        const dir = realpathSync(mkdtempSync(join(tmpdir(), 'pw-elf-')));
        try {
          mkdirSync(join(dir, 'src'));
          writeFileSync(join(dir, 'main.c'), MAIN);
          writeFileSync(join(dir, 'src', 'add.c'), ADD);
          const options = [...OPTIONS, `-gdwarf-${version}`, '-o', 'a.elf', 'main.c', './src/add.c'];
          const built = spawnSync(program, options, { cwd: dir, encoding: 'utf8' });
          if (built.status !== 0 && compiler === 'clang') skipBecause(this, `clang cannot link: ${built.stderr}`);
          assert.equal(built.status, 0, built.stderr);
          check(readFileSync(join(dir, 'a.elf')), join(dir, 'a.elf'), dir);
        } finally {
          rmSync(dir, { recursive: true, force: true });
        }
      });

  for (const version of ['4', '5'])
    it(`recorded, DWARF ${version}: names count from the folder of compilation`, () => {
      const bytes = readFileSync(join(__dirname, '../recorded', `two-units-dwarf${version}.elf`));
      check(bytes, '/elsewhere/a.elf', '/build/it');
    });

  /** An executable of MAIN and ADD, compiled in `folder` as main.c and src/add.c: breakpoints in both bind and are hit in order. */
  function check(bytes: Uint8Array, file: string, folder: string): void {
    const program = prepareProgram({ file, bytes, options: new Map() });
    assert.ok(program.ok);
    const made = Session.create(program.value);
    assert.ok(made.ok);
    const session = made.value;
    const [main, add] = [join(folder, 'main.c'), join(folder, 'src', 'add.c')];
    assert.equal(session.breakpoints.setSource(main, [{ line: 4 }])[0]?.verified, true);
    assert.equal(session.breakpoints.setSource(add, [{ line: 2 }])[0]?.verified, true);
    assert.equal(
      session.symbols.addressOfPlace('main.c:4', session.program.file),
      session.symbols.codeAt(main, 4)?.address,
    );
    const stops: string[] = [];
    for (;;) {
      session.run.continue_();
      while (session.run.advance(1_000_000).kind === 'running') continue;
      if (session.run.ended) break;
      const [top] = session.stack.frames();
      stops.push(`${top?.location?.file ?? ''}:${top?.location?.line ?? 0}`);
    }
    assert.deepEqual(stops, [`${add}:2`, `${main}:4`]);
  }
});
