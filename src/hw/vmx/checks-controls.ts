import { bit } from '../../base/bits';
import { CR0 } from '../../isa/flags';
import { VECTOR } from '../../isa/exceptions';
import { ENTRY_CTL, EPTP, EXIT_CTL, INTR_INFO, INTR_TYPE, PIN, PROC, SECONDARY } from '../../isa/vmcs-controls';
import type { ControlBits, VmxCapabilities } from './capabilities';
import { EPT_VPID_CAP } from './capabilities';
import type { EntryView } from './entry-view';
import type { EntryRule } from './rule';

const allowed = (value: number, bits: ControlBits): boolean =>
  (value & bits.mustBeOne) === bits.mustBeOne && (value & ~bits.mayBeOne) === 0;
const on = (value: number, mask: number): boolean => (value & mask) !== 0;

/** Why an EPTP cannot be used (26.2.1.1), or undefined. */
export function eptpProblem(eptp: bigint, capabilities: VmxCapabilities): string | undefined {
  const type = Number(eptp & EPTP.MEMORY_TYPE_MASK);
  const cap = capabilities.eptVpid;
  if (!((type === 0 && bit(cap, EPT_VPID_CAP.UC)) || (type === 6 && bit(cap, EPT_VPID_CAP.WB))))
    return 'memory type (2:0) is one the processor supports';
  const five = bit(cap, EPT_VPID_CAP.PAGE_WALK_5);
  const length = (eptp >> EPTP.WALK_LENGTH_SHIFT) & EPTP.WALK_LENGTH_MASK;
  if (length !== 3n && !(five && length === 4n)) return `page-walk length less one (5:3) is 3${five ? ' or 4' : ''}`;
  if ((eptp & EPTP.AD_ENABLE) !== 0n && !bit(cap, EPT_VPID_CAP.AD_BITS))
    return 'accessed and dirty flags (6) are supported';
  if ((eptp & 0xf80n) !== 0n) return 'bits 11:7 are 0';
  if (eptp >> BigInt(capabilities.processor.physicalBits) !== 0n)
    return 'the address is within the physical-address width';
  return undefined;
}

const EXEC = '26.2.1.1';
const EXIT = '26.2.1.2';
const ENTRY = '26.2.1.3';

/** Hardware exceptions that push an error code in protected mode, CET's aside. */
const PUSHES_CODE: ReadonlySet<number> = new Set([
  VECTOR.DF,
  VECTOR.TS,
  VECTOR.NP,
  VECTOR.SS,
  VECTOR.GP,
  VECTOR.PF,
  VECTOR.AC,
]);
/** Whether the event to inject must deliver an error code. */
function mustDeliverCode(v: EntryView): boolean {
  const real = v.unrestricted && !bit(v.guestCr0, CR0.PE);
  return !real && v.type === INTR_TYPE.HARD_EXCEPTION && PUSHES_CODE.has(v.vector);
}
const software = (v: EntryView): boolean =>
  v.type === INTR_TYPE.SOFT_INTR || v.type === INTR_TYPE.PRIV_SW_EXCEPTION || v.type === INTR_TYPE.SOFT_EXCEPTION;

