import type { Form, OperandPattern } from '../../src/asm/forms';
import { formsOf, mnemonics } from '../../src/asm/forms';

/** Operand combinations made from the instruction table itself, the same in every run. */

export const SIZE: Readonly<Record<number, string>> = {
  8: 'byte',
  16: 'word',
  32: 'dword',
  64: 'qword',
  80: 'tword',
  128: 'oword',
  256: 'yword',
  512: 'zword',
};
const REGISTERS: Readonly<Record<string, readonly string[]>> = {
  r8: ['al', 'cl', 'bh', 'dl'],
  r16: ['ax', 'cx', 'si'],
  r32: ['eax', 'ecx', 'edi'],
  r64: ['rax', 'rcx', 'r9'],
  segment: ['ds', 'fs', 'es'],
  control: ['cr0', 'cr3', 'cr4'],
  debug: ['dr0', 'dr7'],
  test: ['tr6'],
  st: ['st0', 'st1', 'st3'],
  mm: ['mm0', 'mm5'],
  xmm: ['xmm0', 'xmm3', 'xmm7'],
  ymm: ['ymm0', 'ymm3', 'ymm6'],
  zmm: ['zmm1', 'zmm5'],
  mask: ['k1', 'k3', 'k5'],
  tile: ['tmm1', 'tmm4', 'tmm2'],
  bound: ['bnd0', 'bnd1'],
};
const REGISTERS64: Readonly<Record<string, readonly string[]>> = {
  r8: ['al', 'cl', 'sil', 'r9b'],
  xmm: ['xmm1', 'xmm9'],
  ymm: ['ymm2', 'ymm11'],
  zmm: ['zmm3', 'zmm28'],
  control: ['cr0', 'cr3', 'cr8'],
};
const MEMORY: Readonly<Record<number, readonly string[]>> = {
  16: ['[bx+si]', '[0x1234]', '[bp]', '[eax+ecx*4]', '[di-2]'],
  32: ['[ebx]', '[ebp+8]', '[0x1234]', '[eax+ecx*4+0x12345]', '[esp+4]', '[bx+si+2]'],
  64: ['[rbx]', '[rbp]', '[0x1234]', '[rax+r9*8+0x12345]', '[rsp+4]', '[eax+2]', '[r13]'],
};
const IMMEDIATES = ['1', '3', '-1', '0x7f', '0x80', '0x1234', '0x12345678', '-129'];

function sequence(seed: number): (n: number) => number {
  let state = seed;
  return (n) => {
    state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff;
    return (state >> 8) % n;
  };
}

function operand(
  p: OperandPattern,
  form: Form,
  bits: number,
  round: number,
  pick: (n: number) => number,
): string | undefined {
  const choose = (list: readonly string[]): string => list[pick(list.length)] ?? '';
  const sized = (text: string): string =>
    SIZE[form.memoryBits] !== undefined && round % 3 !== 2 ? `${SIZE[form.memoryBits]} ${text}` : text;
  switch (p.kind) {
    case 'register': {
      if (p.memory && round % 2 === 1) return sized(choose(MEMORY[bits] ?? []));
      const names = (bits === 64 ? REGISTERS64[p.class] : undefined) ?? REGISTERS[p.class];
      return names && choose(names);
    }
    case 'memory':
      if (p.vector)
        return bits === 16
          ? undefined
          : `[${bits === 64 ? 'rbx' : 'ebx'}+${p.vector}${choose(['1', '4', '6'])}*${choose(['1', '4'])}+0x40]`;
      return sized(
        p.sib ? choose(bits === 64 ? ['[rax+rcx*2]', '[r9+rbx]'] : ['[eax+ecx*2]']) : choose(MEMORY[bits] ?? []),
      );
    case 'offset':
      return bits === 64 ? '[qword 0x1122334455667788]' : '[0x1234]';
    case 'fixed':
      return p.name;
    case 'immediate':
      return p.one
        ? '1'
        : p.width <= 8 && p.extendsTo === 0
          ? IMMEDIATES[pick(p.width === 8 ? 4 : 2)]
          : choose(IMMEDIATES);
    case 'relative':
      return ['$', '$+2', 'short $', 'near $', '$+0x300'][round % 5];
    case 'far':
      return ['0x8:0x1234', '0x8:dword 0x1234', 'word 0x8:0x1234'][round % 3];
    case 'implied':
      return undefined;
  }
}

export interface FormCombinations {
  readonly mnemonic: string;
  readonly form: Form;
  /** Instructions that have this form's operands. */
  readonly texts: readonly string[];
}

/** For every form of a mode that `wanted` takes, up to `rounds` instructions. */
export function combinations(
  bits: 16 | 32 | 64,
  wanted: (mnemonic: string, form: Form) => boolean,
  rounds = 4,
): FormCombinations[] {
  const pick = sequence(bits);
  const out: FormCombinations[] = [];
  for (const mnemonic of new Set(mnemonics())) {
    for (const form of formsOf(mnemonic)) {
      if (!form.modes.includes(bits) || !wanted(mnemonic, form)) continue;
      const texts = new Set<string>();
      const prefix = form.encoding === 'vex' || form.encoding === 'evex' ? `{${form.encoding}} ` : '';
      for (let round = 0; round < rounds; round++) {
        const operands = form.operands.map((p) => operand(p, form, bits, round, pick));
        // Gathers and scatters under EVEX exist with a mask only.
        const needsMask = form.encoding === 'evex' && form.operands.some((p) => p.kind === 'memory' && p.vector);
        if (needsMask && operands[0] !== undefined) operands[0] += '{k2}';
        if (operands.every((o) => o !== undefined))
          texts.add(`${round % 2 === 0 ? prefix : ''}${mnemonic} ${operands.join(', ')}`.trim());
      }
      out.push({ mnemonic, form, texts: [...texts] });
    }
  }
  return out;
}
