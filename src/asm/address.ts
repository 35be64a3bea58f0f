import type { Span } from '../base/diagnostic';
import type { Bits } from './code-size';
import { isHighByte } from './registers';
import type { RegisterInfo } from './registers';
import type { OperandSyntax } from './statement';
import type { Term, Value } from './value';
import { EvaluationFault } from './value';

/** An effective address with its encoding chosen, except for the displacement's final value. */
export interface EffectiveAddress {
  readonly base: RegisterInfo | undefined;
  readonly index: RegisterInfo | undefined;
  readonly scale: 1 | 2 | 4 | 8;
  /** The displacement without its section terms, which `sections` holds. */
  readonly displacement: bigint;
  readonly sections: readonly Extract<Term, { kind: 'section' }>[];
  /** Bytes of displacement: 0, 1, or full (2 or 4; 8 for the direct form A0–A3). */
  readonly displacementSize: 0 | 1 | 2 | 4;
  /** The displacement may shrink to a scaled byte under EVEX (SDM vol. 2, 2.7.5 "disp8*N"). */
  readonly mayCompress: boolean;
  readonly addressSize: Bits;
  readonly ripRelative: boolean;
  /** May use the accumulator's direct-address forms. */
  readonly direct: boolean;
  /** Has a 64-bit address, which no other form holds. */
  readonly needsDirect: boolean;
  readonly segment: string | undefined;
  readonly vector: 'xmm' | 'ymm' | 'zmm' | undefined;
}

type MemorySyntax = Extract<OperandSyntax, { kind: 'memory' }>;

interface Parts {
  base: RegisterInfo | undefined;
  index: RegisterInfo | undefined;
  scale: bigint;
  sections: Extract<Term, { kind: 'section' }>[];
}

const isGeneral = (r: RegisterInfo): boolean =>
  r.class === 'r8' || r.class === 'r16' || r.class === 'r32' || r.class === 'r64';
const isVector = (r: RegisterInfo): boolean => r.class === 'xmm' || r.class === 'ymm' || r.class === 'zmm';

function bad(message: string, span: Span): never {
  throw new EvaluationFault('badAddress', message, span);
}

/** Splits the sum into base, index × scale and displacement. The first register that stands alone is the base. */
function split(value: Value, span: Span): Parts {
  const parts: Parts = { base: undefined, index: undefined, scale: 0n, sections: [] };
  for (const t of value.terms) {
    if (t.kind === 'section') {
      parts.sections.push(t);
    } else if (isGeneral(t.register) && t.times === 1n && parts.base === undefined) {
      parts.base = t.register;
    } else if (parts.index === undefined) {
      parts.index = t.register;
      parts.scale = t.times;
    } else {
      bad('an address has at most a base, an index times 1, 2, 4 or 8, and a displacement', span);
    }
  }
  const known = parts.sections.length === 0 || (parts.sections.length === 1 && parts.sections[0]?.times === 1n);
  if (!known)
    bad('a sum or multiple of label addresses is not an address; subtract labels of one section from each other', span);
  return parts;
}

/** The address size: from the registers, else from a size written for the displacement, else the mode's. */
function addressSizeOf(
  parts: Parts,
  syntax: MemorySyntax,
  bits: Bits,
  prefix: 16 | 32 | 64 | 'other' | undefined,
): Bits {
  const fits = new Set<Bits>(bits === 64 ? [64, 32] : [32, 16]);
  const keep = (size: number): void => {
    for (const s of fits) if (s !== size) fits.delete(s);
  };
  const other = bits === 32 ? 16 : 32;
  if (prefix !== undefined) keep(prefix === 'other' ? other : prefix);
  if (syntax.addressSize !== 0) keep(syntax.addressSize);
  const named = [parts.base, parts.index].filter((r): r is RegisterInfo => r !== undefined && parts.scale !== -1n);
  if (named.length === 0) {
    const d = syntax.displacementSize;
    if ((bits !== 64 && d > 8) || (bits === 64 && d === 16)) keep(d);
  }
  for (const r of named) if (!isVector(r)) keep(r.width);
  if (fits.has(bits)) return bits;
  if (fits.has(other)) return other;
  if (bits === 64 && named.some((r) => r.width === 16))
    return bad('16-bit addressing does not exist in 64-bit mode; use 32- or 64-bit registers', syntax.span);
  if (bits !== 64 && named.some((r) => r.width === 64))
    return bad(
      '64-bit registers exist in 64-bit mode only; put `bits 64` before this code, or use the 32-bit ones',
      syntax.span,
    );
  return bad('the registers of this address have different sizes; use one size for base and index', syntax.span);
}

