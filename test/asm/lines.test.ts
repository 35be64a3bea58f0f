import assert from 'node:assert';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { assemble } from '../../src/asm/index';
import type { DwarfRow } from '../../src/asm/dwarf-lines';
import { dwarfLines } from '../../src/asm/dwarf-lines';
import { readElf } from '../../src/asm/elf';
import { needsNasm } from './native';

const examples = join(__dirname, '../../examples');

/** nasm's own line table; ELF has no `org`, so addresses count from the start of each section. Undefined where nasm refuses the source for ELF. */
function nasmLines(source: string): readonly DwarfRow[] | undefined {
  const dir = mkdtempSync(join(tmpdir(), 'pagewalk-lines-'));
  try {
    writeFileSync(join(dir, 'a.asm'), source);
    const done = spawnSync('nasm', ['-w-all', '-f', 'elf64', '-g', '-F', 'dwarf', '-o', 'a.o', 'a.asm'], { cwd: dir });
    const elf = done.status === 0 ? readElf(readFileSync(join(dir, 'a.o'))) : undefined;
    return elf && dwarfLines(elf).filter((row) => !row.end);
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

/** Without `org`, which ELF does not have; the lines stay where they are. */
const withoutOrigin = (source: string): string => source.replace(/^([ \t]*)org\b.*$/gim, '$1');

describe('asm: line table', () => {
  const names = readdirSync(examples).filter((name) => name.endsWith('.asm'));
  for (const name of names.sort()) {
    it(`equals nasm's DWARF lines: ${name}`, function () {
      needsNasm(this);
      const source = withoutOrigin(readFileSync(join(examples, name), 'utf8'));
      const theirs = nasmLines(source);
      if (theirs === undefined) return this.skip();
      const ours = assemble(source, { fileName: name, origin: 0n });
      // nasm gives a row where the line changes and has rows for code and data alike, in the sections that hold code.
      const wanted = new Map(theirs.map((r) => [r.address, r.line]));
      // Of a macro nasm tells the line of its body; ours has that too, beside the call, which the debugger shows.
      const lines = ours.lines.filter((l) => wanted.has(l.address));
      const found = new Map(lines.map((l) => [l.address, l.definition?.line ?? l.line]));
      assert(theirs.length > 0, 'nasm wrote no lines');
      assert.deepStrictEqual([...found].sort(byAddress), [...wanted].sort(byAddress));
    });
  }
});

const byAddress = ([a]: readonly [bigint, number], [b]: readonly [bigint, number]): number =>
  a < b ? -1 : a > b ? 1 : 0;
