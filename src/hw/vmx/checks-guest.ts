import { hpa } from '../../base/address';
import { bit } from '../../base/bits';
import { CR0, CR4, EFER, RFLAGS } from '../../isa/flags';
import { PTE_P } from '../../isa/entries';
import { VECTOR } from '../../isa/exceptions';
import { ACTIVITY_STATE, ENTRY_CTL, INTERRUPTIBILITY, INTR_TYPE, PENDING_DBG, PIN } from '../../isa/vmcs-controls';
import type { VmcsFieldName } from '../../isa/vmcs-fields';
import type { HostMemory } from '../memory/host-memory';
import { RIGHTS } from '../state/layout';
import { fixed } from './checks-host';
import type { EntryView } from './entry-view';
import type { EntryRule } from './rule';
import { isValidPat } from './entry-view';

const loads = (v: EntryView, control: number): boolean => (v.entry & control) !== 0;
const blocked = (v: EntryView, by: number): boolean => (v.u32('GUEST_INTERRUPTIBILITY_INFO') & by) !== 0;
const activity = (v: EntryView): number => v.u32('GUEST_ACTIVITY_STATE');
const codeIs64 = (v: EntryView): boolean => v.longGuest && (v.u32('GUEST_CS_AR_BYTES') & RIGHTS.L) !== 0;
const injects = (v: EntryView, type: number): boolean => v.injects && v.type === type;

const CR0_PE_PG = (1n << BigInt(CR0.PE)) | (1n << BigInt(CR0.PG));

/** The four PDPTEs at CR3 31:5, or undefined where there is no memory. */
export function readPdptes(memory: HostMemory, cr3: bigint): bigint[] | undefined {
  const at = cr3 & 0xffff_ffe0n;
  return memory.contains(at, 32) ? [0n, 8n, 16n, 24n].map((n) => memory.read64(hpa(at + n))) : undefined;
}
/** A present PDPTE has bits 2:1, 8:5 and those above the physical-address width zero (4.4.1). */
export function pdptesAreValid(pdptes: readonly bigint[], physicalBits: number): boolean {
  return pdptes.every((p) => (p & PTE_P) === 0n || ((p & 0x1e6n) === 0n && p >> BigInt(physicalBits) === 0n));
}

/** Events that may be injected into an inactive state (26.3.1.5). */
function injectable(v: EntryView): boolean {
  if (!v.injects) return true;
  switch (activity(v)) {
    case ACTIVITY_STATE.HLT:
      return (
        v.type === INTR_TYPE.EXT_INTR ||
        v.type === INTR_TYPE.NMI_INTR ||
        (v.type === INTR_TYPE.HARD_EXCEPTION && (v.vector === VECTOR.DB || v.vector === VECTOR.MC)) ||
        (v.type === INTR_TYPE.OTHER_EVENT && v.vector === 0)
      );
    case ACTIVITY_STATE.SHUTDOWN:
      return v.type === INTR_TYPE.NMI_INTR || (v.type === INTR_TYPE.HARD_EXCEPTION && v.vector === VECTOR.MC);
    case ACTIVITY_STATE.WAIT_SIPI:
      return false;
    default:
      return true;
  }
}

const REGISTERS = '26.3.1.1';
const TABLES = '26.3.1.3';
const RIP_RFLAGS = '26.3.1.4';
const NON_REGISTER = '26.3.1.5';

const canonical = (field: VmcsFieldName, section: string): EntryRule => ({
  fields: [field],
  section,
  message: `${field} is canonical`,
  holds: (v) => v.canonical(field),
});

