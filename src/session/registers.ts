import type { CpuState } from '../hw/state/cpu-state';
import { SEG, SLOT } from '../hw/state/layout';
import { RFLAGS, IOPL_SHIFT } from '../isa/flags';
import type { FlagName } from '../isa/flags';
import { GPR64, SEGMENTS, gprPart } from '../isa/registers';
import type { GuestView } from './guest-view';
import type { SpaceAddress } from './types';

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

/** A register's value, or a flag's truth value; case counts for nothing. Undefined: no register of that name. */
export function readRegister(g: GuestView, written: string): bigint | boolean | undefined {
  const s: CpuState = g.state;
  const name = written.toLowerCase();
  const part = gprPart(name);
  if (part) return BigInt.asUintN(part.width, s.get(part.index) >> BigInt(part.shift));
  switch (name) {
    case 'cr0':
      return g.control(0);
    case 'cr4':
      return g.control(4);
    case 'rip':
      return s.rip;
    case 'eip':
      return BigInt.asUintN(32, s.rip);
    case 'ip':
      return BigInt.asUintN(16, s.rip);
    case 'rflags':
    case 'eflags':
      return s.rflags;
    case 'flags':
      return BigInt.asUintN(16, s.rflags);
    case 'cpl':
      return BigInt(s.cpl);
    case 'iopl':
      return (s.rflags >> BigInt(IOPL_SHIFT)) & 3n;
  }
  const slot = Object.hasOwn(SLOTS, name) ? SLOTS[name] : undefined;
  if (slot !== undefined) return s.get(slot);
  const segment = SEGMENT_INDEX.get(name);
  if (segment !== undefined) return BigInt(s.segment(segment).selector);
  const field = /^([c-gs]s|ldtr|tr)_(base|limit|rights)$/.exec(name);
  const index = field?.[1] === undefined ? undefined : SEGMENT_INDEX.get(field[1]);
  if (index !== undefined) {
    const cache = s.segment(index);
    return field?.[2] === 'base' ? cache.base : BigInt(field?.[2] === 'limit' ? cache.limit : cache.rights);
  }
  const flag = written.toUpperCase();
  return isFlag(flag) ? ((s.rflags >> BigInt(RFLAGS[flag])) & 1n) === 1n : undefined;
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

/**
 * Stores into a register of the guest, wherever it lies: in the CPU, or in the VMCS and KVM's register area while an exit is handled. Control registers other than
 * CR2 and CR3, and segments, are not for a debugger to write one at a time: their consistency is checked by the instructions that load them.
 * @returns undefined when done, else why not
 */
export function writeRegister(g: GuestView, written: string, value: bigint): string | undefined {
  const name = written.toLowerCase();
  const s = g.state;
  const part = gprPart(name);
  const flag = written.toUpperCase();
  if (part) {
    const mask = ((1n << BigInt(part.width)) - 1n) << BigInt(part.shift);
    // a 32-bit write clears the upper half, as the instructions do
    s.set(
      part.index,
      part.width === 32
        ? BigInt.asUintN(32, value)
        : (s.get(part.index) & ~mask) | ((value << BigInt(part.shift)) & mask),
    );
  } else if (isFlag(flag)) {
    const at = 1n << BigInt(RFLAGS[flag]);
    s.rflags = value === 0n ? s.rflags & ~at : s.rflags | at;
  } else {
    switch (name) {
      case 'rip':
      case 'eip':
      case 'ip':
        s.rip = value;
        break;
      case 'rflags':
      case 'eflags':
      case 'flags':
        s.rflags = value;
        break;
      case 'cr2':
        s.set(SLOT.CR2, value);
        break;
      case 'cr3':
        s.set(SLOT.CR3, value);
        // as after KVM_SET_SREGS: what was cached for the old tables goes
        if (g.inGuest && !g.shadow) g.cpu.mmu.cr3Loaded(g.cpu, false);
        else g.accelerator.flushGuest();
        break;
      default:
        return readRegister(g, written) === undefined
          ? `there is no register \`${written}\``
          : `\`${written}\` cannot be set from here; let the guest load it`;
    }
  }
  g.commit();
  return undefined;
}

/** The index of a segment register by its name. */
export const segmentIndex = (name: string): number => SEGMENT_INDEX.get(name) ?? SEG.DS;
