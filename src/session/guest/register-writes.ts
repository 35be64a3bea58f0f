/** Setting the guest's registers by hand: what the architecture refuses is refused with its reason, and nothing is cut to fit. */
import { bit, isCanonical } from '../../base/bits';
import { hex } from '../../base/hex';
import type { CpuState, SegmentCache } from '../../hw/state/cpu-state';
import { RIGHTS, SEG, SLOT } from '../../hw/state/layout';
import { CR0, EFER, IOPL_SHIFT, RFLAGS } from '../../isa/flags';
import { MSR } from '../../isa/msrs';
import { gprPart } from '../../isa/registers';
import { explainReason } from '../../isa/reasons/index';
import type { Machine } from '../../vmm/machine';
import type { SystemRegister } from '../../vmm/accelerator';
import { unmetEntryChecks } from './entry-checks';
import { FP_NAMES, writeNarrow, writeWide, WIDE_NAMES } from './fp-registers';
import type { GuestView } from './view';
import { msrNumber, readRegister, segmentField } from './registers';

const CONTROL: Readonly<Record<string, SystemRegister>> = {
  cr0: { kind: 'cr', number: 0 },
  cr4: { kind: 'cr', number: 4 },
  cr8: { kind: 'cr', number: 8 },
};
/** Bits of RFLAGS that exist: bit 1 is always 1 (SDM vol. 1, figure 3-8). */
const RFLAGS_BITS = Object.values(RFLAGS).reduce((m, n) => m | (1n << BigInt(n)), (3n << BigInt(IOPL_SHIFT)) | 2n);
/** Bits of DR6 and DR7 that can be written, and that read as one (SDM vol. 3, figure 17-1). */
const DR6_ONES = 0xffff_0ff0n;
const DR6_BITS = 0xe00fn | DR6_ONES;
const DR7_ONES = 0x400n;
const DR7_BITS = 0xffff_23ffn | DR7_ONES;

/** Whether a number, or what a negative one of that width wraps to, fits into `bits`. */
export const fits = (value: bigint, bits: number): boolean =>
  BigInt.asUintN(bits, value) === value || BigInt.asUintN(64, BigInt.asIntN(bits, value)) === value;

export class RegisterWriter {
  constructor(
    private readonly guest: GuestView,
    private readonly machine: Machine,
  ) {}

  /** A register of more than 64 bits, from its text; undefined: it is not one. */
  isWide(name: string): boolean {
    return WIDE_NAMES.includes(name.toLowerCase());
  }
  writeWide(name: string, text: string): string | undefined {
    const problem = writeWide(this.guest.state, name.toLowerCase(), text);
    if (problem === undefined) this.guest.commit();
    return problem;
  }

