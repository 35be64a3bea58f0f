import type { MemoryOperand } from '../decoded';
import type { Core } from '../core';
import { linearUnchecked, effectiveAddress } from './access';

const ADDRESS_SIZE: Readonly<Record<16 | 32 | 64, number>> = { 16: 0, 32: 1, 64: 2 };

/**
 * The VM-exit instruction-information field (SDM vol. 3, 27.2.5), whose forms share their memory part:
 *
 *   31..28   29..28    27    26..23 22    21..18 17..15  11      10      9..7      6..3  1..0
 *  | reg2  | identity |no base|base |no idx|index |segment|op size|register|addr size|reg1 |scale|
 *
 * A register operand sets bit 10 and reg1. Bits 31:28 hold either an identity in 29:28 or a second register.
 */
export function instructionInfo(
  core: Core,
  operandIndex: number,
  extra: { readonly identity?: number; readonly reg2?: number; readonly operandSize32?: boolean },
): number {
  const o = core.insn.operands[operandIndex];
  let info = 0;
  if (o?.kind === 'gpr') info |= (1 << 10) | (o.index << 3);
  else if (o?.kind === 'memory') {
    const m = o.memory;
    info |= Math.log2(m.scale) | (ADDRESS_SIZE[m.addressBits] << 7) | (m.segment << 15);
    info |= m.index < 0 ? 1 << 22 : m.index << 18;
    info |= m.base < 0 ? 1 << 27 : m.base << 23;
  }
  if (extra.operandSize32 === true) info |= 1 << 11;
  if (extra.identity !== undefined) info |= extra.identity << 28;
  if (extra.reg2 !== undefined) info |= extra.reg2 << 28;
  return info >>> 0;
}

/** The exit qualification of instructions with a memory operand: its displacement, or for RIP-relative ones the address (SDM vol. 3, 27.2.1). */
export function displacementOf(core: Core, operandIndex: number): bigint {
  const o = core.insn.operands[operandIndex];
  if (o?.kind !== 'memory') return 0n;
  const d = o.memory.displacement;
  return BigInt.asUintN(64, o.memory.ripRelative ? core.state.rip + d : d);
}

/** Linear address of a memory operand as exits report it, unchecked. */
export const operandLinear = (core: Core, m: MemoryOperand): bigint =>
  linearUnchecked(core, m.segment, effectiveAddress(core, m));
