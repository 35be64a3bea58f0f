import { CR4, EFER } from '../../isa/flags';
import { XCR0_MASK, XSAVE_SIZE } from '../../isa/xstate';

/** EAX EBX ECX EDX, unsigned. */
export type CpuidRegisters = readonly [number, number, number, number];

const REG = { eax: 0, ebx: 1, ecx: 2, edx: 3 } as const;

/**
 * Feature flags by the manual's names: leaf, subleaf, register and bit (SDM vol. 2, CPUID). A model is a set of these names, and whatever depends on a
 * feature (a CR4 bit, an MSR, an instruction that is #UD without it) asks the model, so that CPUID and behaviour cannot disagree.
 */
const FEATURES = {
  VMX: [1, 0, 'ecx', 5],
  MONITOR: [1, 0, 'ecx', 3],
  CX16: [1, 0, 'ecx', 13],
  PCID: [1, 0, 'ecx', 17],
  X2APIC: [1, 0, 'ecx', 21],
  MOVBE: [1, 0, 'ecx', 22],
  POPCNT: [1, 0, 'ecx', 23],
  TSC_DEADLINE: [1, 0, 'ecx', 24],
  XSAVE: [1, 0, 'ecx', 26],
  RDRAND: [1, 0, 'ecx', 30],
  HYPERVISOR: [1, 0, 'ecx', 31],
  FPU: [1, 0, 'edx', 0],
  VME: [1, 0, 'edx', 1],
  DE: [1, 0, 'edx', 2],
  PSE: [1, 0, 'edx', 3],
  TSC: [1, 0, 'edx', 4],
  MSR: [1, 0, 'edx', 5],
  PAE: [1, 0, 'edx', 6],
  MCE: [1, 0, 'edx', 7],
  CX8: [1, 0, 'edx', 8],
  APIC: [1, 0, 'edx', 9],
  SEP: [1, 0, 'edx', 11],
  MTRR: [1, 0, 'edx', 12],
  PGE: [1, 0, 'edx', 13],
  MCA: [1, 0, 'edx', 14],
  CMOV: [1, 0, 'edx', 15],
  PAT: [1, 0, 'edx', 16],
  PSE36: [1, 0, 'edx', 17],
  CLFSH: [1, 0, 'edx', 19],
  MMX: [1, 0, 'edx', 23],
  FXSR: [1, 0, 'edx', 24],
  SSE: [1, 0, 'edx', 25],
  SSE2: [1, 0, 'edx', 26],
  FSGSBASE: [7, 0, 'ebx', 0],
  BMI1: [7, 0, 'ebx', 3],
  /** x87's operand pointer is updated by unmasked exceptions alone, and its selectors are zero. */
  FDP_EXCPTN_ONLY: [7, 0, 'ebx', 6],
  ZERO_FCS_FDS: [7, 0, 'ebx', 13],
  SMEP: [7, 0, 'ebx', 7],
  BMI2: [7, 0, 'ebx', 8],
  INVPCID: [7, 0, 'ebx', 10],
  RDSEED: [7, 0, 'ebx', 18],
  ADX: [7, 0, 'ebx', 19],
  SMAP: [7, 0, 'ebx', 20],
  CLFLUSHOPT: [7, 0, 'ebx', 23],
  CLWB: [7, 0, 'ebx', 24],
  UMIP: [7, 0, 'ecx', 2],
  PKU: [7, 0, 'ecx', 3],
  LA57: [7, 0, 'ecx', 16],
  RDPID: [7, 0, 'ecx', 22],
  LAHF64: [0x8000_0001, 0, 'ecx', 0],
  SVM: [0x8000_0001, 0, 'ecx', 2],
  /** Leaf 8000_000A: nested paging, next-RIP save, flush by ASID, decode assists, VMCB clean bits, virtual NMIs. */
  NPT: [0x8000_000a, 0, 'edx', 0],
  NRIPS: [0x8000_000a, 0, 'edx', 3],
  VMCB_CLEAN: [0x8000_000a, 0, 'edx', 5],
  FLUSH_BY_ASID: [0x8000_000a, 0, 'edx', 6],
  DECODE_ASSISTS: [0x8000_000a, 0, 'edx', 7],
  VNMI: [0x8000_000a, 0, 'edx', 25],

  LZCNT: [0x8000_0001, 0, 'ecx', 5],
  PREFETCHW: [0x8000_0001, 0, 'ecx', 8],
  SYSCALL: [0x8000_0001, 0, 'edx', 11],
  NX: [0x8000_0001, 0, 'edx', 20],
  PAGE1GB: [0x8000_0001, 0, 'edx', 26],
  RDTSCP: [0x8000_0001, 0, 'edx', 27],
  LM: [0x8000_0001, 0, 'edx', 29],
} as const satisfies Readonly<Record<string, readonly [number, number, keyof typeof REG, number]>>;
export type CpuFeature = keyof typeof FEATURES;

