/** What the explanations of exits under VMX and SVM share. */
import { hex } from '../../base/hex';
import { msrName } from '../../isa/msrs';
import type { PortCause } from '../../kvm/exit-cause';
import type { GuestView } from '../guest/view';

const RCX = 1;

/** `RDMSR of 0xc0000080 (EFER)`. */
export function msrAccess(g: GuestView, write: boolean): string {
  const index = Number(BigInt.asUintN(32, g.state.get(RCX)));
  const name = msrName(index);
  return `${write ? 'WRMSR' : 'RDMSR'} of ${hex(index)}${name ? ` (${name})` : ''}`;
}

/** `OUT to port 0x3f8, 1 byte(s)`. */
export const portAccess = ({ input, port, size, string }: PortCause): string =>
  `${input ? 'IN from' : 'OUT to'} port ${hex(port)}, ${size} byte(s)${string ? ', a string instruction' : ''}`;

/** What KVM does about an access that the second level stopped. `entry`: what it writes, `EPT entry`. */
export function handling(g: GuestView, gpa: bigint, write: boolean, entry: string): string {
  const slot = g.physical.slotOf(gpa);
  if (!slot)
    return 'No memslot holds that GPA: it is device memory to KVM, which emulates the instruction and hands the access to the VMM as KVM_EXIT_MMIO.';
  if (slot.readOnly && write)
    return `Memslot ${slot.slot} is read-only: KVM hands the write to the VMM as KVM_EXIT_MMIO, and no entry changes.`;
  return `Memslot ${slot.slot} maps it to HVA ${hex(slot.hva + (gpa - slot.gpa))}. KVM finds the host page there, writes the ${entry}, and the instruction runs again.`;
}
