import { bit } from '../../base/bits';
import { CR4, EFER } from '../../isa/flags';
import { EXIT_CTL } from '../../isa/vmcs-controls';
import type { VmcsFieldName } from '../../isa/vmcs-fields';
import type { EntryView } from './entry-view';
import type { EntryRule } from './rule';
import { isValidPat } from './entry-view';

const loadsEfer = (v: EntryView): boolean => (v.exit & EXIT_CTL.LOAD_IA32_EFER) !== 0;
const hostCr4 = (v: EntryView, n: number): boolean => bit(v.u64('HOST_CR4'), n);

const canonical = (field: VmcsFieldName, section: string): EntryRule => ({
  fields: [field],
  section,
  message: `${field} is canonical`,
  holds: (v) => v.canonical(field),
});
const selector = (field: VmcsFieldName): EntryRule => ({
  fields: [field],
  section: '26.2.3',
  message: `${field} has RPL (1:0) and TI (2) zero`,
  holds: (v) => (v.u32(field) & 7) === 0,
});

/** Checks on the host-state area (SDM vol. 3, 26.2.2 to 26.2.4). */
export const HOST_RULES: readonly EntryRule[] = [
  {
    fields: ['HOST_CR0'],
    section: '26.2.2',
    message:
      'HOST_CR0 has only values that VMX operation supports (IA32_VMX_CR0_FIXED0 and FIXED1: PE, NE and PG are 1)',
    holds: (v) => fixed(v.u64('HOST_CR0'), v.context.capabilities.cr0Fixed0, v.context.capabilities.cr0Fixed1),
  },
  {
    fields: ['HOST_CR4'],
    section: '26.2.2',
    message: 'HOST_CR4 has only values that VMX operation supports (IA32_VMX_CR4_FIXED0 and FIXED1: VMXE is 1)',
    holds: (v) => fixed(v.u64('HOST_CR4'), v.context.capabilities.cr4Fixed0, v.context.capabilities.cr4Fixed1),
  },
  {
    fields: ['HOST_CR3'],
    section: '26.2.2',
    message: 'HOST_CR3 is within the physical-address width',
    holds: (v) => v.physical(v.u64('HOST_CR3')),
  },
  canonical('HOST_IA32_SYSENTER_ESP', '26.2.2'),
  canonical('HOST_IA32_SYSENTER_EIP', '26.2.2'),
  {
    fields: ['HOST_IA32_PAT'],
    section: '26.2.2',
    message: 'with "load IA32_PAT", each byte of HOST_IA32_PAT is 0, 1, 4, 5, 6 or 7',
    holds: (v) => (v.exit & EXIT_CTL.LOAD_IA32_PAT) === 0 || isValidPat(v.u64('HOST_IA32_PAT')),
  },
  {
    fields: ['HOST_IA32_EFER'],
    section: '26.2.2',
    message: 'with "load IA32_EFER", reserved bits of HOST_IA32_EFER are 0',
    holds: (v) => !loadsEfer(v) || (v.u64('HOST_IA32_EFER') & ~v.context.capabilities.processor.efer) === 0n,
  },
  {
    fields: ['HOST_IA32_EFER', 'VM_EXIT_CONTROLS'],
    section: '26.2.2',
    message: 'with "load IA32_EFER", LMA and LME of HOST_IA32_EFER equal "host address-space size"',
    holds: (v) => {
      const efer = v.u64('HOST_IA32_EFER');
      return !loadsEfer(v) || (bit(efer, EFER.LMA) === v.longHost && bit(efer, EFER.LME) === v.longHost);
    },
  },
  selector('HOST_ES_SELECTOR'),
  selector('HOST_CS_SELECTOR'),
  selector('HOST_SS_SELECTOR'),
  selector('HOST_DS_SELECTOR'),
  selector('HOST_FS_SELECTOR'),
  selector('HOST_GS_SELECTOR'),
  selector('HOST_TR_SELECTOR'),
  {
    fields: ['HOST_CS_SELECTOR'],
    section: '26.2.3',
    message: 'HOST_CS_SELECTOR is not 0',
    holds: (v) => v.u32('HOST_CS_SELECTOR') !== 0,
  },
  {
    fields: ['HOST_TR_SELECTOR'],
    section: '26.2.3',
    message: 'HOST_TR_SELECTOR is not 0',
    holds: (v) => v.u32('HOST_TR_SELECTOR') !== 0,
  },
  {
    fields: ['HOST_SS_SELECTOR'],
    section: '26.2.3',
    message: 'HOST_SS_SELECTOR is not 0 unless "host address-space size" is 1',
    holds: (v) => v.longHost || v.u32('HOST_SS_SELECTOR') !== 0,
  },
  canonical('HOST_FS_BASE', '26.2.3'),
  canonical('HOST_GS_BASE', '26.2.3'),
  canonical('HOST_GDTR_BASE', '26.2.3'),
  canonical('HOST_IDTR_BASE', '26.2.3'),
  canonical('HOST_TR_BASE', '26.2.3'),
  {
    fields: ['VM_EXIT_CONTROLS'],
    section: '26.2.4',
    message: '"host address-space size" equals IA32_EFER.LMA at the time of VM entry',
    holds: (v) => v.longHost === v.context.rootLongMode,
  },
  {
    fields: ['VM_ENTRY_CONTROLS', 'VM_EXIT_CONTROLS'],
    section: '26.2.4',
    message: '"IA-32e mode guest" is 1 only with "host address-space size"',
    holds: (v) => v.longHost || !v.longGuest,
  },
  {
    fields: ['HOST_CR4'],
    section: '26.2.4',
    message: 'HOST_CR4.PAE is 1 with "host address-space size"',
    holds: (v) => !v.longHost || hostCr4(v, CR4.PAE),
  },
  {
    fields: ['HOST_CR4'],
    section: '26.2.4',
    message: 'HOST_CR4.PCIDE is 1 only with "host address-space size"',
    holds: (v) => v.longHost || !hostCr4(v, CR4.PCIDE),
  },
  {
    fields: ['HOST_RIP'],
    section: '26.2.4',
    message: 'HOST_RIP is canonical, and below 4 GiB without "host address-space size"',
    holds: (v) => (v.longHost ? v.canonical('HOST_RIP') : v.u64('HOST_RIP') >> 32n === 0n),
  },
];

/** Whether bits that are 1 in `fixed0` are 1 in `value`, and bits that are 0 in `fixed1` are 0 (A.7, A.8). */
export const fixed = (value: bigint, fixed0: bigint, fixed1: bigint): boolean =>
  (value & fixed0) === fixed0 && (value & ~fixed1) === 0n;
