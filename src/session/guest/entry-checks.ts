import { bit } from '../../base/bits';
import { unmetVmrunChecks } from '../../hw/svm/checks';
import { unmetChecks } from '../../hw/vmx/checks';
import { CR0 } from '../../isa/flags';
import type { GuestView } from './view';

/** A check of VM entry or VMRUN that the VMCS or VMCB does not meet as it stands. */
export interface UnmetEntryCheck {
  readonly fields: readonly string[];
  readonly message: string;
  /** With the manual that it is a section of. */
  readonly section: string;
}

/** In the order of the manual. None under a VMM that emulates the CPU. */
export function unmetOf(g: GuestView): readonly UnmetEntryCheck[] {
  const { cpu } = g;
  const vmcs = cpu.vmx.current;
  const { vmcb } = cpu.svm;
  if (vmcb) {
    const hostPaging = bit(cpu.svm.at(cpu.svm.hostSaveArea).read('CR0'), CR0.PG);
    return unmetVmrunChecks(vmcb, { ...cpu.svm.capabilities, hostPaging }).map((c) => ({
      ...c,
      section: `APM vol. 2, ${c.section}`,
    }));
  }
  // KVM runs in long mode
  const context = { capabilities: cpu.vmx.capabilities, memory: cpu.memory, rootLongMode: true };
  return vmcs ? unmetChecks(vmcs, context).map((c) => ({ ...c, section: `SDM vol. 3, ${c.section}` })) : [];
}

/** The same as texts. */
export const unmetEntryChecks = (g: GuestView): readonly string[] =>
  unmetOf(g).map(({ fields, message, section }) => `${fields.join(', ')}: ${message} (${section})`);
