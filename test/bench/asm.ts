/** Assembling a long source, here and with an installed nasm, in one run: the ratio is what counts. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { assemble } from '../../src/asm/index';

/** Eight lines that a guest is made of: labels, moves, memory operands, jumps forward and back, data. */
const block = (i: number): string => `
part${i}:
        mov     rax, [rbx + ${(i % 50) * 8}]
        add     rax, ${i % 1000}
        cmp     rax, part${i}_size
        jae     .end
        lea     rsi, [rel text${i}]
.end:   dec     ecx
        jnz     part${i}
text${i}: db    "part ${i}", 0
part${i}_size equ $ - part${i}`;

/** A source of at least so many lines. */
function longSource(lines: number): string {
  return ['bits 64', 'org 0x100000', ...Array.from({ length: Math.ceil(lines / 9) }, (_, i) => block(i))].join('\n');
}

const best = (runs: number, once: () => void): number => {
  const times = Array.from({ length: runs }, () => {
    const start = performance.now();
    once();
    return performance.now() - start;
  });
  return Math.min(...times);
};

/** Milliseconds of the built-in assembler and of nasm as a process; the second is undefined where none is installed. */
export function assemblyTimes(lines: number, runs = 4): { readonly own: number; readonly nasm: number | undefined } {
  const source = longSource(lines);
  const own = best(runs, () => {
    const { ok, diagnostics } = assemble(source, { fileName: 'long.asm' });
    if (!ok) throw new Error(diagnostics[0]?.message ?? 'not assembled');
  });
  const folder = mkdtempSync(join(tmpdir(), 'pagewalk-bench-'));
  try {
    const file = join(folder, 'long.asm');
    writeFileSync(file, source);
    let isThere = true;
    const nasm = best(runs, () => {
      isThere &&= spawnSync('nasm', ['-f', 'bin', '-o', join(folder, 'long.bin'), file]).status === 0;
    });
    return { own, nasm: isThere ? nasm : undefined };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
