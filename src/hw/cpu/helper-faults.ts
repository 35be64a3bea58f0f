import { VECTOR } from '../../isa/exceptions';
import { because, type FaultReason } from '../../isa/reasons/index';
import type { CpuState } from '../state/cpu-state';
import { SLOT } from '../state/layout';
import type { Decoded } from './decoded';

/**
 * What a helper (lift/helpers) answers instead of 0 to raise an exception: which check failed in bits 7:0, and from bit 8 on what it found, where the slots do not say that.
 */
export const HELPER_FAULT = {
  DIVIDE_ZERO: 1,
  DIVIDE_OVERFLOW: 2,
  BOUND: 3,
  /** 16 bytes at slot a plus the number b. */
  ALIGNMENT: 4,
  /** 16 bytes at slot a plus slot b, 32 bits of it. */
  ALIGNMENT_SLOTS: 5,
  MXCSR: 6,
  FPU_EMULATED: 7,
  FPU_SWITCHED: 8,
  WAIT_SWITCHED: 9,
  MMX_EMULATED: 10,
  FLOAT_PENDING: 11,
  SSE_EMULATED: 12,
  SSE_NOT_ENABLED: 13,
  /** With the exceptions from bit 8. */
  SIMD: 14,
  SIMD_UNDEFINED: 15,
} as const;

interface Fault {
  readonly vector: number;
  readonly why: FaultReason;
}

/** The exception behind a helper's answer. `insn`: the instruction that it is for; d, a, b: what the micro-op gave it. */
export function helperFault(answer: number, s: CpuState, insn: Decoded, d: number, a: number, b: number): Fault {
  const found = answer >>> 8;
  switch (answer & 0xff) {
    case HELPER_FAULT.DIVIDE_ZERO:
      return { vector: VECTOR.DE, why: because('divide-zero') };
    case HELPER_FAULT.DIVIDE_OVERFLOW:
      return { vector: VECTOR.DE, why: because('divide-overflow', divisorBits(insn)) };
    case HELPER_FAULT.BOUND: {
      const [index, lower, upper] = [a, d, b].map((slot) => BigInt.asIntN(64, s.get(slot))) as [bigint, bigint, bigint];
      return { vector: VECTOR.BR, why: because('bound-range', index, lower, upper) };
    }
    case HELPER_FAULT.ALIGNMENT:
      return { vector: VECTOR.GP, why: because('operand-alignment', BigInt.asUintN(64, s.get(a) + BigInt(b)), 16) };
    case HELPER_FAULT.ALIGNMENT_SLOTS: {
      const at = BigInt.asUintN(64, s.get(a) + BigInt.asIntN(32, s.get(b)));
      return { vector: VECTOR.GP, why: because('operand-alignment', at, 16) };
    }
    case HELPER_FAULT.MXCSR:
      return { vector: VECTOR.GP, why: because('mxcsr', s.get32(a)) };
    case HELPER_FAULT.FPU_EMULATED:
      return { vector: VECTOR.NM, why: because('fpu-emulated') };
    case HELPER_FAULT.FPU_SWITCHED:
      return { vector: VECTOR.NM, why: because('fpu-switched') };
    case HELPER_FAULT.WAIT_SWITCHED:
      return { vector: VECTOR.NM, why: because('wait-switched') };
    case HELPER_FAULT.MMX_EMULATED:
      return { vector: VECTOR.UD, why: because('fpu-emulated') };
    case HELPER_FAULT.FLOAT_PENDING:
      return { vector: VECTOR.MF, why: because('float-pending', s.get32(SLOT.FSW) & ~s.get32(SLOT.FCW) & 0x3f) };
    case HELPER_FAULT.SSE_EMULATED:
      return { vector: VECTOR.UD, why: because('sse-emulated') };
    case HELPER_FAULT.SSE_NOT_ENABLED:
      return { vector: VECTOR.UD, why: because('sse-not-enabled') };
    case HELPER_FAULT.SIMD:
      return { vector: VECTOR.XM, why: because('simd-exception', found) };
    case HELPER_FAULT.SIMD_UNDEFINED:
      return { vector: VECTOR.UD, why: because('simd-exception-undefined', found) };
    default:
      return { vector: VECTOR.UD, why: because('opcode-not-in-model') };
  }
}

/** Width of the operand that divides, which is the quotient's. */
function divisorBits(insn: Decoded): number {
  const o = insn.operands[0];
  return o?.kind === 'gpr' ? o.width : o?.kind === 'memory' ? o.memory.size * 8 : insn.operandBits;
}
