import { INTR_INFO, INTR_TYPE } from '../../isa/vmcs-controls';
import type { InterruptionType } from '../../isa/vmcs-controls';
import type { FaultEvent } from './event';

/** An event on its way through the IDT: injected by a VM entry, or being delivered when a VM exit happened. */
export interface Interruption {
  readonly type: InterruptionType;
  readonly vector: number;
  readonly errorCode?: number;
  /** Bytes; of software interrupts and exceptions only. */
  readonly instructionLength?: number;
}

/** The 32-bit interruption information of an event (see INTR_INFO), valid bit set. */
export function interruptionInfo(e: Interruption): number {
  const code = e.errorCode === undefined ? 0 : INTR_INFO.DELIVER_CODE;
  return ((e.vector & INTR_INFO.VECTOR_MASK) | (e.type << INTR_INFO.TYPE_SHIFT) | code | INTR_INFO.VALID) >>> 0;
}

/** INT n, INT3, INTO and INT1: the types whose instruction length is recorded and, at VM entry, added to RIP. */
export const isSoftware = (type: InterruptionType): boolean =>
  type === INTR_TYPE.SOFT_INTR || type === INTR_TYPE.PRIV_SW_EXCEPTION || type === INTR_TYPE.SOFT_EXCEPTION;

/** What `fault` is called in interruption information (SDM vol. 3, 24.9.2). `instructionLength`: of the INT n, INT3, INTO or INT1. */
export function interruptionOfFault(fault: FaultEvent, instructionLength: number): Interruption {
  const type = fault.software === undefined ? INTR_TYPE.HARD_EXCEPTION : SOFTWARE_TYPE[fault.software];
  return {
    type,
    vector: fault.vector,
    ...(fault.errorCode === undefined ? {} : { errorCode: fault.errorCode }),
    ...(isSoftware(type) ? { instructionLength } : {}),
  };
}

const SOFTWARE_TYPE = {
  int: INTR_TYPE.SOFT_INTR,
  int3: INTR_TYPE.SOFT_EXCEPTION,
  into: INTR_TYPE.SOFT_EXCEPTION,
  icebp: INTR_TYPE.PRIV_SW_EXCEPTION,
} as const satisfies Record<NonNullable<FaultEvent['software']>, InterruptionType>;
