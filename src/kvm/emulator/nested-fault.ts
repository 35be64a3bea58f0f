import type { FaultEvent } from '../../hw/state/event';
import type { Interruption } from '../../hw/state/interruption';
import type { QueuedException } from '../events';
import type { Vcpu } from '../vcpu';

/**
 * A fault while KVM itself delivered `event`: both are queued, and combine into a double fault or a shutdown as on a
 * processor.
 */
export function queueNested(v: Vcpu, event: Interruption | undefined, fault: FaultEvent): void {
  v.events.queueNested(event, queued(fault));
}

/** A fault met by the instruction emulator, to be injected into the guest. */
export function queueFault(v: Vcpu, fault: FaultEvent): void {
  v.events.queueException(queued(fault));
}

function queued(raised: FaultEvent): QueuedException {
  const { vector, errorCode, cr2, debug, access, why } = raised;
  const payload = cr2 ?? debug;
  return {
    vector,
    why,
    ...(errorCode === undefined ? {} : { errorCode }),
    ...(payload === undefined ? {} : { payload }),
    ...(access === undefined ? {} : { access }),
  };
}