/** Checks on VM-execution, VM-exit and VM-entry control fields (SDM vol. 3, 26.2.1). */
export const CONTROL_RULES: readonly EntryRule[] = [
  {
    fields: ['PIN_BASED_VM_EXEC_CONTROL'],
    section: EXEC,
    message: 'reserved pin-based controls have their allowed settings (IA32_VMX_TRUE_PINBASED_CTLS)',
    holds: (v) => allowed(v.pin, v.context.capabilities.pin),
  },
  {
    fields: ['CPU_BASED_VM_EXEC_CONTROL'],
    section: EXEC,
    message: 'reserved primary processor-based controls have their allowed settings (IA32_VMX_TRUE_PROCBASED_CTLS)',
    holds: (v) => allowed(v.proc, v.context.capabilities.proc),
  },
  {
    fields: ['SECONDARY_VM_EXEC_CONTROL'],
    section: EXEC,
    message: 'reserved secondary processor-based controls have their allowed settings (IA32_VMX_PROCBASED_CTLS2)',
    holds: (v) => allowed(v.secondary, v.context.capabilities.secondary),
  },
  {
    fields: ['CR3_TARGET_COUNT'],
    section: EXEC,
    message: 'the CR3-target count is at most 4',
    holds: (v) => v.u32('CR3_TARGET_COUNT') <= v.context.capabilities.cr3Targets,
  },
  {
    fields: ['IO_BITMAP_A'],
    section: EXEC,
    message: 'with "use I/O bitmaps", I/O bitmap A is 4 KiB aligned and within the physical-address width',
    holds: (v) => !on(v.proc, PROC.USE_IO_BITMAPS) || v.frame('IO_BITMAP_A'),
  },
  {
    fields: ['IO_BITMAP_B'],
    section: EXEC,
    message: 'with "use I/O bitmaps", I/O bitmap B is 4 KiB aligned and within the physical-address width',
    holds: (v) => !on(v.proc, PROC.USE_IO_BITMAPS) || v.frame('IO_BITMAP_B'),
  },
  {
    fields: ['MSR_BITMAP'],
    section: EXEC,
    message: 'with "use MSR bitmaps", the MSR bitmaps are 4 KiB aligned and within the physical-address width',
    holds: (v) => !on(v.proc, PROC.USE_MSR_BITMAPS) || v.frame('MSR_BITMAP'),
  },
  {
    fields: ['PIN_BASED_VM_EXEC_CONTROL'],
    section: EXEC,
    message: '"virtual NMIs" is 1 only with "NMI exiting"',
    holds: (v) => on(v.pin, PIN.NMI_EXITING) || !on(v.pin, PIN.VIRTUAL_NMIS),
  },
  {
    fields: ['CPU_BASED_VM_EXEC_CONTROL', 'PIN_BASED_VM_EXEC_CONTROL'],
    section: EXEC,
    message: '"NMI-window exiting" is 1 only with "virtual NMIs"',
    holds: (v) => on(v.pin, PIN.VIRTUAL_NMIS) || !on(v.proc, PROC.NMI_WINDOW_EXITING),
  },
  {
    fields: ['VIRTUAL_PROCESSOR_ID'],
    section: EXEC,
    message: 'with "enable VPID", the VPID is not 0',
    holds: (v) => !on(v.secondary, SECONDARY.ENABLE_VPID) || v.u32('VIRTUAL_PROCESSOR_ID') !== 0,
  },
  {
    fields: ['EPT_POINTER'],
    section: EXEC,
    message:
      'with "enable EPT", the EPTP has a supported memory type and page-walk length, bits 11:7 zero, and an address within the physical-address width',
    holds: (v) => !v.ept || eptpProblem(v.u64('EPT_POINTER'), v.context.capabilities) === undefined,
  },
  {
    fields: ['SECONDARY_VM_EXEC_CONTROL'],
    section: EXEC,
    message: '"unrestricted guest" is 1 only with "enable EPT"',
    holds: (v) => !v.unrestricted || v.ept,
  },
  {
    fields: ['PML_ADDRESS', 'SECONDARY_VM_EXEC_CONTROL'],
    section: EXEC,
    message:
      'with "enable PML", "enable EPT" is 1 and the PML address is 4 KiB aligned and within the physical-address width',
    holds: (v) => !on(v.secondary, SECONDARY.ENABLE_PML) || (v.ept && v.frame('PML_ADDRESS')),
  },
  {
    fields: ['VM_EXIT_CONTROLS'],
    section: EXIT,
    message: 'reserved VM-exit controls have their allowed settings (IA32_VMX_TRUE_EXIT_CTLS)',
    holds: (v) => allowed(v.exit, v.context.capabilities.exit),
  },
  {
    fields: ['VM_EXIT_CONTROLS', 'PIN_BASED_VM_EXEC_CONTROL'],
    section: EXIT,
    message: '"save VMX-preemption timer value" is 1 only with "activate VMX-preemption timer"',
    holds: (v) => on(v.pin, PIN.PREEMPTION_TIMER) || !on(v.exit, EXIT_CTL.SAVE_VMX_PREEMPTION_TIMER),
  },
  {
    fields: ['VM_EXIT_MSR_STORE_ADDR', 'VM_EXIT_MSR_STORE_COUNT'],
    section: EXIT,
    message: 'the VM-exit MSR-store area is 16-byte aligned and within the physical-address width',
    holds: (v) => v.msrArea('VM_EXIT_MSR_STORE_ADDR', 'VM_EXIT_MSR_STORE_COUNT'),
  },
  {
    fields: ['VM_EXIT_MSR_LOAD_ADDR', 'VM_EXIT_MSR_LOAD_COUNT'],
    section: EXIT,
    message: 'the VM-exit MSR-load area is 16-byte aligned and within the physical-address width',
    holds: (v) => v.msrArea('VM_EXIT_MSR_LOAD_ADDR', 'VM_EXIT_MSR_LOAD_COUNT'),
  },
  {
    fields: ['VM_ENTRY_CONTROLS'],
    section: ENTRY,
    message: 'reserved VM-entry controls have their allowed settings (IA32_VMX_TRUE_ENTRY_CTLS)',
    holds: (v) =>
      allowed(v.entry, v.context.capabilities.entry) && !on(v.entry, ENTRY_CTL.SMM | ENTRY_CTL.DEACT_DUAL_MONITOR),
  },
  {
    fields: ['VM_ENTRY_INTR_INFO_FIELD'],
    section: ENTRY,
    message: 'the type (10:8) of the event to inject is not reserved (1)',
    holds: (v) => !v.injects || v.type !== 1,
  },
  {
    fields: ['VM_ENTRY_INTR_INFO_FIELD'],
    section: ENTRY,
    message:
      'the vector (7:0) of the event to inject suits its type: 2 for an NMI, at most 31 for a hardware exception, 0 for "other event"',
    holds: (v) =>
      !v.injects ||
      ((v.type !== INTR_TYPE.NMI_INTR || v.vector === VECTOR.NMI) &&
        (v.type !== INTR_TYPE.HARD_EXCEPTION || v.vector <= 31) &&
        (v.type !== INTR_TYPE.OTHER_EVENT || v.vector === 0)),
  },
  {
    fields: ['VM_ENTRY_INTR_INFO_FIELD', 'GUEST_CR0'],
    section: ENTRY,
    message:
      'an error code is delivered (bit 11) exactly for hardware exceptions that push one, and not into real mode',
    holds: (v) => !v.injects || on(v.info, INTR_INFO.DELIVER_CODE) === mustDeliverCode(v),
  },
  {
    fields: ['VM_ENTRY_INTR_INFO_FIELD'],
    section: ENTRY,
    message: 'reserved bits 30:12 of the VM-entry interruption information are 0',
    holds: (v) => !v.injects || (v.info & 0x7fff_f000) === 0,
  },
  {
    fields: ['VM_ENTRY_EXCEPTION_ERROR_CODE'],
    section: ENTRY,
    message: 'the error code to deliver has bits 31:16 zero',
    holds: (v) =>
      !v.injects || !on(v.info, INTR_INFO.DELIVER_CODE) || v.u32('VM_ENTRY_EXCEPTION_ERROR_CODE') >>> 16 === 0,
  },
  {
    fields: ['VM_ENTRY_INSTRUCTION_LEN'],
    section: ENTRY,
    message: 'the instruction length of an injected software interrupt or exception is 1 to 15',
    holds: (v) =>
      !v.injects || !software(v) || (v.u32('VM_ENTRY_INSTRUCTION_LEN') >= 1 && v.u32('VM_ENTRY_INSTRUCTION_LEN') <= 15),
  },
  {
    fields: ['VM_ENTRY_MSR_LOAD_ADDR', 'VM_ENTRY_MSR_LOAD_COUNT'],
    section: ENTRY,
    message: 'the VM-entry MSR-load area is 16-byte aligned and within the physical-address width',
    holds: (v) => v.msrArea('VM_ENTRY_MSR_LOAD_ADDR', 'VM_ENTRY_MSR_LOAD_COUNT'),
  },
];
