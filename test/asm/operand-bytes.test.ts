import assert from 'node:assert';
import { assemble } from '../../src/asm/index';
import { needs } from '../support/needs';
import { hostileCombinations } from './hostile-operands';
import { reasonFor } from './known-differences';
import { nasmSlots, slotHex, slotOfLine, slotted } from './native';

/** Instructions of each form and mode; PAGEWALK_FUZZ=100000 tries about that many in all. */
const FUZZ = Number(process.env['PAGEWALK_FUZZ'] ?? 0);
const ROUNDS = Math.max(1, Math.round(FUZZ / 12_000));

/** Bytes of `source` in 64-bit mode, as hex. */
function check(source: string, expected: string): void {
  const { image, diagnostics } = assemble(`bits 64\n${source}\n`, { fileName: 'a.asm' });
  assert.deepStrictEqual(diagnostics, []);
  assert.strictEqual(Buffer.from(image).toString('hex'), expected, source);
}

describe('asm: displacements and immediates that look like opcodes and prefixes', () => {
  it('are left alone', () => {
    check('mov al, [r12 + 0x0f0f]', '418a84240f0f0000');
    check('imul rax, [r9 + 8], 0x0f0f', '496941080f0f0000');
    check('add qword [r15 + r14*2 + 0x0f], 0x0f', '4b8344770f0f');
  });

  it('and 3DNow!, whose opcode is the last byte, has its REX prefix in front of 0F 0F', () => {
    check('pfadd mm1, [r12 + 0x0f0f]', '410f0f8c240f0f00009e');
    check('pfadd mm1, [rax + r12*2 + 0x0f0f]', '420f0f8c600f0f00009e');
    check('{rex} pfadd mm1, [rax]', '400f0f089e');
  });

  it('and only a displacement beside a base is compressed', () => {
    check('vaddps zmm1, zmm2, [rax*8 + 0x40]', '62f16c48580cc540000000');
    check('vaddps zmm1, zmm2, [rax + rcx*8 + 0x40]', '62f16c48584cc801');
    check('vgatherdps xmm14{k2}, [xmm24*1 + 0x44]', '62327d0292340544000000');
  });

  for (const bits of [16, 32, 64] as const) {
    it(`in every form, with registers of both halves, as nasm: ${bits}-bit mode`, function () {
      needs(this, 'nasm');
      this.timeout(120_000 + FUZZ * 10);
      let compared = 0;
      const wrong: string[] = [];
      const all = [...new Set(hostileCombinations(bits, ROUNDS, 31).flatMap((f) => f.texts))];
      for (let from = 0; from < all.length; from += 10_000) {
        const part = all.slice(from, from + 10_000);
        const theirs = nasmSlots(bits, part);
        const accepted = part.flatMap((text, i) => (theirs[i] ? [{ text, hex: theirs[i] }] : []));
        const ours = slots(
          bits,
          accepted.map((a) => a.text),
        );
        accepted.forEach(({ text, hex }, i) => {
          compared++;
          if (ours[i] !== hex && reasonFor(text) === undefined)
            wrong.push(`${text}: nasm ${hex}, ours ${ours[i] ?? 'rejects'}`);
        });
      }
      console.log(`    ${bits}-bit: ${all.length} instructions, ${compared} that nasm takes`);
      assert.deepStrictEqual(wrong, []);
      assert(compared > all.length / 3, 'most of what is generated can be encoded');
    });
  }
});

/** Our bytes for each instruction, undefined where one is refused. */
function slots(bits: number, texts: readonly string[]): (string | undefined)[] {
  const refused = new Set<number>();
  for (const d of assemble(slotted(bits, texts), { fileName: 'a.asm' }).diagnostics)
    if (d.severity === 'error' && d.span) refused.add(slotOfLine(d.span.start.line));
  const kept = [...texts.keys()].filter((i) => !refused.has(i));
  const { image } = assemble(
    slotted(
      bits,
      kept.map((i) => texts[i] ?? ''),
    ),
    { fileName: 'a.asm' },
  );
  const out: (string | undefined)[] = texts.map(() => undefined);
  kept.forEach((i, slot) => (out[i] = slotHex(image, slot)));
  return out;
}