/** CR4 bits and the feature that makes each writable; bits not listed are reserved. */
const CR4_FEATURES: readonly (readonly [keyof typeof CR4, CpuFeature])[] = [
  ['VME', 'VME'],
  ['PVI', 'VME'],
  ['TSD', 'TSC'],
  ['DE', 'DE'],
  ['PSE', 'PSE'],
  ['PAE', 'PAE'],
  ['MCE', 'MCE'],
  ['PGE', 'PGE'],
  ['OSFXSR', 'FXSR'],
  ['OSXMMEXCPT', 'SSE'],
  ['UMIP', 'UMIP'],
  ['LA57', 'LA57'],
  ['VMXE', 'VMX'],
  ['FSGSBASE', 'FSGSBASE'],
  ['PCIDE', 'PCID'],
  ['OSXSAVE', 'XSAVE'],
  ['SMEP', 'SMEP'],
  ['SMAP', 'SMAP'],
  ['PKE', 'PKU'],
];
const EFER_FEATURES: readonly (readonly [keyof typeof EFER, CpuFeature])[] = [
  ['SCE', 'SYSCALL'],
  ['LME', 'LM'],
  ['LMA', 'LM'],
  ['NXE', 'NX'],
  ['SVME', 'SVM'],
];

/** What a CPU model says it is and how wide its addresses are. */
export interface CpuidModel {
  readonly name: string;
  /** Sets vendor-defined behaviour: SYSCALL outside 64-bit mode, null selectors, and the like. */
  readonly vendor: 'intel' | 'amd';
  /** MAXPHYADDR, 36–52. */
  readonly physicalBits: number;
  /** 48, or 57 with LA57. */
  readonly linearBits: number;
  /** 1 GiB pages, as the feature PAGE1GB says. */
  readonly pages1g: boolean;
  /** RDMSR of an MSR that it does not have reads 0, and WRMSR of one does nothing, where hardware raises #GP. */
  readonly ignoresUnknownMsrs?: true;
  has(feature: CpuFeature): boolean;
  /** Bits of CR4 and EFER that may be set. */
  readonly cr4Mask: bigint;
  readonly eferMask: bigint;
  /** EAX EBX ECX EDX of a leaf; unknown leaves answer as the highest basic leaf does (SDM vol. 2, CPUID). */
  leaf(leaf: number, subleaf: number): CpuidRegisters;
}

/** What a model is made of. */
export interface CpuDefinition {
  readonly name: string;
  readonly vendor: 'intel' | 'amd';
  /** Up to 48 characters for leaves 80000002–80000004. */
  readonly brand: string;
  readonly family: number;
  readonly model: number;
  readonly stepping: number;
  readonly physicalBits: number;
  readonly linearBits: number;
  readonly features: readonly CpuFeature[];
}

/** ASIDs of the SVM models: 0 is the host's. */
export const SVM_ASIDS = 0x8000;
const SVM_REVISION = 1;

const VENDOR_STRING = { intel: 'GenuineIntel', amd: 'AuthenticAMD' } as const;

