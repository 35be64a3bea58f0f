import type { BitLayout, DecodedBits } from './bit-layout';
import { decodeBits, flag, range } from './bit-layout';
import { VECTOR, vectorName } from './exceptions';
import { vmxExitName } from './exits';
import { CR0, CR4, EFER, RFLAGS } from './flags';
import type { VmcsField, VmcsFieldName } from './vmcs-fields';

/** The VMCS's fields bit by bit, by the manual's names (SDM vol. 3, 24.4 to 24.9). */
const flags = (table: Readonly<Record<string, number>>): BitLayout =>
  Object.entries(table).map(([name, n]) => flag(n, name));

// ---- controls (24.6 to 24.8)

const PIN_BASED: BitLayout = [
  flag(0, 'External-interrupt exiting'),
  flag(3, 'NMI exiting'),
  flag(5, 'Virtual NMIs'),
  flag(6, 'Activate VMX-preemption timer'),
  flag(7, 'Process posted interrupts'),
];
const PROCESSOR_BASED: BitLayout = [
  flag(2, 'Interrupt-window exiting'),
  flag(3, 'Use TSC offsetting'),
  flag(7, 'HLT exiting'),
  flag(9, 'INVLPG exiting'),
  flag(10, 'MWAIT exiting'),
  flag(11, 'RDPMC exiting'),
  flag(12, 'RDTSC exiting'),
  flag(15, 'CR3-load exiting'),
  flag(16, 'CR3-store exiting'),
  flag(19, 'CR8-load exiting'),
  flag(20, 'CR8-store exiting'),
  flag(21, 'Use TPR shadow'),
  flag(22, 'NMI-window exiting'),
  flag(23, 'MOV-DR exiting'),
  flag(24, 'Unconditional I/O exiting'),
  flag(25, 'Use I/O bitmaps'),
  flag(27, 'Monitor trap flag'),
  flag(28, 'Use MSR bitmaps'),
  flag(29, 'MONITOR exiting'),
  flag(30, 'PAUSE exiting'),
  flag(31, 'Activate secondary controls'),
];
const SECONDARY: BitLayout = [
  flag(0, 'Virtualize APIC accesses'),
  flag(1, 'Enable EPT'),
  flag(2, 'Descriptor-table exiting'),
  flag(3, 'Enable RDTSCP'),
  flag(4, 'Virtualize x2APIC mode'),
  flag(5, 'Enable VPID'),
  flag(6, 'WBINVD exiting'),
  flag(7, 'Unrestricted guest'),
  flag(8, 'APIC-register virtualization'),
  flag(9, 'Virtual-interrupt delivery'),
  flag(10, 'PAUSE-loop exiting'),
  flag(11, 'RDRAND exiting'),
  flag(12, 'Enable INVPCID'),
  flag(13, 'Enable VM functions'),
  flag(14, 'VMCS shadowing'),
  flag(15, 'Enable ENCLS exiting'),
  flag(16, 'RDSEED exiting'),
  flag(17, 'Enable PML'),
  flag(18, 'EPT-violation #VE'),
  flag(19, 'Conceal VMX from PT'),
  flag(20, 'Enable XSAVES/XRSTORS'),
  flag(22, 'Mode-based execute control for EPT'),
  flag(23, 'Sub-page write permissions for EPT'),
  flag(24, 'Intel PT uses guest physical addresses'),
  flag(25, 'Use TSC scaling'),
];
const EXIT_CONTROLS: BitLayout = [
  flag(2, 'Save debug controls'),
  flag(9, 'Host address-space size'),
  flag(12, 'Load IA32_PERF_GLOBAL_CTRL'),
  flag(15, 'Acknowledge interrupt on exit'),
  flag(18, 'Save IA32_PAT'),
  flag(19, 'Load IA32_PAT'),
  flag(20, 'Save IA32_EFER'),
  flag(21, 'Load IA32_EFER'),
  flag(22, 'Save VMX-preemption timer value'),
  flag(23, 'Clear IA32_BNDCFGS'),
  flag(24, 'Conceal VMX from PT'),
  flag(25, 'Clear IA32_RTIT_CTL'),
];
const ENTRY_CONTROLS: BitLayout = [
  flag(2, 'Load debug controls'),
  flag(9, 'IA-32e mode guest'),
  flag(10, 'Entry to SMM'),
  flag(11, 'Deactivate dual-monitor treatment'),
  flag(13, 'Load IA32_PERF_GLOBAL_CTRL'),
  flag(14, 'Load IA32_PAT'),
  flag(15, 'Load IA32_EFER'),
  flag(16, 'Load IA32_BNDCFGS'),
  flag(17, 'Conceal VMX from PT'),
  flag(18, 'Load IA32_RTIT_CTL'),
];
const EXCEPTIONS: BitLayout = Object.values(VECTOR).map((v) => flag(v, vectorName(v)));
const EPT_POINTER: BitLayout = [
  range(2, 0, 'Memory type', { 0: 'UC', 6: 'WB' }),
  range(5, 3, 'Page-walk length less one', { 3: '4 levels', 4: '5 levels' }),
  flag(6, 'Enable accessed and dirty flags'),
  range(51, 12, 'Frame of the root table'),
];

