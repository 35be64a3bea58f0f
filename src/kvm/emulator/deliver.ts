import { hex } from '../../base/hex';
import { vectorName } from '../../isa/exceptions';
import { INTR_TYPE } from '../../isa/vmcs-controls';
import type { Interruption } from '../../hw/vmx/interruption';
import { cost } from '../../host/costs';
import type { Work } from '../../host/step';
import { REENTER, internalError, type Handled } from '../userspace-exit';
import type { Vcpu } from '../vcpu';

/** kvm_inject_realmode_interrupt, emulate_int: KVM takes the event through the guest's IVT or IDT itself. */
export function* deliverByHand(vcpu: Vcpu, event: Interruption): Work<Handled> {
  const { context: v } = vcpu;
  const r = yield* vcpu.emulator.deliver(event);
  switch (r.kind) {
    case 'done':
      yield v.step(
        'emulate_int',
        `takes ${vectorName(event.vector)} to the guest's handler at RIP ${hex(v.regs.rip)}`,
        cost('emulateInstruction'),
      );
      return REENTER;
    case 'fault': {
      // both are queued, and make a double fault or a shutdown where they do on a processor
      if (event.type === INTR_TYPE.HARD_EXCEPTION)
        v.events.queueException({
          vector: event.vector,
          ...(event.errorCode === undefined ? {} : { errorCode: event.errorCode }),
        });
      const { vector, errorCode, cr2 } = r.event;
      v.events.queueException({
        vector,
        ...(errorCode === undefined ? {} : { errorCode }),
        ...(cr2 === undefined ? {} : { payload: cr2 }),
      });
      yield v.step(
        'emulate_int',
        `${vectorName(event.vector)} cannot be delivered: ${vectorName(vector)}`,
        cost('emulateInstruction'),
      );
      return REENTER;
    }
    case 'failed':
      return internalError('DELIVERY_EV', `delivering ${vectorName(event.vector)} to the guest: ${r.why}`);
  }
}
