import { withoutReserved } from '../hw/cpu/system/msr-refusal';
import { MSR } from '../isa/msrs';
import { because, type FaultReason } from '../isa/reasons/index';
import {
  APIC,
  APIC_BASE_BSP,
  APIC_BASE_ENABLE,
  APIC_BASE_EXTD,
  APIC_BASE_RESET,
  DELIVERY,
  ESR,
  LVT_MASKED,
  LVT_WRITABLE,
  SVR_ENABLED,
} from './lapic-registers';
import { LapicTimer, type LapicTimerState, type TimerClock } from './lapic-timer';
import { VectorSet } from './lapic-vectors';

/** A local APIC's connections. */
export interface LapicPort extends TimerClock {
  /** Every local APIC of the VM, including this one: the interrupt bus. */
  all(): readonly Lapic[];
  /** An NMI for this VCPU. */
  nmi(): void;
  /** The task priority changed; CR8 is its bits 7:4. */
  taskPriority(tpr: number): void;
}

/** Version register: an integrated APIC (0x14) with six LVT entries. */
const VERSION = 0x14 | (5 << 16);
const MMIO_SIZE = 0x1000n;
/** Bits 63:MAXPHYADDR, 7:0 and 9 of IA32_APIC_BASE are reserved. */
const BASE_RESERVED_LOW = 0x2ffn;

/** KVM's in-kernel local APIC of one VCPU (arch/x86/kvm/lapic.c): registers, interrupt acceptance, inter-processor interrupts, timer. */
export class Lapic {
  readonly timer: LapicTimer;
  private base = APIC_BASE_RESET;
  private tpr = 0;
  private ldr = 0;
  private dfr = 0xffff_ffff;
  private svr = 0xff;
  private esr = 0;
  private icr = 0;
  private icr2 = 0;
  private lvt = new Map<number, number>();
  private readonly irr = new VectorSet();
  private readonly isr = new VectorSet();
  private readonly tmr = new VectorSet();

  constructor(
    readonly id: number,
    private readonly port: LapicPort,
  ) {
    this.timer = new LapicTimer(port);
    this.reset();
  }

  /** kvm_lapic_reset. LINT0 takes ExtINT on the boot processor, as set by a PC's BIOS. */
  reset(): void {
    this.tpr = 0;
    this.ldr = 0;
    this.dfr = 0xffff_ffff;
    this.svr = 0xff;
    this.esr = this.icr = this.icr2 = 0;
    for (const offset of LVT_WRITABLE.keys()) this.lvt.set(offset, LVT_MASKED);
    if (this.id === 0) this.lvt.set(APIC.LVT_LINT0, DELIVERY.EXTINT << 8);
    this.irr.clear();
    this.isr.clear();
    this.tmr.clear();
    this.timer.reset();
  }

  // ---- IA32_APIC_BASE

  get apicBase(): bigint {
    return this.base;
  }
  get enabled(): boolean {
    return (this.base & APIC_BASE_ENABLE) !== 0n;
  }
  /** kvm_lapic_enabled: in hardware and in software. */
  get accepts(): boolean {
    return this.enabled && (this.svr & SVR_ENABLED) !== 0;
  }
  get x2apic(): boolean {
    return (this.base & (APIC_BASE_ENABLE | APIC_BASE_EXTD)) === (APIC_BASE_ENABLE | APIC_BASE_EXTD);
  }
  /**
   * kvm_apic_set_base: any result but true is #GP(0). x2APIC mode is entered from xAPIC mode and left only by
   * disabling (SDM vol. 3, figure 10-27). Only the default address responds, as in KVM; a different one can be
   * written.
   */
  setBase(value: bigint, physicalBits: number, offersX2apic: boolean): true | FaultReason {
    const extd = (value & APIC_BASE_EXTD) !== 0n;
    const on = (value & APIC_BASE_ENABLE) !== 0n;
    const reserved = BASE_RESERVED_LOW | (offersX2apic ? 0n : APIC_BASE_EXTD);
    const allowed = withoutReserved(MSR.APIC_BASE, value, reserved, physicalBits);
    if (allowed !== true) return allowed;
    if (extd && !on) return because('apic-base-extd');
    if (this.x2apic && on && !extd) return because('apic-base-to-xapic');
    if (!this.enabled && extd) return because('apic-base-from-off');
    const turnsOn = extd && !this.x2apic;
    if (this.enabled && !on) this.reset();
    this.base = (value & ~APIC_BASE_BSP) | (this.id === 0 ? APIC_BASE_BSP : 0n);
    // the logical ID of x2APIC mode is derived from the ID: cluster 31:16, a bit in 15:0
    if (turnsOn) this.ldr = ((this.id >>> 4) << 16) | (1 << (this.id & 0xf));
    return true;
  }

