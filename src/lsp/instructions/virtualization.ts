import type { VmxExitName } from '../../isa/exits';
import type { InstructionDoc, InstructionTable } from './doc';
import { CPL0, doc, exit } from './doc';

const STATUS =
  'CF and ZF clear: done. CF: failed without a current VMCS. ZF: failed, and the VM-instruction error field says why.';
const vmx = (name: VmxExitName, title: string, does: string, operation?: string): InstructionDoc =>
  doc(title, does, {
    ...(operation === undefined ? {} : { operation }),
    flags: STATUS,
    exceptions: [CPL0, '#UD outside VMX operation'],
    exits: [exit(name, 'always, in VMX non-root operation; the hypervisor above emulates it (nesting)')],
  });
const svm = (title: string, does: string, operation?: string): InstructionDoc =>
  doc(title, does, {
    ...(operation === undefined ? {} : { operation }),
    exceptions: [CPL0, '#UD where EFER.SVME is 0'],
  });

/** Intel VMX (SDM vol. 3, chapter 30) and AMD SVM (APM vol. 2, chapter 15). */
export const VIRTUALIZATION: InstructionTable = {
  vmxon: doc(
    'Enter VMX operation',
    'Turns VMX root operation on with the 4 KiB region at the physical address in memory.',
    {
      flags: STATUS,
      exceptions: [CPL0, '#UD where CR4.VMXE is 0', '#GP where CR0, CR4 or IA32_FEATURE_CONTROL do not allow it'],
      exits: [exit('VMON', 'always, in VMX non-root operation')],
    },
  ),
  vmxoff: vmx('VMOFF', 'Leave VMX operation', 'Turns VMX operation off.'),
  vmclear: vmx(
    'VMCLEAR',
    'Clear VMCS',
    'Writes a VMCS back to its region and sets its launch state to clear.',
    'launch state ← clear',
  ),
  vmptrld: vmx(
    'VMPTRLD',
    'Load VMCS pointer',
    'Makes the VMCS at the physical address current. The region’s first 4 bytes must hold the revision identifier.',
    'current VMCS ← [m64]',
  ),
  vmptrst: vmx(
    'VMPTRST',
    'Store VMCS pointer',
    'Stores the physical address of the current VMCS.',
    '[m64] ← current VMCS',
  ),
  vmread: vmx('VMREAD', 'Read VMCS field', 'Reads the field whose encoding the source holds.', 'dst ← VMCS[src]'),
  vmwrite: vmx(
    'VMWRITE',
    'Write VMCS field',
    'Writes the field whose encoding the first operand holds.',
    'VMCS[dst] ← src',
  ),
  vmlaunch: vmx(
    'VMLAUNCH',
    'Launch guest',
    'Enters the guest of the current VMCS, whose launch state must be clear. Checks controls, host state and guest state first; control returns only through a VM exit.',
    'launch state ← launched; enter guest',
  ),
  vmresume: vmx(
    'VMRESUME',
    'Resume guest',
    'Enters the guest of the current VMCS, whose launch state must be launched.',
    'enter guest',
  ),
  vmcall: doc(
    'Call hypervisor',
    'A hypercall: the guest asks, the exit tells the hypervisor. KVM takes the number in RAX and arguments in RBX RCX RDX RSI.',
    {
      exceptions: ['#UD outside VMX operation'],
      exits: [exit('VMCALL')],
    },
  ),
  vmfunc: doc('VM function', 'Runs function EAX without an exit; function 0 switches to EPTP ECX of a list.', {
    exceptions: ['#UD where VM functions are not enabled'],
    exits: [exit('VMFUNC', 'the function is not enabled, or its argument is wrong')],
  }),
  invept: vmx(
    'INVEPT',
    'Invalidate EPT translations',
    'Drops cached translations that came through EPT: type 1 of one EPTP, type 2 of all.',
  ),
  invvpid: vmx(
    'INVVPID',
    'Invalidate VPID translations',
    'Drops cached translations of virtual processors: type 0 one address, 1 one VPID, 2 all, 3 one VPID but global ones.',
  ),
  vmrun: svm(
    'Run guest',
    'Enters the guest of the VMCB at the physical address RAX; execution continues after it at #VMEXIT.',
    'enter guest of VMCB [rax]',
  ),
  vmload: svm('Load guest state', 'Loads FS GS TR LDTR and the system-call MSRs from the VMCB at RAX.'),
  vmsave: svm('Save guest state', 'Stores FS GS TR LDTR and the system-call MSRs into the VMCB at RAX.'),
  vmmcall: doc('Call hypervisor (AMD)', 'A hypercall under SVM. KVM answers it on Intel too, through #UD.', {
    exceptions: ['#UD where nobody intercepts it'],
  }),
  stgi: svm('Set global interrupt flag', 'Lets interrupts, NMIs and SMIs through again.', 'GIF ← 1'),
  clgi: svm('Clear global interrupt flag', 'Holds interrupts, NMIs and SMIs off.', 'GIF ← 0'),
  invlpga: svm('Invalidate TLB entry of an ASID', 'Drops the translation of the page at RAX for the ASID in ECX.'),
  skinit: svm('Secure start', 'Starts a measured loader from the block at EAX.'),
};
