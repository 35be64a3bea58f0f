import type { Span } from '../base/diagnostic';
import type { Bits } from './code-size';
import { NARROW_DESTINATION, SIZE_INDIFFERENT } from './names';
import type { Operand } from './operand';
import type { RegisterInfo } from './registers';
import { registerOf } from './registers';
import { constant, isSimple } from './value';

/** Where NASM's syntax differs from the operands of the encoding. */

/** The stack registers that x87 arithmetic means when none is written. */
const X87_DEFAULTS: Readonly<Record<string, readonly number[]>> = {
  fld: [1],
  fst: [1],
  fstp: [1],
  ffree: [1],
  ffreep: [1],
  faddp: [1, 0],
  fmulp: [1, 0],
  fsubp: [1, 0],
  fsubrp: [1, 0],
  fdivp: [1, 0],
  fdivrp: [1, 0],
  fxch: [0, 1],
  fcom: [0, 1],
  fcomp: [0, 1],
  fucom: [0, 1],
  fucomp: [0, 1],
  fcomi: [0, 1],
  fcomip: [0, 1],
  fucomi: [0, 1],
  fucomip: [0, 1],
};

/** Other ways to write the same operands, tried in turn where the written one has no form (NASM accepts all of these). */
export function rewrites(
  mnemonic: string,
  operands: readonly Operand[],
  bits: Bits,
  span: Span,
): (readonly Operand[])[] {
  const [a, b] = operands;
  const out: (readonly Operand[])[] = [];
  if (a && b && operands.length === 2) {
    if (mnemonic === 'imul' && a.kind === 'register' && b.kind === 'immediate') out.push([a, a, b]);
    else if (mnemonic === 'test' && a.kind === 'register' && b.kind === 'memory') out.push([b, a]);
  }
  if (out.length === 0) out.push(operands);
  const st = (n: number): Operand[] => {
    const register = registerOf('st', n);
    return register && span ? [{ kind: 'register', register, size: 0, to: false, decorators: {}, span }] : [];
  };
  if (operands.length === 0 && (mnemonic === 'aam' || mnemonic === 'aad')) {
    return [[{ kind: 'immediate', value: constant(10n), size: 0, strict: false, distance: undefined, span }]];
  }
  const [noOperands] = operands.length === 0 ? [X87_DEFAULTS[mnemonic]] : [];
  if (noOperands && span) return [noOperands.flatMap(st)];
  if (mnemonic.startsWith('f') && operands.length === 1 && a?.kind === 'register' && a.register.class === 'st') {
    out.push(a.to ? [a, ...st(0)] : [...st(0), a], [a, ...st(0)]);
  }
  if (a?.kind === 'register' && operands.length >= 2) out.push([a, ...operands]);
  if (operands.every((o) => o.kind === 'register')) {
    const width = a?.kind === 'register' ? a.register.width : 0;
    if (width !== 0 && width <= bits) out.push([]);
  }
  return out;
}

/** Instructions that use rAX (and rCX) as an address or counter whose size may be written by naming the registers. */
const ADDRESS_REGISTERS: Readonly<Record<string, readonly string[]>> = {
  clzero: ['ax'],
  invlpga: ['ax', 'cx'],
  vmrun: ['ax'],
  vmload: ['ax'],
  vmsave: ['ax'],
  monitor: ['ax', 'cx', 'dx'],
  monitorx: ['ax', 'cx', 'dx'],
};

/** `invlpga eax, ecx`: the width of the first register, which is the address size. */
export function writtenAddressSize(mnemonic: string, operands: readonly Operand[]): number | undefined {
  const names = ADDRESS_REGISTERS[mnemonic];
  const first = operands[0];
  if (!names || names.length !== operands.length || first?.kind !== 'register') return undefined;
  const asNamed = operands.every((o, i) => o.kind === 'register' && o.register.name.replace(/^[er]/, '') === names[i]);
  return asNamed ? first.register.width : undefined;
}

/** Without operands NASM takes these for the forms that pop. */
const POPPING: ReadonlySet<string> = new Set(['fadd', 'fmul', 'fsub', 'fsubr', 'fdiv', 'fdivr']);

