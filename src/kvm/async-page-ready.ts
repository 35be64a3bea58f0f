import { gpa as asGpa } from '../base/address';
import type { Work } from '../trace/step';
import type { AsyncPage } from './async-pf';
import { kvmTdpPageFault } from './mmu/fault';
import { shadowPageFault } from './mmu/shadow/fault';
import { reloadRoot } from './mmu/shadow/load-root';
import type { Vcpu } from './vcpu';
import { emulationRequired } from './vmx/guest-state';

/**
 * kvm_arch_async_page_ready: maps the page before the guest retries; under shadow paging only if the guest is in the
 * address space that faulted.
 */
export function* asyncPageReady(v: Vcpu, { gpa, write, shadow: asked }: AsyncPage): Work<void> {
  const { shadow } = v.vm;
  if (!shadow) {
    yield* kvmTdpPageFault(v.vm, { gpa: asGpa(gpa), write, exec: false, present: false, rsvd: false });
    return;
  }
  if (!asked || emulationRequired(v) || asked.cr3 !== v.regs.cr3 || (yield* reloadRoot(v))) return;
  yield* shadowPageFault(v, shadow, asked.linear, asked.code);
}
