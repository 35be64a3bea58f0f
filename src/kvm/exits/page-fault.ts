import type { Gpa, Gva } from '../../base/address';
import { hex } from '../../base/hex';
import { VECTOR, pfErrorNames } from '../../isa/exceptions';
import { cost } from '../../trace/costs';
import type { Work } from '../../trace/step';
import { invariant } from '../../base/assert';
import { deliverByHand } from '../emulator/deliver';
import { kvmEmulateInstruction } from '../emulator/emulate';
import { classifyShadowFault, shadowPageFault, type ShadowFaultKind } from '../mmu/shadow/fault';
import type { ShadowMmu } from '../mmu/shadow/mmu';
import { REENTER, toUserspace, type Handled } from '../userspace-exit';
import type { Vcpu } from '../vcpu';

const KIND_TEXT: Readonly<Record<ShadowFaultKind, string>> = {
  guest: "the guest's own tables refuse it: its own fault",
  mmio: 'no RAM that the access may use: MMIO',
  tracing: 'a write to a guest page table, write-protected so that it is seen',
  dirty: 'the first write through an entry whose D flag was clear',
  hidden: "the guest's tables allow it: the shadow tables have not caught up",
};

/** handle_exception_nmi for #PF, kvm_handle_page_fault and kvm_mmu_page_fault. */
export function* handlePageFault(v: Vcpu, linear: Gva, code: number): Work<Handled> {
  const mmu = shadowOf(v);
  v.stats.add('pf_taken');
  const { kind, gpa } = classifyShadowFault(v, mmu, linear, code);
  v.stats.add(`fault_${kind}`);
  yield v.step(
    'kvm_handle_page_fault',
    `#PF at GVA ${hex(linear)}, error code ${hex(code)} (${pfErrorNames(code).join(' ') || 'no bit set'}): ${KIND_TEXT[kind]}`,
    v.ops.accessCost(2),
    {
      addresses: gpa === undefined ? { gva: linear } : { gva: linear, gpa },
    },
  );
  const r = yield* shadowPageFault(v, mmu, linear, code, v.apf);
  switch (r.kind) {
    case 'fixed':
      v.stats.add('pf_fixed');
      return REENTER;
    case 'spurious':
      v.stats.add('pf_spurious');
      return REENTER;
    case 'retry':
      return REENTER;
    case 'error':
      return toUserspace({ reason: 'EFAULT', gpa: r.gpa, why: r.why });
    case 'guest':
      v.stats.add('pf_guest');
      v.events.queueException({ vector: VECTOR.PF, errorCode: r.errorCode, payload: linear, why: r.why });
      yield v.step(
        'kvm_inject_page_fault',
        `#PF at GVA ${hex(linear)} with error code ${hex(r.errorCode)} is the guest's`,
        cost('kvmHandler'),
        { addresses: { gva: linear } },
      );
      return REENTER;
    case 'emulate':
      v.stats.add('pf_emulate');
      if (r.mmio) v.stats.add('pf_mmio_spte_created', v.vm.memslots.find(r.gpa) ? 0 : 1);
      if (v.events.vectoring && r.tracing) return yield* writeDuringDelivery(v, mmu, r.gpa);
      return yield* kvmEmulateInstruction(v);
  }
}

/**
 * A write to a shadowed table during event delivery cannot be emulated as an instruction: the frame is no longer
 * treated as a table (kvm_mmu_unprotect_page). If it is the root's own, which stays a table, KVM delivers the event
 * itself.
 */
function* writeDuringDelivery(v: Vcpu, mmu: ShadowMmu, gpa: Gpa): Work<Handled> {
  const freed = mmu.unprotect(Number(gpa >> 12n));
  yield v.step(
    'kvm_mmu_unprotect_page',
    `the delivery of an event writes to the page table at GPA ${hex(gpa)}: ${freed ? 'it is no longer shadowed' : 'it is a root, so KVM delivers the event itself'}`,
    cost('kvmHandler'),
    {
      addresses: { gpa },
    },
  );
  const event = freed ? undefined : v.events.takeVectoring();
  return event ? yield* deliverByHand(v, event) : REENTER;
}

function shadowOf(v: Vcpu): ShadowMmu {
  const { shadow } = v.vm;
  invariant(shadow !== undefined, 'page faults are intercepted only under shadow paging');
  return shadow;
}