// ---- events (24.8.3, 24.9.2, 24.9.3)

const EVENT_TYPES = {
  0: 'external interrupt',
  2: 'NMI',
  3: 'hardware exception',
  4: 'software interrupt',
  5: 'privileged software exception',
  6: 'software exception',
  7: 'other event',
};
const VECTOR_NAMES = Object.fromEntries(Array.from({ length: 32 }, (_, v) => [v, vectorName(v)]));
const EVENT: BitLayout = [
  range(7, 0, 'Vector', VECTOR_NAMES),
  range(10, 8, 'Type', EVENT_TYPES),
  flag(11, 'Error code valid'),
  flag(31, 'Valid'),
];
const EXIT_EVENT: BitLayout = [...EVENT.slice(0, 3), flag(12, 'NMI unblocking due to IRET'), flag(31, 'Valid')];

// ---- guest state (24.4.1 and 24.4.2)

const ACCESS_RIGHTS: BitLayout = [
  range(3, 0, 'Type'),
  flag(4, 'S (code or data)'),
  range(6, 5, 'DPL'),
  flag(7, 'P (present)'),
  flag(12, 'AVL'),
  flag(13, 'L (64-bit code)'),
  flag(14, 'D/B (32-bit)'),
  flag(15, 'G (granularity)'),
  flag(16, 'Unusable'),
];
const INTERRUPTIBILITY: BitLayout = [
  flag(0, 'Blocking by STI'),
  flag(1, 'Blocking by MOV SS'),
  flag(2, 'Blocking by SMI'),
  flag(3, 'Blocking by NMI'),
  flag(4, 'Enclave interruption'),
];
const ACTIVITY: BitLayout = [range(31, 0, 'State', { 0: 'active', 1: 'HLT', 2: 'shutdown', 3: 'wait-for-SIPI' })];
const PENDING_DEBUG: BitLayout = [
  flag(0, 'B0'),
  flag(1, 'B1'),
  flag(2, 'B2'),
  flag(3, 'B3'),
  flag(12, 'Enabled breakpoint'),
  flag(14, 'BS (single step)'),
  flag(16, 'RTM'),
];
const CR0_BITS = flags(CR0);
const CR4_BITS = flags(CR4);
const CR3_BITS: BitLayout = [range(11, 0, 'PCID, or PWT and PCD'), range(51, 12, 'Frame of the root table')];
const RFLAGS_BITS: BitLayout = [...flags(RFLAGS), range(13, 12, 'IOPL')].sort((a, b) => a.lo - b.lo);
const EFER_BITS = flags(EFER);
const DR7_BITS: BitLayout = [0, 1, 2, 3].flatMap((i) => [
  flag(2 * i, `L${i}`),
  flag(2 * i + 1, `G${i}`),
  range(17 + 4 * i, 16 + 4 * i, `R/W${i}`, { 0: 'execute', 1: 'write', 2: 'I/O', 3: 'read or write' }),
  range(19 + 4 * i, 18 + 4 * i, `LEN${i}`, { 0: '1 byte', 1: '2 bytes', 2: '8 bytes', 3: '4 bytes' }),
]);
const MEMORY_TYPES = { 0: 'UC', 1: 'WC', 4: 'WT', 5: 'WP', 6: 'WB', 7: 'UC-' };
const PAT_BITS: BitLayout = [0, 1, 2, 3, 4, 5, 6, 7].map((i) => range(8 * i + 2, 8 * i, `PA${i}`, MEMORY_TYPES));
const EXIT_REASON: BitLayout = [
  range(15, 0, 'Basic exit reason', Object.fromEntries(Array.from({ length: 70 }, (_, n) => [n, vmxExitName(n)]))),
  flag(27, 'In enclave mode'),
  flag(28, 'Pending MTF VM exit'),
  flag(29, 'From VMX root operation'),
  flag(31, 'VM-entry failure'),
];