  // ---- register access

  /** Whether this APIC responds at `gpa` (its register page, while enabled and not in x2APIC mode). */
  answers(gpa: bigint): boolean {
    const start = this.base & ~(MMIO_SIZE - 1n) & ((1n << 52n) - 1n);
    return this.enabled && !this.x2apic && gpa >= start && gpa < start + MMIO_SIZE;
  }
  /** apic_mmio_read: registers are 32 bits at multiples of 16; bytes beyond a register read as 0. */
  readMmio(offset: number, size: number): bigint {
    const within = offset & 0xf;
    if (within + size > 4) return 0n;
    const value = BigInt((this.read(offset & ~0xf) ?? 0) >>> 0);
    return BigInt.asUintN(size * 8, value >> BigInt(within * 8));
  }
  /** apic_mmio_write: only 32-bit writes at multiples of 16 take effect. */
  writeMmio(offset: number, size: number, value: number): void {
    if (size === 4 && (offset & 0xf) === 0) this.write(offset, value >>> 0);
  }
  /** x2APIC MSR 0x800 + n; undefined is #GP(0). */
  readMsr(msr: number): bigint | undefined {
    if (!this.x2apic) return undefined;
    const offset = (msr - 0x800) << 4;
    if (XAPIC_ONLY.has(offset) || WRITE_ONLY.has(offset)) return undefined;
    if (offset === APIC.ICR) return (BigInt(this.icr2 >>> 0) << 32n) | BigInt(this.icr >>> 0);
    const value = this.read(offset);
    return value === undefined ? undefined : BigInt(value >>> 0);
  }
  writeMsr(msr: number, value: bigint): true | FaultReason {
    if (!this.x2apic) return because('x2apic-off', msr);
    const offset = (msr - 0x800) << 4;
    if (XAPIC_ONLY.has(offset) || READ_ONLY.has(offset)) return because('x2apic-none', msr);
    const allowed = withoutReserved(msr, value, reservedInX2apic(offset));
    if (allowed !== true) return allowed;
    if (offset === APIC.ICR) {
      this.icr2 = Number(value >> 32n);
      return this.write(APIC.ICR, Number(value & 0xffff_ffffn)) || because('x2apic-none', msr);
    }
    return this.write(offset, Number(value)) || because('x2apic-none', msr);
  }

  private read(offset: number): number | undefined {
    if (offset >= APIC.ISR && offset < APIC.ESR) {
      const set = offset < APIC.TMR ? this.isr : offset < APIC.IRR ? this.tmr : this.irr;
      return set.word((offset & 0x70) >> 4);
    }
    switch (offset) {
      case APIC.ID:
        return this.x2apic ? this.id : this.id << 24;
      case APIC.VERSION:
        return VERSION;
      case APIC.TPR:
        return this.tpr;
      case APIC.APR:
      case APIC.EOI:
        return 0;
      case APIC.PPR:
        return this.processorPriority;
      case APIC.LDR:
        return this.ldr;
      case APIC.DFR:
        return this.dfr;
      case APIC.SVR:
        return this.svr;
      case APIC.ESR:
        return this.esr;
      case APIC.ICR:
        return this.icr;
      case APIC.ICR2:
        return this.icr2;
      case APIC.TIMER_INITIAL:
        return this.timer.initialCount;
      case APIC.TIMER_CURRENT:
        return this.timer.currentCount;
      case APIC.TIMER_DIVIDE:
        return this.timer.divide;
      default:
        return this.lvt.get(offset);
    }
  }