  /** The result: why not. */
  write(written: string, value: bigint): string | undefined {
    const name = written.toLowerCase();
    const g = this.guest;
    const s = g.state;
    const part = gprPart(name);
    if (part) {
      if (!fits(value, part.width)) return wider(name, part.width, value);
      const mask = ((1n << BigInt(part.width)) - 1n) << BigInt(part.shift);
      // a 32-bit write clears the upper half, as the instructions do
      const kept = part.width === 32 ? 0n : s.get(part.index) & ~mask;
      s.set(part.index, kept | ((value << BigInt(part.shift)) & mask));
      g.commit();
      return undefined;
    }
    const flag = flagBit(written);
    if (flag !== undefined) {
      if (value > 1n) return `${written.toUpperCase()} is one bit: 0 or 1, not ${hex(value)}`;
      return this.setRflags(value === 0n ? s.rflags & ~flag : s.rflags | flag);
    }
    switch (name) {
      case 'rip':
      case 'eip':
      case 'ip':
        return this.setRip(name, value);
      case 'rflags':
        return this.setRflags(value);
      case 'eflags':
      case 'flags': {
        const width = name === 'flags' ? 16 : 32;
        if (!fits(value, width)) return wider(name, width, value);
        return this.setRflags((s.rflags & ~((1n << BigInt(width)) - 1n)) | BigInt.asUintN(width, value));
      }
      case 'iopl':
        if (value > 3n) return `IOPL is two bits: 0 to 3, not ${hex(value)}`;
        return this.setRflags((s.rflags & ~(3n << BigInt(IOPL_SHIFT))) | (value << BigInt(IOPL_SHIFT)));
      case 'cr2':
        s.set(SLOT.CR2, value);
        g.commit();
        return undefined;
      case 'cr3':
        return this.setCr3(value);
      case 'dr6':
      case 'dr7':
        return this.setDebug(name, value);
      case 'dr0':
      case 'dr1':
      case 'dr2':
      case 'dr3':
        s.set(SLOT.DR0 + Number(name.slice(2)), value);
        g.commit();
        return undefined;
    }
    if (FP_NAMES.includes(name)) {
      const problem = writeNarrow(s, name, value);
      if (problem === undefined) g.commit();
      return problem;
    }
    const table = /^([gi])dtr_(base|limit)$/.exec(name);
    if (table) return this.setTable(table[1] === 'g' ? 'GDTR' : 'IDTR', table[2] === 'base', value);
    const segment = segmentField(name);
    if (segment) return this.setSegment(name, segment.index, segment.field, value);
    const control = CONTROL[name] ?? msrOf(name);
    if (control) return this.setSystem(name, control, value);
    return readRegister(g, written) === undefined
      ? `there is no register \`${written}\``
      : `\`${written}\` cannot be set from here; let the guest load it`;
  }

  /** An MSR by its number, as WRMSR would write it. */
  writeMsr(index: number, value: bigint): string | undefined {
    return this.setSystem(`MSR ${hex(index)}`, { kind: 'msr', index }, value);
  }

  private setRip(name: string, value: bigint): string | undefined {
    const g = this.guest;
    const width = name === 'rip' ? 64 : name === 'eip' ? 32 : 16;
    if (BigInt.asUintN(width, value) !== value) return wider(name, width, value);
    if (g.bits === 64) {
      if (!isCanonical(value, g.accelerator.guestModel.linearBits))
        return `${hex(value)} is not canonical: the upper bits differ from the highest translated bit`;
    } else if (value > BigInt(g.state.segment(SEG.CS).limit))
      return `${hex(value)} is above the limit of CS, ${hex(g.state.segment(SEG.CS).limit)}`;
    g.state.rip = value;
    g.commit();
    return undefined;
  }

  private setRflags(value: bigint): string | undefined {
    const s = this.guest.state;
    if ((value & 2n) === 0n) return 'bit 1 of RFLAGS is always 1';
    const reserved = value & ~RFLAGS_BITS;
    if (reserved !== 0n) return `reserved bits of RFLAGS cannot be set: ${hex(reserved)}`;
    if (bit(value, RFLAGS.VM) && bit(s.get(SLOT.EFER), EFER.LMA)) return 'RFLAGS.VM cannot be 1 while EFER.LMA = 1';
    if (bit(value, RFLAGS.VM) && !bit(this.guest.control(0), CR0.PE)) return 'RFLAGS.VM cannot be 1 while CR0.PE = 0';
    s.rflags = value;
    this.guest.commit();
    return undefined;
  }

  private setCr3(value: bigint): string | undefined {
    const g = this.guest;
    const { physicalBits } = g.accelerator.guestModel;
    if (value >> BigInt(physicalBits) !== 0n)
      return `CR3 bits 63:${physicalBits} must be zero (MAXPHYADDR is ${physicalBits}); the value is ${hex(value)}`;
    g.state.set(SLOT.CR3, value);
    // as after KVM_SET_SREGS: what was cached for the old tables goes
    if (g.inGuest && !g.shadow) g.cpu.mmu.cr3Loaded(g.cpu, false);
    else g.accelerator.flushGuest();
    g.commit();
    return undefined;
  }

