import assert from 'node:assert';
import { assemble } from '../../src/asm/index';
import type { Form, OperandPattern } from '../../src/asm/forms';
import { formsOf, mnemonics } from '../../src/asm/forms';
import { HAS_NASM, nasmSlots, slotHex, slotOfLine, slotted } from './native';

/**
 * Operand combinations made from the instruction table itself, for every legacy-encoded form in every mode, against native nasm.
 * Where nasm 2.16.01 is known to be wrong or quirky, the mnemonic stands here with the reason.
 */
const DEVIATIONS: Readonly<Record<string, string>> = {
  ptwrite: 'nasm leaves out F3, which makes it another instruction',
  vmgexit: 'nasm encodes it as F2 0F 01 C1',
  rdsspd: 'nasm adds an operand-size prefix in 16-bit mode', incsspd: 'as rdsspd', wrssd: 'as rdsspd', wrussd: 'as rdsspd',
  rdshr: 'as rdsspd', wrshr: 'as rdsspd',
  enqcmd: 'nasm sizes the address by the destination register', enqcmds: 'as enqcmd', movdir64b: 'as enqcmd',
  retw: 'nasm leaves out the prefix that makes it 16-bit', retd: 'nasm leaves out the prefix in 16-bit mode', retnw: 'as retw', retnd: 'as retd',
};

const SIZE: Readonly<Record<number, string>> = { 8: 'byte', 16: 'word', 32: 'dword', 64: 'qword', 80: 'tword', 128: 'oword', 256: 'yword', 512: 'zword' };
const REGISTERS: Readonly<Record<string, readonly string[]>> = {
  r8: ['al', 'cl', 'bh', 'dl'], r16: ['ax', 'cx', 'si'], r32: ['eax', 'ecx', 'edi'], r64: ['rax', 'rcx', 'r9'], segment: ['ds', 'fs', 'es'],
  control: ['cr0', 'cr3', 'cr4'], debug: ['dr0', 'dr7'], test: ['tr6'], st: ['st0', 'st1', 'st3'], mm: ['mm0', 'mm5'], xmm: ['xmm0', 'xmm3', 'xmm7'],
  bound: ['bnd0', 'bnd1'],
};
const REGISTERS64: Readonly<Record<string, readonly string[]>> = { r8: ['al', 'cl', 'sil', 'r9b'], xmm: ['xmm1', 'xmm9'], control: ['cr0', 'cr3', 'cr8'] };
const MEMORY: Readonly<Record<number, readonly string[]>> = {
  16: ['[bx+si]', '[0x1234]', '[bp]', '[eax+ecx*4]', '[di-2]'],
  32: ['[ebx]', '[ebp+8]', '[0x1234]', '[eax+ecx*4+0x12345]', '[esp+4]', '[bx+si+2]'],
  64: ['[rbx]', '[rbp]', '[0x1234]', '[rax+r9*8+0x12345]', '[rsp+4]', '[eax+2]', '[r13]'],
};
const IMMEDIATES = ['1', '3', '-1', '0x7f', '0x80', '0x1234', '0x12345678', '-129'];

/** A fixed sequence: the same combinations in every run. */
function sequence(seed: number): (n: number) => number {
  let state = seed;
  return (n) => {
    state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff;
    return (state >> 8) % n;
  };
}

function operand(p: OperandPattern, form: Form, bits: number, round: number, pick: (n: number) => number): string | undefined {
  const choose = (list: readonly string[]): string => list[pick(list.length)] ?? '';
  const sized = (text: string): string => (SIZE[form.memoryBits] !== undefined && round % 3 !== 2 ? `${SIZE[form.memoryBits]} ${text}` : text);
  switch (p.kind) {
    case 'register': {
      if (p.memory && round % 2 === 1) return sized(choose(MEMORY[bits] ?? []));
      const names = (bits === 64 ? REGISTERS64[p.class] : undefined) ?? REGISTERS[p.class];
      return names && choose(names);
    }
    case 'memory':
      return p.vector || p.sib ? undefined : sized(choose(MEMORY[bits] ?? []));
    case 'offset':
      return bits === 64 ? '[qword 0x1122334455667788]' : '[0x1234]';
    case 'fixed':
      return p.name;
    case 'immediate':
      return p.one ? '1' : p.width === 8 && p.extendsTo === 0 ? IMMEDIATES[pick(4)] : choose(IMMEDIATES);
    case 'relative':
      return ['$', '$+2', 'short $', 'near $', '$+0x300'][round % 5];
    case 'far':
      return ['0x8:0x1234', '0x8:dword 0x1234', 'word 0x8:0x1234'][round % 3];
    case 'implied':
      return undefined;
  }
}

function combinations(bits: 16 | 32 | 64): string[] {
  const pick = sequence(bits);
  const out = new Set<string>();
  for (const mnemonic of new Set(mnemonics())) {
    if (DEVIATIONS[mnemonic] !== undefined) continue;
    for (const form of formsOf(mnemonic)) {
      if (form.encoding !== 'legacy' || !form.modes.includes(bits)) continue;
      for (let round = 0; round < 4; round++) {
        const operands = form.operands.map((p) => operand(p, form, bits, round, pick));
        if (operands.every((o) => o !== undefined)) out.add(`${mnemonic} ${operands.join(', ')}`.trim());
      }
    }
  }
  return [...out];
}

describe('asm: generated operand combinations', () => {
  for (const bits of [16, 32, 64] as const) {
    it(`equal nasm in ${bits}-bit mode`, function () {
      if (!HAS_NASM) return this.skip();
      const all = combinations(bits);
      const theirs = nasmSlots(bits, all);
      const accepted = all.filter((_, i) => theirs[i] !== undefined);
      const expected = theirs.filter((t) => t !== undefined);
      const refused = new Set<number>();
      const first = assemble(slotted(bits, accepted), { fileName: 'generated.asm' });
      for (const d of first.diagnostics) if (d.severity === 'error' && d.span) refused.add(slotOfLine(d.span.start.line));
      const kept = accepted.filter((_, i) => !refused.has(i));
      const image = assemble(slotted(bits, kept), { fileName: 'generated.asm' }).image;
      const mine = new Map(kept.map((text, slot) => [text, slotHex(image, slot)]));
      // A name that nasm does not know is a label there and gives no bytes.
      const differ = accepted.flatMap((text, i) => {
        const hex = mine.get(text);
        return hex === expected[i] || expected[i] === '' ? [] : [`${text}: nasm ${expected[i]}, ours ${hex ?? 'rejects'}`];
      });
      assert(accepted.length > 3000, `only ${accepted.length} combinations were compared`);
      assert.deepStrictEqual(differ, []);
    });
  }
});