/**
 * NASM's choice between equivalent base and index registers, and its splitting of ×2, ×3, ×5 and ×9 (NASM manual,
 * 3.3).
 */
function arrange(
  parts: Parts,
  value: Value,
  syntax: MemorySyntax,
): { base: RegisterInfo | undefined; index: RegisterInfo | undefined; scale: bigint } {
  let { base, index, scale } = parts;
  const hint = value.hint;
  const stack = (r: RegisterInfo | undefined): boolean => r !== undefined && r.number === 4 && isGeneral(r);
  if (
    scale === 1n &&
    base !== index &&
    base !== undefined &&
    index !== undefined &&
    ((hint?.kind === 'notBase' && hint.register === base) || (hint?.kind === 'base' && hint.register === index))
  ) {
    [base, index] = [index, base];
  }
  const hintedIndex = hint?.kind === 'notBase' && hint.register === index;
  if (base === undefined && scale === 1n && !hintedIndex) {
    base = index;
    index = undefined;
  }
  if (base === undefined && index !== undefined) {
    const splitsTwo = scale === 2n && !stack(index) && (!syntax.nosplit || hint?.kind === 'summed');
    if (splitsTwo || scale === 3n || scale === 5n || scale === 9n) {
      base = index;
      scale -= 1n;
    }
  }
  if (
    index === undefined &&
    base !== undefined &&
    !stack(base) &&
    syntax.nosplit &&
    hint?.kind === 'notBase' &&
    hint.register === base
  ) {
    index = base;
    base = undefined;
    scale = 1n;
  }
  if (scale === 1n && stack(index)) [base, index] = [index, base];
  return { base, index, scale };
}

function arrange16(parts: Parts, span: Span): { base: RegisterInfo | undefined; index: RegisterInfo | undefined } {
  let { base, index } = parts;
  if (index !== undefined && parts.scale !== 1n) bad('16-bit addresses have no scale; shift the index first', span);
  if (base === undefined) [base, index] = [index, base];
  const isIndex = (r: RegisterInfo): boolean => r.name === 'si' || r.name === 'di';
  if (base !== undefined && index !== undefined && isIndex(base)) [base, index] = [index, base];
  const ok =
    base !== undefined &&
    (index === undefined
      ? isIndex(base) || base.name === 'bx' || base.name === 'bp'
      : (base.name === 'bx' || base.name === 'bp') && isIndex(index));
  if (!ok) bad('a 16-bit address is [bx] or [bp], [si] or [di], or one of the first plus one of the second', span);
  return { base, index };
}

const fitsByte = (n: bigint, width: number): boolean => {
  const x = BigInt.asIntN(width, n);
  return x >= -128n && x <= 127n;
};

/**
 * Settles an effective address.
 * @param relativeByDefault `default rel` is in force
 * @throws EvaluationFault with what is wrong with the address
 */