const LAYOUTS: Partial<Record<VmcsFieldName, BitLayout>> = {
  PIN_BASED_VM_EXEC_CONTROL: PIN_BASED,
  CPU_BASED_VM_EXEC_CONTROL: PROCESSOR_BASED,
  SECONDARY_VM_EXEC_CONTROL: SECONDARY,
  VM_EXIT_CONTROLS: EXIT_CONTROLS,
  VM_ENTRY_CONTROLS: ENTRY_CONTROLS,
  EXCEPTION_BITMAP: EXCEPTIONS,
  EPT_POINTER,
  VM_ENTRY_INTR_INFO_FIELD: EVENT,
  VM_EXIT_INTR_INFO: EXIT_EVENT,
  IDT_VECTORING_INFO_FIELD: EVENT,
  VM_EXIT_REASON: EXIT_REASON,
  GUEST_INTERRUPTIBILITY_INFO: INTERRUPTIBILITY,
  GUEST_ACTIVITY_STATE: ACTIVITY,
  GUEST_PENDING_DBG_EXCEPTIONS: PENDING_DEBUG,
  GUEST_RFLAGS: RFLAGS_BITS,
  GUEST_DR7: DR7_BITS,
  GUEST_CR0: CR0_BITS,
  HOST_CR0: CR0_BITS,
  CR0_GUEST_HOST_MASK: CR0_BITS,
  CR0_READ_SHADOW: CR0_BITS,
  GUEST_CR3: CR3_BITS,
  HOST_CR3: CR3_BITS,
  GUEST_CR4: CR4_BITS,
  HOST_CR4: CR4_BITS,
  CR4_GUEST_HOST_MASK: CR4_BITS,
  CR4_READ_SHADOW: CR4_BITS,
  GUEST_IA32_EFER: EFER_BITS,
  HOST_IA32_EFER: EFER_BITS,
  GUEST_IA32_PAT: PAT_BITS,
  HOST_IA32_PAT: PAT_BITS,
};
for (const r of ['ES', 'CS', 'SS', 'DS', 'FS', 'GS', 'LDTR', 'TR'] as const)
  LAYOUTS[`GUEST_${r}_AR_BYTES`] = ACCESS_RIGHTS;

/**
 * The bit layout of a field, or undefined for a plain number or address. The exit qualification's layout depends on
 * the reason: see exit-qualification.
 */
export const fieldLayout = (name: VmcsFieldName): BitLayout | undefined => LAYOUTS[name];

/** Every named part of `field` with its bits of `value`; empty for a plain number or address. */
export function decodeField(field: VmcsField, value: bigint): DecodedBits[] {
  const layout = fieldLayout(field.name);
  return layout ? decodeBits(layout, value) : [];
}
