import { invariant } from '../../../base/assert';
import type { MemoryOperand, Operand } from '../decoded';
import type { CpuState } from '../../state/cpu-state';
import type { Core } from '../core';
import { effectiveAddress, linearAddress, readLinear, writeLinear } from './access';

/** Operands of the instruction a system function executes, read and written only when it asks: privilege checks and intercepts come before memory faults. */

export const GPR = { RAX: 0, RCX: 1, RDX: 2, RBX: 3, RSP: 4, RBP: 5, RSI: 6, RDI: 7, R11: 11 } as const;

/** Writes a register part: 32-bit writes zero the upper half, narrower ones keep the rest. */
export function putGpr(s: CpuState, index: number, width: number, value: bigint): void {
  if (width === 64) s.set(index, value);
  else if (width === 32) s.set(index, BigInt.asUintN(32, value));
  else {
    const mask = (1n << BigInt(width)) - 1n;
    s.set(index, (s.get(index) & ~mask) | (value & mask));
  }
}

export function operand(core: Core, i: number): Operand {
  const o = core.insn.operands[i];
  invariant(o !== undefined, 'the instruction has this operand');
  return o;
}

export function memoryOperand(core: Core, i: number): MemoryOperand {
  const o = operand(core, i);
  invariant(o.kind === 'memory', 'a memory operand');
  return o.memory;
}

/** The checked linear address of `size` bytes `at` bytes into memory operand i. Undefined: event set. */
export function operandAddress(
  core: Core,
  m: MemoryOperand,
  at: number,
  size: number,
  write: boolean,
): bigint | undefined {
  const offset = BigInt.asUintN(m.addressBits, effectiveAddress(core, m) + BigInt(at));
  return linearAddress(core, m.segment, offset, size, write);
}

/** Reads `size` bytes, `at` bytes into a memory operand. */
export function readOperandMemory(core: Core, m: MemoryOperand, at: number, size: number): bigint | undefined {
  const linear = operandAddress(core, m, at, size, false);
  return linear === undefined ? undefined : readLinear(core, linear, size);
}

/** A 16-bit r/m operand (selectors, machine status words): register bits 15:0 or a word in memory. */
export function readOperand16(core: Core, i: number): number | undefined {
  const o = operand(core, i);
  if (o.kind === 'gpr') return Number(core.state.get(o.index) & 0xffffn);
  const v = readOperandMemory(core, memoryOperand(core, i), 0, 2);
  return v === undefined ? undefined : Number(v);
}

/** Writes a register operand at its own width (16, 32 or 64), or 16 bits of memory: SLDT, STR, SMSW. False: event set. */
export function writeOperand16(core: Core, i: number, value: bigint): boolean {
  const o = operand(core, i);
  if (o.kind === 'gpr') {
    putGpr(core.state, o.index, o.width, value);
    return true;
  }
  const linear = operandAddress(core, memoryOperand(core, i), 0, 2, true);
  return linear !== undefined && writeLinear(core, linear, 2, value & 0xffffn);
}
