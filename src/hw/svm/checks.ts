import { bit } from '../../base/bits';
import { CR0, CR4, EFER } from '../../isa/flags';
import { EVENT, type VmcbFieldName } from '../../isa/vmcb-fields';
import { FRAME_MASK } from '../../isa/entries';
import type { Vmcb } from './vmcb';

/** What of the processor the checks depend on. */
export interface SvmCapabilities {
  readonly physicalBits: number;
  readonly cr4: bigint;
  readonly efer: bigint;
  /** ASIDs 1 … asids − 1 (CPUID 8000_000A EBX). */
  readonly asids: number;
}

export interface SvmCheckContext extends SvmCapabilities {
  /** CR0.PG of the CPU that executes VMRUN. */
  readonly hostPaging: boolean;
}

/** A check of VMRUN that the VMCB does not meet; any ends as VMEXIT_INVALID. */
export interface UnmetVmrunCheck {
  /** The fields to look at, the one to change first. */
  readonly fields: readonly VmcbFieldName[];
  /** Section of the APM, vol. 2. */
  readonly section: string;
  /** What must hold. */
  readonly message: string;
}

interface VmrunRule extends UnmetVmrunCheck {
  readonly holds: (v: Vmcb, c: SvmCheckContext) => boolean;
}

const CS_L = 1 << 9;
const CS_D = 1 << 10;
const above = (width: number): bigint => ((1n << 64n) - 1n) ^ ((1n << BigInt(width)) - 1n);
/** IOPM: three pages, of which the last is read for port 0xffff and beyond; MSRPM: two. */
const IOPM_SIZE = 0x3000n;
const MSRPM_SIZE = 0x2000n;
const fits = (base: bigint, size: bigint, c: SvmCheckContext): boolean =>
  (base & ~0xfffn) + size <= 1n << BigInt(c.physicalBits);

/** EVENTINJ (15.20): the types that exist, and vectors that are exceptions (2 is the NMI's). */
function injectable(event: bigint): boolean {
  if ((event & EVENT.VALID) === 0n) return true;
  const type = Number((event >> EVENT.TYPE_SHIFT) & 7n);
  const vector = Number(event & 0xffn);
  if (type === EVENT.TYPE.EXCEPTION) return vector < 32 && vector !== 2;
  return type === EVENT.TYPE.INTR || type === EVENT.TYPE.NMI || type === EVENT.TYPE.SOFT_INTR;
}

function validPat(pat: bigint): boolean {
  for (let i = 0n; i < 64n; i += 8n) {
    const type = (pat >> i) & 0xffn;
    if (type > 7n || type === 2n || type === 3n) return false;
  }
  return true;
}