/** The mnemonic that is meant where the operands make another one of it. */
export function meantMnemonic(mnemonic: string, operands: readonly Operand[]): string {
  if (operands.length === 0 && POPPING.has(mnemonic)) return `${mnemonic}p`;
  const moves64 = mnemonic === 'movd' && operands.some((o) => o.kind === 'register' && o.register.class === 'r64');
  return moves64 ? 'movq' : mnemonic;
}

/** `loop target, ecx`: the register that counts, as a width. */
export function loopCounter(mnemonic: string, operands: readonly Operand[]): number | undefined {
  const second = operands[1];
  if (operands.length !== 2 || !/^loop/.test(mnemonic) || second?.kind !== 'register') return undefined;
  return /^[er]?cx$/.test(second.register.name) ? second.register.width : undefined;
}

/** Register-to-register xchg: NASM puts the first register into ModRM.reg, so the swapped order goes first. */
export function exchangeOrders(operands: readonly Operand[]): (readonly Operand[])[] {
  const swapped = [...operands].reverse();
  return operands[0]?.kind === 'memory' ? [operands] : operands[1]?.kind === 'memory' ? [swapped] : [swapped, operands];
}

/**
 * Operands that NASM encodes as others of the same effect: `mov rax, 5` through eax; segment moves, lar, lsl and the like at a size that
 * needs no prefix, since they ignore the general register's upper part.
 */
export function substitute(mnemonic: string, operands: readonly Operand[], bits: Bits): readonly Operand[] {
  const [a, b] = operands;
  const general = (r: RegisterInfo): boolean => r.class === 'r16' || r.class === 'r32' || r.class === 'r64';
  const low = (op: Extract<Operand, { kind: 'register' }>, kind: 'r16' | 'r32'): Operand => {
    const register = registerOf(kind, op.register.number);
    return register ? { ...op, register } : op;
  };
  if (SIZE_INDIFFERENT.has(mnemonic)) {
    return operands.map((o) =>
      o.kind === 'register' && o.register.class === 'r16' && bits !== 16 ? low(o, 'r32') : o,
    );
  }
  // The third operand is xmm0 whether written or not.
  if (
    /^(?:blendvp[sd]|pblendvb|sha256rnds2)$/.test(mnemonic) &&
    operands.length === 3 &&
    operands[2]?.kind === 'register' &&
    operands[2].register.name === 'xmm0'
  )
    return operands.slice(0, 2);
  if (/^v?pinsr[bw]$/.test(mnemonic))
    return operands.map((o) =>
      o.kind === 'register' && (o.register.class === 'r8' || o.register.class === 'r16') ? low(o, 'r32') : o,
    );
  if (mnemonic === 'rdpid' && bits === 64 && a?.kind === 'register' && a.register.class === 'r32')
    return [{ ...a, register: registerOf('r64', a.register.number) ?? a.register }];
  if (
    (mnemonic === 'lar' || mnemonic === 'lsl') &&
    a?.kind === 'register' &&
    b?.kind === 'register' &&
    general(a.register) &&
    general(b.register)
  ) {
    return [a, { ...b, register: registerOf(a.register.class, b.register.number) ?? b.register }];
  }
  if (NARROW_DESTINATION.has(mnemonic) && a?.kind === 'register' && a.register.class === 'r64')
    return [low(a, 'r32'), ...operands.slice(1)];
  if (mnemonic !== 'mov' || !a || !b || operands.length !== 2) return operands;
  if (
    a.kind === 'register' &&
    a.register.class === 'r64' &&
    b.kind === 'immediate' &&
    !b.strict &&
    (b.size === 0 || b.size === 64)
  ) {
    const small = b.value.unknown || (isSimple(b.value) && b.value.number >= 0n && b.value.number <= 0xffff_ffffn);
    return small ? [low(a, 'r32'), { ...b, size: 0 }] : operands;
  }
  const natural = bits === 16 ? 'r16' : 'r32';
  if (a.kind === 'register' && a.register.class === 'segment' && b.kind === 'register' && general(b.register))
    return [a, low(b, natural)];
  if (b.kind === 'register' && b.register.class === 'segment' && a.kind === 'register' && a.register.class === 'r64')
    return [low(a, 'r32'), b];
  return operands;
}
