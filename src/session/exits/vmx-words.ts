/** Why a VM exit happened under VMX, in words. */
import { hex } from '../../base/hex';
import type { SecondLevelFault } from '../../kvm/exit-cause';
import type { ExitInfo } from '../../kvm/exit-info';
import type { ShadowFaultKind } from '../../kvm/mmu/shadow/fault';
import { VECTOR, pfErrorNames, vectorName } from '../../isa/exceptions';
import { VMX_EXIT } from '../../isa/exits';
import type { GuestView } from '../guest/view';
import { denialWords, failingLevel, misconfigurationWords } from './second-level';
import { opOf } from './title';
import { handling, msrAccess, portAccess } from './words';

const FAULT_WORDS: Readonly<Record<ShadowFaultKind, string>> = {
  guest: "The guest's own tables refuse the access: KVM injects the #PF into the guest.",
  mmio: 'No memslot gives RAM for it: KVM emulates the instruction and hands the access to the VMM.',
  tracing:
    'It writes to a page table of the guest, which is write-protected so that KVM sees it: KVM emulates the instruction and drops the shadow entry.',
  dirty:
    "The guest's entry was clean, so the shadow entry was read-only: KVM sets the guest's D flag and allows writes.",
  hidden: "The guest's tables allow the access: KVM fills the shadow entry, and the guest never learns of the fault.",
};

const RIGHTS = ['readable', 'writable', 'executable'] as const;
const CR_ACCESS_WORDS = { write: 'MOV to', read: 'MOV from', clts: 'CLTS on', lmsw: 'LMSW on' } as const;

/** What happened, why that exits, and what the hypervisor will do about it. `fault`: of a #PF exit under shadow paging. */
export function vmxWhy(g: GuestView, x: ExitInfo, fault: ShadowFaultKind | undefined): string {
  const { cause } = x;
  switch (cause.kind) {
    case 'second-level':
      return secondLevelWhy(g, cause, x.gva ?? 0n);
    case 'port':
      return `${portAccess(cause)}: KVM intercepts every port. It goes out to the VMM as KVM_EXIT_IO.`;
    case 'control-register':
      return `${CR_ACCESS_WORDS[cause.access]} CR${cause.cr}: it concerns a bit that the guest/host mask gives to the host.`;
    case 'msr':
      return `${msrAccess(g, cause.write)}: its bit in the MSR bitmap is set, or it lies outside the bitmap's ranges.`;
    case 'exception': {
      const { vector, errorCode } = cause;
      const code =
        vector === VECTOR.PF
          ? `, error code ${hex(errorCode)} (${pfErrorNames(errorCode).join(' ')}), address ${hex(x.qualification)}`
          : '';
      const kind = fault === undefined ? '' : ` ${FAULT_WORDS[fault]}`;
      return `${vectorName(vector)}${code}: its bit in the exception bitmap is set.${kind}`;
    }
    case 'interrupt':
      return `An interrupt of the host, vector ${hex(cause.vector)}, arrived while the guest ran; the "external-interrupt exiting" control makes it exit. The host handles it and the guest goes on. KVM itself sends one (a kick) where a VCPU must flush its TLB before it uses memory that the host takes back.`;
    case 'other':
      return otherWhy(g, x);
  }
}

function secondLevelWhy(g: GuestView, cause: SecondLevelFault, gva: bigint): string {
  const { gpa, tableWalk, rights = 0 } = cause;
  if (cause.rsvd)
    return `The EPT entry for GPA ${hex(gpa)} has bits that no entry may have (${misconfigurationWords(g, gpa) ?? 'no more now'}): KVM marks device memory so. KVM emulates the instruction and hands the access to the VMM as KVM_EXIT_MMIO.`;
  const op = opOf(cause);
  const what = tableWalk
    ? `The CPU was loading an entry of the guest's page tables at GPA ${hex(gpa)}, on the way to GVA ${hex(gva)}`
    : `The guest's ${op} of GVA ${hex(gva)} led to GPA ${hex(gpa)}`;
  const entry =
    rights === 0
      ? `where the EPT has no mapping (level ${failingLevel(g, gpa, op)})`
      : `which the EPT makes only ${RIGHTS.filter((_, i) => ((rights >> i) & 1) === 1).join(', ')}`;
  return `${what}, ${entry}.${denialWords(g, gpa, op)} ${handling(g, gpa, cause.write && !tableWalk, 'EPT entry')}`;
}

function otherWhy(g: GuestView, x: ExitInfo): string {
  switch (x.reason) {
    case VMX_EXIT.HLT:
      return 'HLT exits because of the "HLT exiting" control. With interrupts off nothing can wake the VCPU, and the run ends.';
    case VMX_EXIT.CPUID:
      return `CPUID always exits in VMX non-root operation. KVM answers leaf ${hex(BigInt.asUintN(32, g.state.get(0)))} from its own table.`;
    case VMX_EXIT.VMCALL:
      return `VMCALL: a hypercall, number ${hex(g.state.get(0))} in RAX.`;
    case VMX_EXIT.PML_FULL:
      return 'The page-modification log has no entry left for the page that is about to become dirty. KVM takes the logged pages into the dirty bitmap, and the write runs again.';
    case VMX_EXIT.TRIPLE_FAULT:
      return 'Delivering an exception failed, delivering #DF for that failed too: a triple fault. On a bare machine this is a reset. Look at the IDT and at the stack that handlers run on.';
    default:
      return `The guest did something that the VMCS's controls intercept: ${x.name}.`;
  }
}
