import { gva, type Gva } from '../../base/address';
import { bits, isCanonical } from '../../base/bits';
import { SEG } from '../../hw/state/layout';
import { VECTOR } from '../../isa/exceptions';
import { because, type FaultReason } from '../../isa/reasons/index';
import type { Vcpu } from '../vcpu';
import { INVPCID_DESCRIPTOR } from './invalidation';

/** handle_invpcid: type and descriptor of INVPCID from the VMX instruction-information field and the displacement in the qualification. Undefined: the guest got #GP or #SS. */
export function invpcidOperands(
  v: Vcpu,
  info: number,
  displacement: bigint,
): { readonly type: bigint; readonly descriptor: Gva } | undefined {
  const type = v.regs.mode64 ? v.regs.gpr(info >>> 28) : BigInt(v.regs.gpr32(info >>> 28));
  const descriptor = memoryOperand(v, info, displacement, INVPCID_DESCRIPTOR);
  return descriptor === undefined ? undefined : { type, descriptor };
}

/**
 * get_vmx_mem_address: the operand that the instruction-information field and the displacement in the qualification describe (hw/cpu/system/instruction-info).
 * Undefined: the guest got #GP or #SS.
 */
function memoryOperand(v: Vcpu, info: number, displacement: bigint, size: number): Gva | undefined {
  const { regs } = v;
  const field = (high: number, low: number): number => Number(bits(BigInt(info), high, low));
  const width = [16, 32, 64][field(9, 7)] ?? 64;
  const segment = field(17, 15);
  let offset = displacement;
  if (field(27, 27) === 0) offset += regs.gpr(field(26, 23));
  if (field(22, 22) === 0) offset += regs.gpr(field(21, 18)) << BigInt(field(1, 0));
  offset = BigInt.asUintN(width, offset);
  const { base, limit } = regs.segment(segment);
  let why: FaultReason;
  if (regs.mode64) {
    const at = segment >= SEG.FS ? BigInt.asUintN(64, base + offset) : offset;
    if (isCanonical(at, v.model.linearBits)) return gva(at);
    why = because('address-canonical', at, v.model.linearBits);
  } else {
    if (offset + BigInt(size - 1) <= BigInt(limit >>> 0)) return gva(BigInt.asUintN(32, base + offset));
    why = because('segment-limit', segment, limit >>> 0, Number(offset), size);
  }
  v.events.queueException({ vector: segment === SEG.SS ? VECTOR.SS : VECTOR.GP, errorCode: 0, why });
  return undefined;
}
