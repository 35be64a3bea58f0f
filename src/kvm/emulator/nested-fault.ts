import { INTR_TYPE } from '../../isa/vmcs-controls';
import type { FaultEvent } from '../../hw/state/event';
import type { Interruption } from '../../hw/state/interruption';
import type { VcpuContext } from '../vcpu-context';

/** A fault while KVM itself delivered `event`: both are queued, and make a double fault or a shutdown where they do on a processor. */
export function queueNested(v: VcpuContext, event: Interruption | undefined, fault: FaultEvent): void {
  if (event?.type === INTR_TYPE.HARD_EXCEPTION)
    v.events.queueException({
      vector: event.vector,
      ...(event.errorCode === undefined ? {} : { errorCode: event.errorCode }),
    });
  queueFault(v, fault);
}

/** A fault that the instruction emulator met, for the guest. */
export function queueFault(v: VcpuContext, { vector, errorCode, cr2, debug }: FaultEvent): void {
  const payload = cr2 ?? debug;
  v.events.queueException({
    vector,
    ...(errorCode === undefined ? {} : { errorCode }),
    ...(payload === undefined ? {} : { payload }),
  });
}
