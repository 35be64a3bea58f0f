import type { CpuState, SegmentCache } from '../../hw/state/cpu-state';
import { SEG, SLOT } from '../../hw/state/layout';
import { RFLAGS, IOPL_SHIFT } from '../../isa/flags';
import type { FlagName } from '../../isa/flags';
import { GPR64, SEGMENTS, gprPart } from '../../isa/registers';
import { MSR } from '../../isa/msrs';
import { FP_NAMES, WIDE_NAMES, readNarrow } from './fp-registers';
import type { RegisterFile } from '../stack/frame-registers';
import type { GuestView } from './view';
import type { SpaceAddress } from '../types';

/** Registers with a slot of their own, by the manual's names in lower case. */
const SLOTS: Readonly<Record<string, number>> = {
  cr0: SLOT.CR0,
  cr2: SLOT.CR2,
  cr3: SLOT.CR3,
  cr4: SLOT.CR4,
  cr8: SLOT.CR8,
  efer: SLOT.EFER,
  dr0: SLOT.DR0,
  dr1: SLOT.DR0 + 1,
  dr2: SLOT.DR0 + 2,
  dr3: SLOT.DR0 + 3,
  dr6: SLOT.DR6,
  dr7: SLOT.DR7,
  gdtr_base: SLOT.GDTR_BASE,
  gdtr_limit: SLOT.GDTR_LIMIT,
  idtr_base: SLOT.IDTR_BASE,
  idtr_limit: SLOT.IDTR_LIMIT,
  star: SLOT.STAR,
  lstar: SLOT.LSTAR,
  cstar: SLOT.CSTAR,
  sfmask: SLOT.SFMASK,
  kernel_gs_base: SLOT.KERNEL_GS_BASE,
  sysenter_cs: SLOT.SYSENTER_CS,
  sysenter_esp: SLOT.SYSENTER_ESP,
  sysenter_eip: SLOT.SYSENTER_EIP,
  pat: SLOT.PAT,
  apic_base: SLOT.APIC_BASE,
  tsc_aux: SLOT.TSC_AUX,
  pkru: SLOT.PKRU,
  xcr0: SLOT.XCR0,
};

/** Registers besides the general ones that hold a linear address, or an offset that stands for one. */
const LINEAR = /^([re]ip|cr2|dr[0-3]|[lc]star|kernel_gs_base|sysenter_e[si]p|([c-gs]s|ldtr|tr|gdtr|idtr)_base)$/;

/** What a register's value is the address of: flags, selectors, limits, bytes and words are not addresses. */
export function registerAddress(written: string, value: bigint): SpaceAddress | undefined {
  const name = written.toLowerCase();
  const part = gprPart(name);
  if (part ? part.width >= 32 : LINEAR.test(name)) return { space: 'gva', value };
  // The low 12 bits are PCD, PWT or a PCID, and the APIC's enable bits; bit 63 is not kept.
  return name === 'cr3' || name === 'apic_base'
    ? { space: 'gpa', value: BigInt.asUintN(52, value) & ~0xfffn }
    : undefined;
}

const ALL_SEGMENTS = [...SEGMENTS, 'ldtr', 'tr'] as const;
const SEGMENT_INDEX: ReadonlyMap<string, number> = new Map(ALL_SEGMENTS.map((name, i) => [name, i]));

/**
 * A register's value, or a flag's truth value; case counts for nothing. Undefined: no register of that name.
 * @param file what the general registers, RIP and RFLAGS are: those of the top frame, unless given
 */
export function readRegister(
  g: GuestView,
  written: string,
  file: RegisterFile = g.state,
): bigint | boolean | undefined {
  const s: CpuState = g.state;
  const name = written.toLowerCase();
  const part = gprPart(name);
  if (part) return BigInt.asUintN(part.width, file.get(part.index) >> BigInt(part.shift));
  switch (name) {
    case 'cr0':
      return g.control(0);
    case 'cr4':
      return g.control(4);
    case 'efer':
      // the hardware's has SVME while SVM runs the guest
      return g.accelerator.readMsr(MSR.EFER) ?? s.get(SLOT.EFER);
    case 'rip':
      return file.rip;
    case 'eip':
      return BigInt.asUintN(32, file.rip);
    case 'ip':
      return BigInt.asUintN(16, file.rip);
    case 'rflags':
    case 'eflags':
      return file.rflags;
    case 'flags':
      return BigInt.asUintN(16, file.rflags);
    case 'cpl':
      return BigInt(s.cpl);
    case 'iopl':
      return (file.rflags >> BigInt(IOPL_SHIFT)) & 3n;
  }
  const slot = Object.hasOwn(SLOTS, name) ? SLOTS[name] : undefined;
  if (slot !== undefined) return s.get(slot);
  const segment = SEGMENT_INDEX.get(name);
  if (segment !== undefined) return BigInt(s.segment(segment).selector);
  const of = segmentField(name);
  if (of) return BigInt(s.segment(of.index)[of.field]);
  const fp = readNarrow(s, name);
  if (fp !== undefined) return fp;
  const flag = written.toUpperCase();
  return isFlag(flag) ? ((file.rflags >> BigInt(RFLAGS[flag])) & 1n) === 1n : undefined;
}

/** `cs`, `cs_base`, `cs_limit`, `cs_rights`. */
export function segmentField(name: string): { readonly index: number; readonly field: keyof SegmentCache } | undefined {
  const [, segment, field] = /^([c-gs]s|ldtr|tr)(?:_(base|limit|rights))?$/.exec(name) ?? [];
  const index = segment === undefined ? undefined : SEGMENT_INDEX.get(segment);
  return index === undefined ? undefined : { index, field: (field as keyof SegmentCache | undefined) ?? 'selector' };
}

/** An MSR by its name in the manual, in lower case. */
export function msrNumber(name: string): number | undefined {
  const msrs: Readonly<Record<string, number>> = MSR;
  const upper = name.toUpperCase();
  return Object.hasOwn(msrs, upper) ? msrs[upper] : undefined;
}

const isFlag = (name: string): name is FlagName => Object.hasOwn(RFLAGS, name);

/** Every name that `readRegister` answers to and that is worth offering. */
export const REGISTER_NAMES: readonly string[] = [
  ...GPR64,
  'rip',
  'rflags',
  'cpl',
  'iopl',
  ...Object.keys(SLOTS),
  ...ALL_SEGMENTS,
  ...ALL_SEGMENTS.flatMap((n) => [`${n}_base`, `${n}_limit`, `${n}_rights`]),
  ...FP_NAMES,
  ...WIDE_NAMES,
  ...Object.keys(RFLAGS),
];
export const isRegisterName = (written: string): boolean => {
  const name = written.toLowerCase();
  return (
    gprPart(name) !== undefined ||
    ['eip', 'ip', 'eflags', 'flags'].includes(name) ||
    REGISTER_NAMES.some((n) => n.toLowerCase() === name)
  );
};

/** The index of a segment register by its name. */
export const segmentIndex = (name: string): number => SEGMENT_INDEX.get(name) ?? SEG.DS;
