import { hex } from '../../base/hex';
import { VECTOR, vectorName } from '../../isa/exceptions';
import { because } from '../../isa/reasons/index';
import { cost } from '../../trace/costs';
import type { Work } from '../../trace/step';
import type { Vcpu } from '../vcpu';
import { REENTER, internalError, toUserspace, type Handled } from '../userspace-exit';
import { deliverByHand } from './deliver';
import { exitOf, type IoRequest } from './io-log';
import { queueFault } from './nested-fault';

/** kvm_emulate_instruction: starts with the instruction at RIP. */
export function* kvmEmulateInstruction(v: Vcpu): Work<Handled> {
  v.stats.add('insn_emulation');
  const vectoring = v.events.vectoring;
  if (vectoring) {
    // kvm_prepare_event_vectoring_exit: the event would be lost
    return internalError(
      'DELIVERY_EV',
      `delivering ${vectorName(vectoring.vector)} to the guest needs an instruction emulator: a stack, table or handler lies in MMIO or in read-only memory`,
    );
  }
  v.emulator.begin();
  return yield* emulate(v);
}

/** complete_emulated_mmio, complete_emulated_pio: resumes the instruction with user space's answer. */
export function* completeEmulation(v: Vcpu, value: bigint): Work<Handled> {
  yield v.step('complete_emulated_mmio', 'resumes the instruction that waited for user space', cost('kvmDispatch'));
  v.emulator.answer(value);
  return yield* emulate(v);
}

function* emulate(v: Vcpu): Work<Handled> {
  let r = yield* v.emulator.run();
  while (r.kind === 'suspend') {
    const value = kernelDevice(v, r.request);
    if (value === undefined) break;
    yield v.step(
      r.request.write ? 'apic_mmio_write' : 'apic_mmio_read',
      `the local APIC in the kernel answers: ${r.request.write ? `${hex(r.request.value)} is written` : hex(value)}`,
      cost('kvmHandler'),
    );
    v.emulator.answer(value);
    r = yield* v.emulator.run();
  }
  switch (r.kind) {
    case 'done':
      return REENTER;
    case 'suspend': {
      const { request } = r;
      v.waiting = { kind: 'emulation' };
      v.stats.add(request.space === 'mmio' ? 'mmio_exits' : 'io_exits');
      const where = request.space === 'mmio' ? `GPA ${hex(request.address)}` : `port ${hex(request.port)}`;
      yield v.step(
        request.space === 'mmio' ? 'emulator_read_write_onepage' : 'emulator_pio_in_out',
        `${request.write ? `the write of ${hex(request.value)} to` : 'the read of'} ${where} (${request.size} byte${request.size > 1 ? 's' : ''}) goes to user space`,
        cost('kvmHandler'),
        request.space === 'mmio' ? { addresses: { gpa: request.address } } : {},
      );
      return toUserspace(exitOf(request));
    }
    case 'interrupt':
      v.emulated++;
      return yield* deliverByHand(v, r.event);
    case 'fault': {
      const { event } = r;
      if (event.vector === VECTOR.PF) v.stats.add('pf_guest');
      queueFault(v, event);
      yield v.step(
        'inject_emulated_exception',
        `the instruction faults: ${vectorName(event.vector)} for the guest`,
        cost('kvmHandler'),
      );
      return REENTER;
    }
    case 'intercepted':
      return yield* v.handleIntercepted(r.exit);
    case 'failed':
      return yield* emulationFailure(v, r.why);
  }
}

/**
 * vcpu_mmio_read, vcpu_mmio_write: in-kernel devices are tried before user space. The answer; undefined: none of them
 * has this address.
 */
function kernelDevice(v: Vcpu, request: IoRequest): bigint | undefined {
  if (request.space !== 'mmio' || !v.lapic.answers(request.address)) return undefined;
  const offset = Number(request.address & 0xfffn);
  if (!request.write) return v.lapic.readMmio(offset, request.size);
  v.lapic.writeMmio(offset, request.size, Number(BigInt.asUintN(32, request.value)));
  return 0n;
}

/** handle_emulation_failure: at CPL 0 it ends the run, in user code it injects #UD. */
function* emulationFailure(v: Vcpu, why: string): Work<Handled> {
  v.stats.add('insn_emulation_fail');
  const cpl = v.regs.cpl;
  yield v.step(
    'handle_emulation_failure',
    `cannot emulate the instruction at RIP ${hex(v.regs.rip)}: ${why}`,
    cost('kvmHandler'),
  );
  if (cpl === 0)
    return internalError('EMULATION', `KVM cannot emulate the instruction at RIP ${hex(v.regs.rip)}: ${why}`);
  v.injectUd(because('not-emulated'));
  return REENTER;
}
