import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { skipBecause, whyNoNasm } from '../support/needs';

/** Whether the reference assembler is installed; said once where it is not, so that nothing is skipped silently. */
const WHY_NOT = whyNoNasm();
export const HAS_NASM = WHY_NOT === undefined;
if (!HAS_NASM) console.log(`skipped: every comparison with native nasm (${WHY_NOT})`);

/** For a test that does nothing without it. */
export function needsNasm(context: Mocha.Context): void {
  if (WHY_NOT !== undefined) skipBecause(context, WHY_NOT);
}

export type Native =
  { readonly ok: true; readonly image: Uint8Array } | { readonly ok: false; readonly errors: string };

/** What `nasm -f bin` makes of a source. */
export function nasm(source: string): Native {
  const dir = mkdtempSync(join(tmpdir(), 'pagewalk-nasm-'));
  try {
    writeFileSync(join(dir, 'a.asm'), source);
    const r = spawnSync('nasm', ['-w-all', '-f', 'bin', '-o', 'a.bin', 'a.asm'], {
      cwd: dir,
      encoding: 'utf8',
      maxBuffer: 1 << 28,
    });
    return r.status === 0 ? { ok: true, image: readFileSync(join(dir, 'a.bin')) } : { ok: false, errors: r.stderr };
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

/** Bytes that each instruction gets when many are assembled in one run. */
const SLOT = 32;

/** One source that gives every instruction a slot of its own. */
export const slotted = (bits: number, instructions: readonly string[]): string =>
  [`bits ${bits}`, ...instructions.flatMap((text, i) => [text, `times ${(i + 1) * SLOT}-($-$$) db 0`])].join('\n') +
  '\n';

/** The instruction that a line of such a source belongs to. */
export const slotOfLine = (line: number): number => Math.floor((line - 2) / 2);

export const slotHex = (image: Uint8Array, i: number): string =>
  Buffer.from(image.subarray(i * SLOT, (i + 1) * SLOT))
    .toString('hex')
    .replace(/(00)+$/, '');

/** nasm's bytes for each instruction, or undefined where it rejects it. */
export function nasmSlots(bits: number, instructions: readonly string[]): (string | undefined)[] {
  const alive = new Set(instructions.keys());
  for (let round = 0; round < 40; round++) {
    const kept = [...alive];
    const r = nasm(
      slotted(
        bits,
        kept.map((i) => instructions[i] ?? ''),
      ),
    );
    if (r.ok) {
      const out: (string | undefined)[] = instructions.map(() => undefined);
      kept.forEach((i, slot) => (out[i] = slotHex(r.image, slot)));
      return out;
    }
    const bad = [...r.errors.matchAll(/:(\d+): (?:error|assertion|invalid operand)/g)].map(
      (m) => kept[slotOfLine(Number(m[1]))],
    );
    if (bad.length === 0) throw new Error(r.errors);
    for (const i of bad) if (i !== undefined) alive.delete(i);
  }
  throw new Error('nasm still rejects instructions after 40 rounds');
}