export function resolveAddress(
  syntax: MemorySyntax,
  value: Value,
  bits: Bits,
  prefix: 16 | 32 | 64 | 'other' | undefined,
  relativeByDefault: boolean,
  index?: Value,
): EffectiveAddress {
  const parts = split(value, syntax.span);
  if (index !== undefined) {
    const inner = split(index, syntax.span);
    parts.index = inner.index ?? inner.base;
    parts.scale = inner.index ? inner.scale : 1n;
  }
  if (parts.scale === 0n) parts.index = undefined;
  for (const r of [parts.base, parts.index]) {
    if (r !== undefined && !isVector(r) && (!isGeneral(r) || r.width === 8 || isHighByte(r))) {
      bad(`${r.name} cannot be part of an address; use a general register of 16, 32 or 64 bits`, syntax.span);
    }
    if (r !== undefined && bits !== 64 && r.number > 7)
      bad(`${r.name} exists in 64-bit mode only; put \`bits 64\` before this code`, syntax.span);
  }
  const addressSize = addressSizeOf(parts, syntax, bits, prefix);
  const common = {
    displacement: value.number,
    sections: parts.sections,
    addressSize,
    segment: syntax.segment,
    mayCompress: false,
  };
  const full = addressSize === 16 ? 2 : 4;
  if (parts.base === undefined && parts.index === undefined) {
    const fsGs = syntax.segment === 'fs' || syntax.segment === 'gs';
    const wantsRelative =
      bits === 64 && syntax.relative !== false && ((relativeByDefault && !fsGs) || syntax.relative === true);
    // The distance from the instruction to a plain number is not known to the assembler: NASM keeps it absolute, and
    // so do we.
    const ripRelative = wantsRelative && parts.sections.length > 0;
    const direct = !wantsRelative && (syntax.displacementSize || (addressSize === 16 ? 16 : 32)) === addressSize;
    return {
      ...common,
      base: undefined,
      index: undefined,
      scale: 1,
      displacementSize: full,
      ripRelative,
      direct,
      needsDirect: direct && addressSize === 64,
      vector: undefined,
    };
  }
  const zero = value.number === 0n && parts.sections.length === 0 && !value.unknown && syntax.displacementSize === 0;
  const byte =
    syntax.displacementSize === 8 ||
    (fitsByte(value.number, addressSize === 16 ? 16 : 32) &&
      parts.sections.length === 0 &&
      !value.unknown &&
      syntax.displacementSize === 0);
  const mayCompress = parts.sections.length === 0 && !value.unknown && syntax.displacementSize === 0;
  const size = (noBase: boolean, needsByte: boolean): 0 | 1 | 2 | 4 =>
    noBase ? full : zero && !needsByte ? 0 : byte ? 1 : full;
  const rest = { ...common, ripRelative: false, direct: false, needsDirect: false, mayCompress };
  if (parts.base !== undefined && isVector(parts.base)) [parts.base, parts.index] = [parts.index, parts.base];
  if (parts.index !== undefined && isVector(parts.index)) {
    const scale = checkScale(parts.scale, syntax.span);
    const needsByte = parts.base !== undefined && (parts.base.number & 7) === 5;
    return {
      ...rest,
      base: parts.base,
      index: parts.index,
      scale,
      displacementSize: size(parts.base === undefined, needsByte),
      vector: vectorOf(parts.index),
    };
  }
  if (addressSize === 16) {
    const { base, index: second } = arrange16(parts, syntax.span);
    return {
      ...rest,
      base,
      index: second,
      scale: 1,
      displacementSize: size(false, base?.name === 'bp' && second === undefined),
      vector: undefined,
    };
  }
  const { base, index: second, scale } = arrange(parts, value, syntax);
  if (second !== undefined && second.number === 4)
    bad(`${second.name} cannot be an index; use it as the base, without a scale`, syntax.span);
  const checked = second === undefined ? 1 : checkScale(scale, syntax.span);
  const needsByte = base !== undefined && (base.number & 7) === 5;
  return {
    ...rest,
    base,
    index: second,
    scale: checked,
    displacementSize: size(base === undefined, needsByte),
    vector: undefined,
  };
}

const vectorOf = (r: RegisterInfo): 'xmm' | 'ymm' | 'zmm' =>
  r.class === 'zmm' ? 'zmm' : r.class === 'ymm' ? 'ymm' : 'xmm';

function checkScale(scale: bigint, span: Span): 1 | 2 | 4 | 8 {
  if (scale === 1n || scale === 2n || scale === 4n || scale === 8n) return Number(scale) as 1 | 2 | 4 | 8;
  return bad('an index can be multiplied by 1, 2, 4 or 8 only', span);
}
