import { hex } from '../../base/hex';
import { vectorName } from '../../isa/exceptions';
import type { Interruption } from '../../hw/state/interruption';
import { cost } from '../../trace/costs';
import type { Work } from '../../trace/step';
import { REENTER, internalError, type Handled } from '../userspace-exit';
import type { Vcpu } from '../vcpu';
import { deliveryOf } from './emulator';
import { queueNested } from './nested-fault';
import { kvmTaskSwitch } from './task-switch';

/** kvm_inject_realmode_interrupt, emulate_int: KVM delivers the event through the guest's IVT or IDT in software. */
export function* deliverByHand(v: Vcpu, event: Interruption): Work<Handled> {
  const { chain } = v.cpu;
  chain.resume(deliveryOf(event), { rip: v.ops.looking.rip, cpl: v.ops.looking.cpl, mnemonic: v.mnemonic });
  const r = yield* v.emulator.deliver(event);
  switch (r.kind) {
    case 'done':
      chain.end();
      yield v.step(
        'emulate_int',
        `takes ${vectorName(event.vector)} to the guest's handler at RIP ${hex(v.regs.rip)}`,
        cost('emulateInstruction'),
      );
      return REENTER;
    case 'fault':
      queueNested(v, event, r.event);
      yield v.step(
        'emulate_int',
        `${vectorName(event.vector)} cannot be delivered: ${vectorName(r.event.vector)}`,
        cost('emulateInstruction'),
      );
      return REENTER;
    case 'intercepted':
      // a task gate in the IDT
      return yield* kvmTaskSwitch(v, r.exit.qualification, event, 0);
    case 'failed':
      return internalError('DELIVERY_EV', `delivering ${vectorName(event.vector)} to the guest: ${r.why}`);
  }
}