/** Four ASCII characters as a little-endian register. */
const chars = (text: string, at: number): number =>
  (text.charCodeAt(at) |
    (text.charCodeAt(at + 1) << 8) |
    (text.charCodeAt(at + 2) << 16) |
    (text.charCodeAt(at + 3) << 24)) >>>
  0;

/**
 * Leaf 1 EAX (SDM vol. 2, figure 3-6):
 *
 *   27        20 19       16 13 12 11    8 7    4 3       0
 *  | ext. family | ext. model | 0 | family | model | stepping |
 */
function signature(d: CpuDefinition): number {
  const family = d.family >= 15 ? 15 : d.family;
  const extended = d.family >= 15 ? d.family - 15 : 0;
  return (extended << 20) | ((d.model >> 4) << 16) | (family << 8) | ((d.model & 15) << 4) | d.stepping;
}

export function defineCpu(d: CpuDefinition): CpuidModel {
  const features = new Set<CpuFeature>(d.features);
  const mask = (
    table: readonly (readonly [string, CpuFeature])[],
    positions: Readonly<Record<string, number>>,
  ): bigint =>
    table.reduce((m, [name, feature]) => (features.has(feature) ? m | (1n << BigInt(positions[name] ?? 0)) : m), 0n);
  const brand = d.brand.padEnd(48, '\0');
  const maxBasic = features.has('XSAVE') ? 0xd : 7;
  const maxExtended = features.has('SVM') ? 0x8000_000a : 0x8000_0008;

  const own = (leaf: number, subleaf: number): [number, number, number, number] => {
    const vendor = VENDOR_STRING[d.vendor];
    switch (leaf) {
      case 0:
        return [maxBasic, chars(vendor, 0), chars(vendor, 8), chars(vendor, 4)];
      case 1:
        // EBX: one logical processor, initial APIC ID 0, CLFLUSH line of 8 × 8 bytes
        return [signature(d), (1 << 16) | (features.has('CLFSH') ? 8 << 8 : 0), 0, 0];
      case 0xd:
        // components of XCR0, and the bytes that XSAVE needs for those enabled and for all; no XSAVEOPT or compaction
        return subleaf === 0 && features.has('XSAVE') ? [Number(XCR0_MASK), XSAVE_SIZE, XSAVE_SIZE, 0] : [0, 0, 0, 0];
      case 0x8000_0000:
        return [maxExtended, 0, 0, 0];
      case 0x8000_0002:
      case 0x8000_0003:
      case 0x8000_0004: {
        const at = (leaf - 0x8000_0002) * 16;
        return [chars(brand, at), chars(brand, at + 4), chars(brand, at + 8), chars(brand, at + 12)];
      }
      case 0x8000_0008:
        return [d.physicalBits | (d.linearBits << 8), 0, 0, 0];
      case 0x8000_000a:
        return features.has('SVM') ? [SVM_REVISION, SVM_ASIDS, 0, 0] : [0, 0, 0, 0];
      default:
        return [0, 0, 0, 0];
    }
  };

  return {
    name: d.name,
    vendor: d.vendor,
    physicalBits: d.physicalBits,
    linearBits: d.linearBits,
    pages1g: features.has('PAGE1GB'),
    has: (feature) => features.has(feature),
    cr4Mask: mask(CR4_FEATURES, CR4),
    eferMask: mask(EFER_FEATURES, EFER),
    leaf(leaf, subleaf) {
      let asked = leaf >>> 0;
      const known = asked <= maxBasic || (asked >= 0x8000_0000 && asked <= maxExtended);
      if (!known) asked = maxBasic;
      const out = own(asked, subleaf);
      for (const f of features) {
        const [l, sub, register, bit] = FEATURES[f];
        if (l === asked && (l !== 7 || sub === subleaf)) out[REG[register]] = (out[REG[register]] | (1 << bit)) >>> 0;
      }
      return out;
    },
  };
}