  private setDebug(name: 'dr6' | 'dr7', value: bigint): string | undefined {
    const [bits, ones, slot] = name === 'dr6' ? [DR6_BITS, DR6_ONES, SLOT.DR6] : [DR7_BITS, DR7_ONES, SLOT.DR7];
    const reserved = value & ~bits;
    if (reserved !== 0n) return `reserved bits of ${name.toUpperCase()} cannot be set: ${hex(reserved)}`;
    return this.edit((s) => s.set(slot, value | ones));
  }

  private setTable(name: 'GDTR' | 'IDTR', isBase: boolean, value: bigint): string | undefined {
    if (isBase) {
      if (!isCanonical(value, this.guest.accelerator.guestModel.linearBits))
        return `${hex(value)} is not canonical: the upper bits differ from the highest translated bit`;
      return this.edit((s) => s.set(name === 'GDTR' ? SLOT.GDTR_BASE : SLOT.IDTR_BASE, value));
    }
    if (value > 0xffffn) return `${name}.limit has 16 bits; ${hex(value)} does not fit`;
    return this.edit((s) => s.set(name === 'GDTR' ? SLOT.GDTR_LIMIT : SLOT.IDTR_LIMIT, value));
  }

  /** Parts of a segment register's cache. No descriptor is read: the selector alone changes, and in real and virtual-8086 mode the base with it. */
  private setSegment(name: string, index: number, field: keyof SegmentCache, value: bigint): string | undefined {
    const bits = { selector: 16, base: 64, limit: 32, rights: 17 }[field];
    if (BigInt.asUintN(bits, value) !== value) return wider(name, bits, value);
    const s = this.guest.state;
    const now = s.segment(index);
    const paragraphs = !bit(this.guest.control(0), CR0.PE) || s.systemFlag(RFLAGS.VM);
    const cache: SegmentCache =
      field === 'base'
        ? { ...now, base: value }
        : field === 'selector' && paragraphs && index <= SEG.GS
          ? { ...now, selector: Number(value), base: value << 4n }
          : { ...now, [field]: Number(value) };
    if (field === 'base' && !isCanonical(value, this.guest.accelerator.guestModel.linearBits))
      return `${hex(value)} is not canonical: the upper bits differ from the highest translated bit`;
    return this.edit((state) => {
      state.setSegment(index, cache);
      if (index === SEG.SS && !paragraphs) state.cpl = (cache.rights >> RIGHTS.DPL_SHIFT) & 3;
    });
  }

  /** Edits what VM entry checks: what it would refuse is put back as it was, and the check named. */
  private edit(change: (s: CpuState) => void): string | undefined {
    const g = this.guest;
    return this.machine.outsideGuest(
      () => {
        g.refresh();
        const before = new Set(unmetEntryChecks(g));
        const kept = g.state.save();
        change(g.state);
        g.commit();
        const broken = unmetEntryChecks(g).filter((check) => !before.has(check));
        if (broken.length > 0) {
          g.state.restore(kept);
          g.commit();
        }
        return broken.length > 0 ? broken.join('; ') : undefined;
      },
      () => g.refresh(),
    );
  }

  private setSystem(name: string, register: SystemRegister, value: bigint): string | undefined {
    const g = this.guest;
    const answer = this.machine.outsideGuest(
      () => g.accelerator.load(register, value),
      () => g.refresh(),
    );
    if (answer === true || answer === undefined) return undefined;
    if (answer === false) return `${name} refuses ${hex(value)}: WRMSR of it raises #GP(0)`;
    if (typeof answer === 'string') return answer;
    const { why, section } = explainReason(answer);
    return `${why} (${section})`;
  }
}

const wider = (name: string, bits: number, value: bigint): string =>
  `${name} has ${bits} bits; ${hex(value)} does not fit`;

function flagBit(written: string): bigint | undefined {
  const name = written.toUpperCase();
  const flags: Readonly<Record<string, number>> = RFLAGS;
  const at = Object.hasOwn(flags, name) ? flags[name] : undefined;
  return at === undefined ? undefined : 1n << BigInt(at);
}
function msrOf(name: string): SystemRegister | undefined {
  const index = name === 'efer' ? MSR.EFER : msrNumber(name);
  return index === undefined ? undefined : { kind: 'msr', index };
}