  /** False: there is no such register, or it is read-only. */
  private write(offset: number, value: number): boolean {
    switch (offset) {
      case APIC.ID:
        // KVM keeps the VCPU's ID
        return !this.x2apic;
      case APIC.TPR:
        this.setTaskPriority(value & 0xff);
        return true;
      case APIC.EOI:
        this.isr.remove(this.isr.highest);
        return true;
      case APIC.LDR:
        if (this.x2apic) return false;
        this.ldr = value & 0xff00_0000;
        return true;
      case APIC.DFR:
        this.dfr = value | 0x0fff_ffff;
        return true;
      case APIC.SVR:
        this.svr = value & 0x3ff;
        // the LVT entries of a disabled APIC are masked, and stay so
        if ((value & SVR_ENABLED) === 0) for (const [at, v] of this.lvt) this.lvt.set(at, v | LVT_MASKED);
        return true;
      case APIC.ESR:
        this.esr = 0;
        return true;
      case APIC.ICR:
        // the delivery status is never busy: messages are delivered as they are sent
        this.icr = value & ~(1 << 12);
        this.send(this.icr, this.icr2);
        return true;
      case APIC.ICR2:
        this.icr2 = value & 0xff00_0000;
        return true;
      case APIC.SELF_IPI:
        if (!this.x2apic) return false;
        this.send(SELF_IPI | (value & 0xff), 0);
        return true;
      case APIC.TIMER_INITIAL:
        this.timer.start(value);
        return true;
      case APIC.TIMER_DIVIDE:
        this.timer.setDivide(value);
        return true;
      default:
        return this.writeLvt(offset, value);
    }
  }
  private writeLvt(offset: number, value: number): boolean {
    const writable = LVT_WRITABLE.get(offset);
    if (writable === undefined) return false;
    this.lvt.set(offset, (value & writable) | ((this.svr & SVR_ENABLED) === 0 ? LVT_MASKED : 0));
    if (offset === APIC.LVT_TIMER) this.timer.setMode((value >>> 17) & 3);
    return true;
  }

  // ---- interrupts

  /** kvm_lapic_set_tpr, for the register and for CR8. */
  setTaskPriority(tpr: number): void {
    this.tpr = tpr;
    this.port.taskPriority(tpr);
  }
  get taskPriority(): number {
    return this.tpr;
  }
  /** SDM vol. 3, 10.8.3.1. */
  private get processorPriority(): number {
    const inService = Math.max(0, this.isr.highest) & 0xf0;
    return (this.tpr & 0xf0) >= inService ? this.tpr : inService;
  }
  /** kvm_apic_has_interrupt: the vector that the VCPU would take now, or −1. */
  get pending(): number {
    if (!this.accepts) return -1;
    const vector = this.irr.highest;
    return vector >= 0 && (vector & 0xf0) > (this.processorPriority & 0xf0) ? vector : -1;
  }
  /** kvm_get_apic_interrupt: the vector is in service from now on. */
  acknowledge(): number {
    const vector = this.pending;
    this.irr.remove(vector);
    this.isr.add(vector);
    return vector;
  }

  /** __apic_accept_irq. */
  accept(delivery: number, vector: number, level: boolean): void {
    switch (delivery) {
      case DELIVERY.FIXED:
      case DELIVERY.LOWEST:
        if (!this.accepts) return;
        // vectors below 16 belong to exceptions (SDM vol. 3, 10.5.2)
        if (vector < 16) this.esr |= ESR.RECEIVE_ILLEGAL_VECTOR;
        else {
          this.irr.add(vector);
          if (level) this.tmr.add(vector);
          else this.tmr.remove(vector);
        }
        break;
      case DELIVERY.NMI:
        this.port.nmi();
        break;
      // SMI: there is no system-management mode. INIT and STARTUP are for processors that wait for them; the only one
      // is running. ExtINT would come from an 8259, and there is none
    }
  }

  /** Checks the clock and fires the timer if it is due. */
  checkTimer(): boolean {
    if (!this.timer.expire()) return false;
    const entry = this.lvt.get(APIC.LVT_TIMER) ?? LVT_MASKED;
    if ((entry & LVT_MASKED) === 0) this.accept(DELIVERY.FIXED, entry & 0xff, false);
    return true;
  }
  /** Whether the timer will raise an interrupt when it fires. */
  get timerUnmasked(): boolean {
    return ((this.lvt.get(APIC.LVT_TIMER) ?? LVT_MASKED) & LVT_MASKED) === 0;
  }

