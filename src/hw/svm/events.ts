import { VECTOR } from '../../isa/exceptions';
import { EVENT } from '../../isa/vmcb-fields';
import { INTR_TYPE } from '../../isa/vmcs-controls';
import type { Interruption } from '../state/interruption';
import type { Vmcb } from './vmcb';

/** SVM knows no types of their own for INT3, INTO and INT1, which are exceptions 3, 4 and 1. */
const TYPE_OF: Readonly<Record<number, number>> = {
  [INTR_TYPE.EXT_INTR]: EVENT.TYPE.INTR,
  [INTR_TYPE.NMI_INTR]: EVENT.TYPE.NMI,
  [INTR_TYPE.HARD_EXCEPTION]: EVENT.TYPE.EXCEPTION,
  [INTR_TYPE.SOFT_INTR]: EVENT.TYPE.SOFT_INTR,
  [INTR_TYPE.PRIV_SW_EXCEPTION]: EVENT.TYPE.EXCEPTION,
  [INTR_TYPE.SOFT_EXCEPTION]: EVENT.TYPE.EXCEPTION,
};

/** An event in the format of EVENTINJ and EXITINTINFO. */
export const eventInformation = (e: Interruption): bigint =>
  BigInt(e.vector) |
  (BigInt(TYPE_OF[e.type] ?? 0) << EVENT.TYPE_SHIFT) |
  (e.errorCode === undefined ? 0n : EVENT.CODE_VALID | (BigInt(e.errorCode >>> 0) << 32n)) |
  EVENT.VALID;

/** EVENTINJ (15.20): what VMRUN injects. INT n, INT3 and INTO return to the next-RIP field of the VMCB. `rip`: the guest's. */
export function eventToInject(vmcb: Vmcb, rip: bigint): Interruption | undefined {
  const info = vmcb.read('EVENTINJ');
  const event = eventOf(info);
  if (!event || (event.type !== INTR_TYPE.SOFT_INTR && event.type !== INTR_TYPE.SOFT_EXCEPTION)) return event;
  return { ...event, instructionLength: Number(BigInt.asUintN(32, vmcb.read('NRIP') - rip)) };
}

/** The event that EVENTINJ or EXITINTINFO names; undefined where its valid bit is clear. */
export function eventOf(info: bigint): Interruption | undefined {
  if ((info & EVENT.VALID) === 0n) return undefined;
  const vector = Number(info & 0xffn);
  const errorCode = (info & EVENT.CODE_VALID) === 0n ? {} : { errorCode: Number(info >> 32n) };
  switch (Number((info >> EVENT.TYPE_SHIFT) & 7n)) {
    case EVENT.TYPE.NMI:
      return { type: INTR_TYPE.NMI_INTR, vector: VECTOR.NMI };
    case EVENT.TYPE.SOFT_INTR:
      return { type: INTR_TYPE.SOFT_INTR, vector };
    case EVENT.TYPE.EXCEPTION: {
      const soft = vector === VECTOR.BP || vector === VECTOR.OF;
      return { type: soft ? INTR_TYPE.SOFT_EXCEPTION : INTR_TYPE.HARD_EXCEPTION, vector, ...errorCode };
    }
    default:
      return { type: INTR_TYPE.EXT_INTR, vector };
  }
}