/** Integer work, x87, MMX and SSE2, address translation, and nothing that is not there: no AVX or APIC. */
const FEATURES_X64: readonly CpuFeature[] = [
  'VMX',
  'CX16',
  'PCID',
  'MOVBE',
  'POPCNT',
  'VME',
  'DE',
  'PSE',
  'TSC',
  'MSR',
  'PAE',
  'MCE',
  'CX8',
  'SEP',
  'MTRR',
  'PGE',
  'MCA',
  'CMOV',
  'PAT',
  'PSE36',
  'CLFSH',
  'FSGSBASE',
  'BMI1',
  'SMEP',
  'BMI2',
  'INVPCID',
  'ADX',
  'SMAP',
  'CLFLUSHOPT',
  'CLWB',
  'UMIP',
  'FPU',
  'MMX',
  'FXSR',
  'SSE',
  'SSE2',
  'XSAVE',
  'RDRAND',
  'RDSEED',
  'FDP_EXCPTN_ONLY',
  'ZERO_FCS_FDS',
  'LAHF64',
  'LZCNT',
  'PREFETCHW',
  'SYSCALL',
  'NX',
  'PAGE1GB',
  'RDTSCP',
  'LM',
];

/** The default processor. Family 6 model 0x5e is a Skylake client, whose paging features these are. */
export const PAGEWALK_X64: CpuidModel = defineCpu({
  name: 'pagewalk-x64',
  vendor: 'intel',
  brand: 'Pagewalk x86-64',
  family: 6,
  model: 0x5e,
  stepping: 3,
  physicalBits: 46,
  linearBits: 48,
  features: FEATURES_X64,
});

/** The default processor with 5-level paging, protection keys and 52 physical bits, as from Ice Lake (model 0x6a) on. */
export const PAGEWALK_X64_LA57: CpuidModel = defineCpu({
  name: 'pagewalk-x64-la57',
  vendor: 'intel',
  brand: 'Pagewalk x86-64 LA57',
  family: 6,
  model: 0x6a,
  stepping: 6,
  physicalBits: 52,
  linearBits: 57,
  features: [...FEATURES_X64, 'LA57', 'PKU'],
});

/** The default processor without 1 GiB pages, as before Westmere, in ordinary tables and in EPT. */
const PAGEWALK_X64_NO1G: CpuidModel = defineCpu({
  name: 'pagewalk-x64-no1g',
  vendor: 'intel',
  brand: 'Pagewalk x86-64, no 1 GiB pages',
  family: 6,
  model: 0x5e,
  stepping: 3,
  physicalBits: 46,
  linearBits: 48,
  features: FEATURES_X64.filter((f) => f !== 'PAGE1GB'),
});

/** AMD's counterpart of the default processor: SVM with nested paging. Family 0x19 model 0x11 is a Zen 4 server, whose features these are as far as they go. */
const ZEN4: Omit<CpuDefinition, 'name' | 'brand'> = {
  vendor: 'amd',
  family: 0x19,
  model: 0x11,
  stepping: 1,
  physicalBits: 48,
  linearBits: 48,
  features: [
    ...FEATURES_X64.filter((f) => f !== 'VMX'),
    'SVM',
    'NPT',
    'NRIPS',
    'VMCB_CLEAN',
    'FLUSH_BY_ASID',
    'DECODE_ASSISTS',
    'VNMI',
  ],
};
export const PAGEWALK_SVM: CpuidModel = defineCpu({ ...ZEN4, name: 'pagewalk-svm', brand: 'Pagewalk x86-64 SVM' });

/** The same with 5-level paging, which its host then uses, and nested tables with it; protection keys and 52 physical bits. */
const PAGEWALK_SVM_LA57: CpuidModel = defineCpu({
  ...ZEN4,
  name: 'pagewalk-svm-la57',
  brand: 'Pagewalk x86-64 SVM LA57',
  physicalBits: 52,
  linearBits: 57,
  features: [...ZEN4.features, 'LA57', 'PKU'],
});

/** Models by name. */
export const CPU_MODELS: ReadonlyMap<string, CpuidModel> = new Map(
  [PAGEWALK_X64, PAGEWALK_X64_LA57, PAGEWALK_X64_NO1G, PAGEWALK_SVM, PAGEWALK_SVM_LA57].map((m) => [m.name, m]),
);