  /**
   * An inter-processor interrupt. ICR (SDM vol. 3, figure 10-12):
   *
   *   63..56 (x2APIC: 63..32)   19..18      15       14      11                10..8      7..0
   *  | destination            |shorthand | trigger | level |destination mode | delivery | vector |
   */
  private send(icr: number, icr2: number): void {
    const shorthand = (icr >>> 18) & 3;
    const vector = icr & 0xff;
    const delivery = (icr >>> 8) & 7;
    if (delivery === DELIVERY.FIXED && vector < 16) this.esr |= ESR.SEND_ILLEGAL_VECTOR;
    const destination = this.x2apic ? icr2 >>> 0 : icr2 >>> 24;
    const logical = (icr & (1 << 11)) !== 0;
    const level = (icr & (1 << 15)) !== 0;
    for (const to of this.port.all()) {
      const self = to === this;
      const meant =
        shorthand === 1
          ? self
          : shorthand === 2
            ? true
            : shorthand === 3
              ? !self
              : to.matches(destination, logical, this.x2apic);
      if (meant) to.accept(delivery, vector, level);
    }
  }
  /** kvm_apic_match_dest. */
  private matches(destination: number, logical: boolean, wide: boolean): boolean {
    if (destination === (wide ? 0xffff_ffff : 0xff)) return true;
    if (!logical) return destination === this.id;
    if (this.x2apic) return destination >>> 16 === this.ldr >>> 16 && (destination & this.ldr & 0xffff) !== 0;
    const mine = this.ldr >>> 24;
    const flat = this.dfr >>> 28 === 0xf;
    return flat ? (destination & mine) !== 0 : destination >>> 4 === mine >>> 4 && (destination & mine & 0xf) !== 0;
  }

  save(): LapicState {
    return {
      base: this.base,
      tpr: this.tpr,
      ldr: this.ldr,
      dfr: this.dfr,
      svr: this.svr,
      esr: this.esr,
      icr: this.icr,
      icr2: this.icr2,
      lvt: [...this.lvt],
      irr: this.irr.save(),
      isr: this.isr.save(),
      tmr: this.tmr.save(),
      timer: this.timer.save(),
    };
  }
  restore(s: LapicState): void {
    this.base = s.base;
    this.tpr = s.tpr;
    this.ldr = s.ldr;
    this.dfr = s.dfr;
    this.svr = s.svr;
    this.esr = s.esr;
    this.icr = s.icr;
    this.icr2 = s.icr2;
    this.lvt = new Map(s.lvt);
    this.irr.restore(s.irr);
    this.isr.restore(s.isr);
    this.tmr.restore(s.tmr);
    this.timer.restore(s.timer);
  }
}

/** What only xAPIC mode has (SDM vol. 3, table 10-6): MSRs 809h, 80Eh and 831h are reserved. */
const XAPIC_ONLY: ReadonlySet<number> = new Set([APIC.APR, APIC.DFR, APIC.ICR2]);
/** Reserved bits of the ICR, besides the delivery status that xAPIC mode has in bit 12. */
const ICR_RESERVED = 0xfff3_2000n;
/** Bits that a register defines; writing others is refused in x2APIC mode (SDM vol. 3, 10.12.1.3). */
const DEFINED: ReadonlyMap<number, number> = new Map([
  ...LVT_WRITABLE,
  [APIC.SVR, 0x3ff],
  [APIC.TIMER_DIVIDE, 0xb],
  [APIC.TPR, 0xff],
  [APIC.SELF_IPI, 0xff],
  [APIC.EOI, 0],
  [APIC.ESR, 0],
]);
const reservedInX2apic = (offset: number): bigint =>
  offset === APIC.ICR ? ICR_RESERVED : ~BigInt(DEFINED.get(offset) ?? 0xffff_ffff);
/** Fixed, edge, to self. */
const SELF_IPI = 1 << 18;
const WRITE_ONLY: ReadonlySet<number> = new Set([APIC.EOI, APIC.SELF_IPI]);
const READ_ONLY: ReadonlySet<number> = new Set([APIC.ID, APIC.VERSION, APIC.PPR, APIC.LDR, APIC.TIMER_CURRENT]);

export interface LapicState {
  readonly base: bigint;
  readonly tpr: number;
  readonly ldr: number;
  readonly dfr: number;
  readonly svr: number;
  readonly esr: number;
  readonly icr: number;
  readonly icr2: number;
  readonly lvt: readonly (readonly [number, number])[];
  readonly irr: readonly number[];
  readonly isr: readonly number[];
  readonly tmr: readonly number[];
  readonly timer: LapicTimerState;
}
