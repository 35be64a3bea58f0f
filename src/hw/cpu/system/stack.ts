import { isCanonical } from '../../../base/bits';
import { VECTOR } from '../../../isa/exceptions';
import { because, type FaultReason } from '../../../isa/reasons/index';
import type { SegmentCache } from '../../state/cpu-state';
import { SEG, SLOT } from '../../state/layout';
import type { Core } from '../core';
import { dataAccess, linearAddress, readLinear } from './access';
import { codeMode, isLong, isReal, linearWidth } from './modes';
import { GPR, putGpr } from './operand';
import { deny } from './raise';
import { cacheAllowsWrite, insideLimit, refusal } from './segments';

const truncate = (value: bigint, width: 16 | 32 | 64): bigint => BigInt.asUintN(width, value);

/** A stack that pushes go to: the current one, or the one a privilege change switches to. */
export interface StackTarget {
  readonly ss: SegmentCache;
  readonly sp: bigint;
  /** Width of the stack pointer. */
  readonly bits: 16 | 32 | 64;
  /** Privilege of the pushes. */
  readonly cpl: number;
  /** Error code of the #SS that a push outside the segment raises. */
  readonly errorCode: number;
}

export function currentStack(core: Core, errorCode = 0): StackTarget {
  const s = core.state;
  const bits = codeMode(s).stackBits;
  return { ss: s.segment(SEG.SS), sp: truncate(s.get(GPR.RSP), bits), bits, cpl: s.cpl, errorCode };
}

/** Pushes collected first, then checked as a whole, then written: a fault leaves no register changed and no word stored. */
export class Pushes {
  private readonly items: { readonly offset: bigint; readonly size: number; readonly value: bigint }[] = [];
  private top: bigint;

  constructor(
    private readonly core: Core,
    private readonly stack: StackTarget,
  ) {
    this.top = stack.sp;
  }

  /** The stack pointer after the pushes so far. */
  get sp(): bigint {
    return this.top;
  }

  push(value: bigint, size: number): this {
    this.top = truncate(this.top - BigInt(size), this.stack.bits);
    this.items.push({ offset: this.top, size, value: BigInt.asUintN(size * 8, value) });
    return this;
  }

  /** Checks and stores everything. False: event set, nothing stored. */
  write(): boolean {
    const { core, stack } = this;
    const access = dataAccess(core, 'write', stack.cpl);
    for (const i of this.items) {
      if (!this.allows(i.offset, i.size)) return deny(core, VECTOR.SS, this.refusal(i.offset, i.size), stack.errorCode);
      if (!core.port.probe(core, this.linear(i.offset), i.size, access)) return false;
    }
    for (const i of this.items) {
      core.state.set(SLOT.VALUE, i.value);
      if (!core.port.store(core, this.linear(i.offset), i.size, access, SLOT.VALUE)) return false;
    }
    return true;
  }

  /** Sets RSP: its low 16 bits, the low 32 zero-extended, or all of it. The SS it belongs to has just been loaded, if it changed. */
  commit(): void {
    putGpr(this.core.state, GPR.RSP, this.stack.bits, this.top);
  }

  private allows(offset: bigint, size: number): boolean {
    const { core, stack } = this;
    if (stack.bits === 64) {
      const width = linearWidth(core.state);
      return isCanonical(offset, width) && isCanonical(BigInt.asUintN(64, offset + BigInt(size - 1)), width);
    }
    return isReal(core.state)
      ? insideLimit(stack.ss.rights, stack.ss.limit, Number(offset), size)
      : cacheAllowsWrite(stack.ss, Number(offset), size);
  }
  private refusal(offset: bigint, size: number): FaultReason {
    const { core, stack } = this;
    return stack.bits === 64
      ? because('address-canonical', offset, linearWidth(core.state))
      : refusal(core, SEG.SS, stack.ss, Number(offset), size, true);
  }
  private linear(offset: bigint): bigint {
    return this.stack.bits === 64 ? offset : BigInt.asUintN(32, this.stack.ss.base + offset);
  }
}

/** Reads upward from the current stack pointer; RSP moves only at `commit`. */
export class Pops {
  private readonly bits: 16 | 32 | 64;
  private top: bigint;

  constructor(private readonly core: Core) {
    this.bits = codeMode(core.state).stackBits;
    this.top = truncate(core.state.get(GPR.RSP), this.bits);
  }

  pop(size: number): bigint | undefined {
    const at = linearAddress(this.core, SEG.SS, this.top, size, false);
    if (at === undefined) return undefined;
    const value = readLinear(this.core, at, size);
    if (value !== undefined) this.skip(size);
    return value;
  }
  skip(bytes: number): void {
    this.top = truncate(this.top + BigInt(bytes), this.bits);
  }
  get sp(): bigint {
    return this.top;
  }
  commit(): void {
    putGpr(this.core.state, GPR.RSP, this.bits, this.top);
  }
}

/** Sets the stack pointer of a stack just loaded: 64 bits in IA-32e mode's 64-bit code, else 32 or 16 by the B bit of the new SS. */
export function setStackPointer(core: Core, value: bigint): void {
  putGpr(core.state, GPR.RSP, codeMode(core.state).stackBits, value);
}

/** Width of stack pointers that events and call gates use on a stack whose SS is `ss`. */
export const stackBitsOf = (core: Core, ss: SegmentCache): 16 | 32 | 64 =>
  isLong(core.state) ? 64 : (ss.rights & 0x4000) !== 0 ? 32 : 16;