const S = '15.5.1';
const RULES: readonly VmrunRule[] = [
  { fields: ['EFER'], section: S, message: 'EFER.SVME is 1', holds: (v) => bit(v.read('EFER'), EFER.SVME) },
  {
    fields: ['EFER'],
    section: S,
    message: 'reserved bits of EFER are 0',
    holds: (v, c) => (v.read('EFER') & ~c.efer) === 0n,
  },
  {
    fields: ['CR0'],
    section: S,
    message: 'CR0.NW is 0 where CR0.CD is 0',
    holds: (v) => bit(v.read('CR0'), CR0.CD) || !bit(v.read('CR0'), CR0.NW),
  },
  { fields: ['CR0'], section: S, message: 'CR0 bits 63:32 are 0', holds: (v) => v.read('CR0') >> 32n === 0n },
  {
    fields: ['CR3'],
    section: S,
    message: 'bits of CR3 beyond the physical-address width are 0 in long mode',
    holds: (v, c) =>
      !bit(v.read('EFER'), EFER.LME) || !bit(v.read('CR0'), CR0.PG) || (v.read('CR3') & above(c.physicalBits)) === 0n,
  },
  {
    fields: ['CR4'],
    section: S,
    message: 'reserved bits of CR4 are 0',
    holds: (v, c) => (v.read('CR4') & ~c.cr4) === 0n,
  },
  { fields: ['DR6'], section: S, message: 'DR6 bits 63:32 are 0', holds: (v) => v.read('DR6') >> 32n === 0n },
  { fields: ['DR7'], section: S, message: 'DR7 bits 63:32 are 0', holds: (v) => v.read('DR7') >> 32n === 0n },
  {
    fields: ['CR4', 'EFER', 'CR0'],
    section: S,
    message: 'CR4.PAE is 1 where EFER.LME and CR0.PG are 1',
    holds: (v) => !long(v) || bit(v.read('CR4'), CR4.PAE),
  },
  {
    fields: ['CR0', 'EFER'],
    section: S,
    message: 'CR0.PE is 1 where EFER.LME and CR0.PG are 1',
    holds: (v) => !long(v) || bit(v.read('CR0'), CR0.PE),
  },
  {
    fields: ['CS_ATTRIB', 'EFER', 'CR0', 'CR4'],
    section: S,
    message: 'CS.L and CS.D are not both 1 in long mode',
    holds: (v) => !long(v) || !bit(v.read('CR4'), CR4.PAE) || (v.read32('CS_ATTRIB') & (CS_L | CS_D)) !== (CS_L | CS_D),
  },
  {
    fields: ['INTERCEPT_MISC2'],
    section: S,
    message: 'VMRUN is intercepted',
    holds: (v) => (v.read32('INTERCEPT_MISC2') & 1) === 1,
  },
  {
    fields: ['MSRPM_BASE_PA'],
    section: S,
    message: 'the MSR permission map lies within the physical address space',
    holds: (v, c) => fits(v.read('MSRPM_BASE_PA'), MSRPM_SIZE, c),
  },
  {
    fields: ['IOPM_BASE_PA'],
    section: S,
    message: 'the I/O permission map lies within the physical address space',
    holds: (v, c) => fits(v.read('IOPM_BASE_PA'), IOPM_SIZE, c),
  },
  {
    fields: ['EVENTINJ'],
    section: '15.20',
    message: 'the event to inject is one that exists: an interrupt, an NMI, an exception other than vector 2, INT n',
    holds: (v) => injectable(v.read('EVENTINJ')),
  },
  { fields: ['GUEST_ASID'], section: S, message: 'the ASID is not 0', holds: (v) => v.read32('GUEST_ASID') !== 0 },
  {
    fields: ['GUEST_ASID'],
    section: '15.5.1',
    message: 'the ASID is one that the processor has (CPUID 8000_000A EBX)',
    holds: (v, c) => v.read32('GUEST_ASID') < c.asids,
  },
  {
    fields: ['NP_CONTROL'],
    section: '15.25.3',
    message: 'the host pages where nested paging is on',
    holds: (v, c) => c.hostPaging || !nested(v),
  },
  {
    fields: ['N_CR3'],
    section: '15.25.4',
    message: 'bits of nCR3 beyond the physical-address width are 0',
    holds: (v, c) => !nested(v) || (v.read('N_CR3') & FRAME_MASK & above(c.physicalBits)) === 0n,
  },
  {
    fields: ['G_PAT'],
    section: '15.25.8',
    message: 'every entry of G_PAT has a memory type that exists',
    holds: (v) => !nested(v) || validPat(v.read('G_PAT')),
  },
];

const long = (v: Vmcb): boolean => bit(v.read('EFER'), EFER.LME) && bit(v.read('CR0'), CR0.PG);
const nested = (v: Vmcb): boolean => (v.read('NP_CONTROL') & 1n) !== 0n;

/** The consistency checks of VMRUN (15.5.1, 15.20, 15.25) that do not hold. */
export const unmetVmrunChecks = (vmcb: Vmcb, c: SvmCheckContext): readonly UnmetVmrunCheck[] =>
  RULES.filter((r) => !r.holds(vmcb, c)).map(({ fields, section, message }) => ({ fields, section, message }));
