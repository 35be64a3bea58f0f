import { FP, INDEFINITE, fromInteger, isNaN, quieted, unpackDouble, unpackSingle, type Float } from '../../fpu/float';
import type { CpuState } from '../../state/cpu-state';
import { isEmpty, readSt } from './registers';

/** Where an operand comes from: a register by its number, or memory by the slot that its bytes were loaded into. */
export type Source = 'st' | 'm32' | 'm64' | 'm16int' | 'm32int' | 'm64int';

/** The value; undefined for an empty register. */
export function operandOf(s: CpuState, source: Source, a: number): Float | undefined {
  switch (source) {
    case 'st':
      return isEmpty(s, a) ? undefined : readSt(s, a);
    case 'm32':
      return unpackSingle(s.r32[a * 2] as number);
    case 'm64':
      return unpackDouble(s.r[a] as bigint);
    case 'm16int':
      return fromInteger(BigInt(((s.r32[a * 2] as number) << 16) >> 16));
    case 'm32int':
      return fromInteger(BigInt(s.r32[a * 2] as number));
    case 'm64int':
      return fromInteger(BigInt.asIntN(64, s.r[a] as bigint));
  }
}

/** A NaN among the operands of an x87 instruction, as its result (SDM vol. 1, table 4-7), or the indefinite for an unsupported one. */
export function nanResult(x: Float, y: Float): { readonly value: Float; readonly flags: number } | undefined {
  if (x.kind === 'unsupported' || y.kind === 'unsupported') return { value: INDEFINITE, flags: FP.INVALID };
  const flags = x.kind === 'signaling' || y.kind === 'signaling' ? FP.INVALID : 0;
  if (!isNaN(x)) return isNaN(y) ? { value: quieted(y), flags } : undefined;
  if (!isNaN(y)) return { value: quieted(x), flags };
  // a quiet one before a signaling one, then the larger significand, then the positive one
  if (x.kind !== y.kind) return { value: x.kind === 'quiet' ? x : y, flags };
  if (x.significand !== y.significand) return { value: quieted(x.significand > y.significand ? x : y), flags };
  return { value: quieted(x.sign === 0 ? x : y), flags };
}