/** Checks on the guest-state area but for segment registers (SDM vol. 3, 26.3.1). */
export const GUEST_RULES: readonly EntryRule[] = [
  {
    fields: ['GUEST_CR0'],
    section: REGISTERS,
    message:
      'GUEST_CR0 has only values that VMX operation supports (NE is 1; PE and PG too without "unrestricted guest")',
    holds: (v) => {
      const { cr0Fixed0, cr0Fixed1 } = v.context.capabilities;
      return fixed(v.guestCr0, v.unrestricted ? cr0Fixed0 & ~CR0_PE_PG : cr0Fixed0, cr0Fixed1);
    },
  },
  {
    fields: ['GUEST_CR0'],
    section: REGISTERS,
    message: 'CR0.PG is 1 only with CR0.PE',
    holds: (v) => v.protectedGuest || !v.pagedGuest,
  },
  {
    fields: ['GUEST_CR4'],
    section: REGISTERS,
    message: 'GUEST_CR4 has only values that VMX operation supports (VMXE is 1, unsupported bits are 0)',
    holds: (v) => fixed(v.guestCr4, v.context.capabilities.cr4Fixed0, v.context.capabilities.cr4Fixed1),
  },
  {
    fields: ['GUEST_IA32_DEBUGCTL'],
    section: REGISTERS,
    message:
      'with "load debug controls", reserved bits of GUEST_IA32_DEBUGCTL are 0 (the processor has none of its features)',
    holds: (v) => !loads(v, ENTRY_CTL.LOAD_DEBUG_CONTROLS) || v.u64('GUEST_IA32_DEBUGCTL') === 0n,
  },
  {
    fields: ['VM_ENTRY_CONTROLS', 'GUEST_CR0', 'GUEST_CR4'],
    section: REGISTERS,
    message: '"IA-32e mode guest" needs CR0.PG and CR4.PAE',
    holds: (v) => !v.longGuest || (v.pagedGuest && bit(v.guestCr4, CR4.PAE)),
  },
  {
    fields: ['GUEST_CR4', 'VM_ENTRY_CONTROLS'],
    section: REGISTERS,
    message: 'CR4.PCIDE is 1 only with "IA-32e mode guest"',
    holds: (v) => v.longGuest || !bit(v.guestCr4, CR4.PCIDE),
  },
  {
    fields: ['GUEST_CR3'],
    section: REGISTERS,
    message: 'GUEST_CR3 is within the physical-address width',
    holds: (v) => v.physical(v.u64('GUEST_CR3')),
  },
  {
    fields: ['GUEST_DR7'],
    section: REGISTERS,
    message: 'with "load debug controls", bits 63:32 of GUEST_DR7 are 0',
    holds: (v) => !loads(v, ENTRY_CTL.LOAD_DEBUG_CONTROLS) || v.u64('GUEST_DR7') >> 32n === 0n,
  },
  canonical('GUEST_SYSENTER_ESP', REGISTERS),
  canonical('GUEST_SYSENTER_EIP', REGISTERS),
  {
    fields: ['GUEST_IA32_PAT'],
    section: REGISTERS,
    message: 'with "load IA32_PAT", each byte of GUEST_IA32_PAT is 0, 1, 4, 5, 6 or 7',
    holds: (v) => !loads(v, ENTRY_CTL.LOAD_IA32_PAT) || isValidPat(v.u64('GUEST_IA32_PAT')),
  },
  {
    fields: ['GUEST_IA32_EFER'],
    section: REGISTERS,
    message: 'with "load IA32_EFER", reserved bits of GUEST_IA32_EFER are 0',
    holds: (v) =>
      !loads(v, ENTRY_CTL.LOAD_IA32_EFER) || (v.u64('GUEST_IA32_EFER') & ~v.context.capabilities.processor.efer) === 0n,
  },
  {
    fields: ['GUEST_IA32_EFER', 'VM_ENTRY_CONTROLS', 'GUEST_CR0'],
    section: REGISTERS,
    message: 'with "load IA32_EFER", LMA equals "IA-32e mode guest", and LME too where CR0.PG is 1',
    holds: (v) => {
      const efer = v.u64('GUEST_IA32_EFER');
      const lma = bit(efer, EFER.LMA);
      return (
        !loads(v, ENTRY_CTL.LOAD_IA32_EFER) || (lma === v.longGuest && (!v.pagedGuest || bit(efer, EFER.LME) === lma))
      );
    },
  },

  canonical('GUEST_GDTR_BASE', TABLES),
  canonical('GUEST_IDTR_BASE', TABLES),
  {
    fields: ['GUEST_GDTR_LIMIT'],
    section: TABLES,
    message: 'bits 31:16 of GUEST_GDTR_LIMIT are 0',
    holds: (v) => v.u32('GUEST_GDTR_LIMIT') >>> 16 === 0,
  },
  {
    fields: ['GUEST_IDTR_LIMIT'],
    section: TABLES,
    message: 'bits 31:16 of GUEST_IDTR_LIMIT are 0',
    holds: (v) => v.u32('GUEST_IDTR_LIMIT') >>> 16 === 0,
  },

  {
    fields: ['GUEST_RIP', 'GUEST_CS_AR_BYTES'],
    section: RIP_RFLAGS,
    message:
      'GUEST_RIP is below 4 GiB outside 64-bit mode, and in it the bits above the linear-address width are identical',
    holds: (v) => {
      const rip = v.u64('GUEST_RIP');
      if (!codeIs64(v)) return rip >> 32n === 0n;
      const width = BigInt(v.context.capabilities.processor.linearBits);
      const high = rip >> width;
      return high === 0n || high === (1n << (64n - width)) - 1n;
    },
  },
  {
    fields: ['GUEST_RFLAGS'],
    section: RIP_RFLAGS,
    message: 'reserved bits of GUEST_RFLAGS (63:22, 15, 5, 3) are 0, and bit 1 is 1',
    holds: (v) => (v.u64('GUEST_RFLAGS') & 0xffff_ffff_ffc0_802an) === 2n,
  },
  {
    fields: ['GUEST_RFLAGS', 'VM_ENTRY_CONTROLS', 'GUEST_CR0'],
    section: RIP_RFLAGS,
    message: 'RFLAGS.VM is 0 with "IA-32e mode guest" or CR0.PE = 0',
    holds: (v) => !v.v86 || (!v.longGuest && v.protectedGuest),
  },
  {
    fields: ['GUEST_RFLAGS', 'VM_ENTRY_INTR_INFO_FIELD'],
    section: RIP_RFLAGS,
    message: 'RFLAGS.IF is 1 when an external interrupt is injected',
    holds: (v) => !injects(v, INTR_TYPE.EXT_INTR) || v.flag(RFLAGS.IF),
  },

  {
    fields: ['GUEST_ACTIVITY_STATE'],
    section: NON_REGISTER,
    message: 'GUEST_ACTIVITY_STATE is 0 to 3 and supported (IA32_VMX_MISC)',
    holds: (v) =>
      activity(v) === 0 || (activity(v) <= 3 && ((v.context.capabilities.activityStates >> activity(v)) & 1) === 1),
  },
  {
    fields: ['GUEST_ACTIVITY_STATE', 'GUEST_SS_AR_BYTES'],
    section: NON_REGISTER,
    message: 'the activity state is not HLT unless DPL of SS is 0',
    holds: (v) => activity(v) !== ACTIVITY_STATE.HLT || ((v.u32('GUEST_SS_AR_BYTES') >>> RIGHTS.DPL_SHIFT) & 3) === 0,
  },
  {
    fields: ['GUEST_ACTIVITY_STATE', 'GUEST_INTERRUPTIBILITY_INFO'],
    section: NON_REGISTER,
    message: 'the activity state is active while STI or MOV SS blocks events',
    holds: (v) => !blocked(v, INTERRUPTIBILITY.STI | INTERRUPTIBILITY.MOV_SS) || activity(v) === ACTIVITY_STATE.ACTIVE,
  },
  {
    fields: ['GUEST_ACTIVITY_STATE', 'VM_ENTRY_INTR_INFO_FIELD'],
    section: NON_REGISTER,
    message: 'the event to inject is one that the activity state admits',
    holds: injectable,
  },
  {
    fields: ['GUEST_INTERRUPTIBILITY_INFO'],
    section: NON_REGISTER,
    message:
      'reserved bits 31:5 of the interruptibility state are 0, and so are blocking by SMI (2) and enclave interruption (4)',
    holds: (v) => (v.u32('GUEST_INTERRUPTIBILITY_INFO') & ~0xb) === 0,
  },
  {
    fields: ['GUEST_INTERRUPTIBILITY_INFO'],
    section: NON_REGISTER,
    message: 'blocking by STI and by MOV SS are not both 1',
    holds: (v) => !blocked(v, INTERRUPTIBILITY.STI) || !blocked(v, INTERRUPTIBILITY.MOV_SS),
  },
  {
    fields: ['GUEST_INTERRUPTIBILITY_INFO', 'GUEST_RFLAGS'],
    section: NON_REGISTER,
    message: 'blocking by STI is 0 when RFLAGS.IF is 0',
    holds: (v) => !blocked(v, INTERRUPTIBILITY.STI) || v.flag(RFLAGS.IF),
  },
  {
    fields: ['GUEST_INTERRUPTIBILITY_INFO', 'VM_ENTRY_INTR_INFO_FIELD'],
    section: NON_REGISTER,
    message: 'blocking by STI and by MOV SS are 0 when an external interrupt is injected',
    holds: (v) => !injects(v, INTR_TYPE.EXT_INTR) || !blocked(v, INTERRUPTIBILITY.STI | INTERRUPTIBILITY.MOV_SS),
  },
  {
    fields: ['GUEST_INTERRUPTIBILITY_INFO', 'VM_ENTRY_INTR_INFO_FIELD'],
    section: NON_REGISTER,
    qualification: 3,
    message: 'blocking by MOV SS is 0 when an NMI is injected',
    holds: (v) => !injects(v, INTR_TYPE.NMI_INTR) || !blocked(v, INTERRUPTIBILITY.MOV_SS),
  },
  {
    fields: ['GUEST_INTERRUPTIBILITY_INFO', 'VM_ENTRY_INTR_INFO_FIELD'],
    section: NON_REGISTER,
    qualification: 3,
    message: 'with "virtual NMIs", blocking by NMI is 0 when an NMI is injected',
    holds: (v) =>
      (v.pin & PIN.VIRTUAL_NMIS) === 0 || !injects(v, INTR_TYPE.NMI_INTR) || !blocked(v, INTERRUPTIBILITY.NMI),
  },
  {
    fields: ['GUEST_PENDING_DBG_EXCEPTIONS'],
    section: NON_REGISTER,
    message: 'reserved bits 11:4, 13 and 63:15 of the pending debug exceptions are 0',
    holds: (v) => (v.u64('GUEST_PENDING_DBG_EXCEPTIONS') & ~0x500fn) === 0n,
  },
  {
    fields: ['GUEST_PENDING_DBG_EXCEPTIONS', 'GUEST_RFLAGS', 'GUEST_INTERRUPTIBILITY_INFO', 'GUEST_ACTIVITY_STATE'],
    section: NON_REGISTER,
    message: 'under blocking by STI or MOV SS or in HLT, BS (14) of the pending debug exceptions equals RFLAGS.TF',
    holds: (v) => {
      if (!blocked(v, INTERRUPTIBILITY.STI | INTERRUPTIBILITY.MOV_SS) && activity(v) !== ACTIVITY_STATE.HLT)
        return true;
      return bit(v.u64('GUEST_PENDING_DBG_EXCEPTIONS'), PENDING_DBG.BS) === v.flag(RFLAGS.TF);
    },
  },
  {
    fields: ['VMCS_LINK_POINTER'],
    section: NON_REGISTER,
    qualification: 4,
    message:
      'the VMCS link pointer is all ones, or the aligned address, within the physical-address width, of another region with this revision',
    holds: (v) => {
      const link = v.u64('VMCS_LINK_POINTER');
      if (link === 0xffff_ffff_ffff_ffffn) return true;
      const { memory, capabilities } = v.context;
      return (
        link !== v.vmcs.address &&
        v.frame('VMCS_LINK_POINTER') &&
        memory.contains(link, 4) &&
        memory.read32(hpa(link)) === capabilities.revision
      );
    },
  },
  {
    fields: ['GUEST_PDPTR0', 'GUEST_PDPTR1', 'GUEST_PDPTR2', 'GUEST_PDPTR3', 'GUEST_CR3'],
    section: '26.3.1.6',
    qualification: 2,
    message: 'with PAE paging, present PDPTEs (the fields under EPT, else those at GUEST_CR3) have reserved bits zero',
    holds: (v) => {
      if (!v.paeGuest) return true;
      const { memory, capabilities } = v.context;
      const pdptes = v.ept ? PDPTES.map((f) => v.u64(f)) : readPdptes(memory, v.u64('GUEST_CR3'));
      return pdptes !== undefined && pdptesAreValid(pdptes, capabilities.processor.physicalBits);
    },
  },
];

const PDPTES = ['GUEST_PDPTR0', 'GUEST_PDPTR1', 'GUEST_PDPTR2', 'GUEST_PDPTR3'] as const;
