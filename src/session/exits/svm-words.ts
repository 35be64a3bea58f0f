/** Why a #VMEXIT happened, in words. */
import { hex } from '../../base/hex';
import type { SecondLevelFault } from '../../kvm/exit-cause';
import type { ExitInfo } from '../../kvm/exit-info';
import { vectorName } from '../../isa/exceptions';
import { SVM_EXIT } from '../../isa/svm-exits';
import type { GuestView } from '../guest/view';
import { denialWords, failingLevel } from './second-level';
import { opOf } from './title';
import { handling, msrAccess, portAccess } from './words';

/** What happened, why that exits, and what the hypervisor will do about it. */
export function svmWhy(g: GuestView, x: ExitInfo): string {
  const { cause } = x;
  switch (cause.kind) {
    case 'second-level':
      return nestedFaultWhy(g, cause);
    case 'port':
      return `${portAccess(cause)}: KVM's I/O permission map has every port. It goes out to the VMM as KVM_EXIT_IO.`;
    case 'control-register':
      return x.reason === SVM_EXIT.CR0_SEL_WRITE
        ? 'MOV to CR0 changes a bit other than TS and MP, which the selective intercept lets exit.'
        : `MOV ${cause.access === 'read' ? 'from' : 'to'} CR${cause.cr}: its bit in the intercepts of control registers is set.`;
    case 'msr':
      return `${msrAccess(g, cause.write)}: its bit in the MSR permission map is set, or it lies outside the map's ranges.`;
    case 'exception':
      return `${vectorName(cause.vector)}: its bit in the exception intercepts is set.`;
    case 'interrupt':
    case 'other':
      return otherWhy(g, x);
  }
}

function nestedFaultWhy(g: GuestView, cause: SecondLevelFault): string {
  const { gpa, tableWalk } = cause;
  const op = opOf(cause);
  const what = tableWalk
    ? `The CPU was loading an entry of the guest's page tables at GPA ${hex(gpa)}, which counts as a user's write`
    : `The guest's ${op} led to GPA ${hex(gpa)}`;
  if (cause.rsvd)
    return `${what}, whose nested entry has a reserved bit set: KVM marks device memory so. KVM emulates the instruction and hands the access to the VMM as KVM_EXIT_MMIO.`;
  const entry = cause.present
    ? 'whose nested entry lacks the right'
    : `where the nested tables have no mapping (level ${failingLevel(g, gpa, op)})`;
  return `${what}, ${entry}.${denialWords(g, gpa, op)} ${handling(g, gpa, cause.write && !tableWalk, 'nested entry')}`;
}

function otherWhy(g: GuestView, x: ExitInfo): string {
  switch (x.reason) {
    case SVM_EXIT.HLT:
      return 'HLT exits because its intercept is set. With interrupts off nothing can wake the VCPU, and the run ends.';
    case SVM_EXIT.CPUID:
      return `CPUID exits because its intercept is set. KVM answers leaf ${hex(BigInt.asUintN(32, g.state.get(0)))} from its own table.`;
    case SVM_EXIT.VMMCALL:
      return `VMMCALL: a hypercall, number ${hex(g.state.get(0))} in RAX.`;
    case SVM_EXIT.INTR:
      return 'An interrupt of the host arrived while the guest ran. The host handles it when GIF is set again, and the guest goes on. KVM itself sends one (a kick) where a VCPU must flush its TLB before it uses memory that the host takes back.';
    case SVM_EXIT.VINTR:
      return 'The guest can take an interrupt now: KVM set a virtual interrupt and its intercept to learn of it.';
    case SVM_EXIT.SHUTDOWN:
      return 'Delivering an exception failed, delivering #DF for that failed too: a shutdown. On a bare machine this is a reset. Look at the IDT and at the stack that handlers run on.';
    default:
      return `The guest did something that the VMCB's intercepts let exit: ${x.name}.`;
  }
}
