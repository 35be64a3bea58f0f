import type { FaultReason } from '../../isa/reasons/index';
import { MSR } from '../../isa/msrs';
import type { ApicPort } from '../../hw/cpu/apic-port';
import type { Core } from '../../hw/cpu/core';
import { SLOT } from '../../hw/state/layout';
import { INTERRUPT_WAITS } from '../../kvm/kick';
import { Lapic, type LapicState } from '../../kvm/lapic';

const X2APIC_FIRST = 0x800;
const X2APIC_LAST = 0x8ff;

/**
 * The local APIC of a CPU without a hypervisor (QEMU's hw/intc/apic.c), wired to the CPU's own interrupt input. Its
 * registers are those of `Lapic`.
 */
export class SoftApic implements ApicPort {
  readonly lapic: Lapic;
  /** Time skipped while the CPU was halted, in ticks of its TSC. */
  private slept = 0n;
  /** Instructions of the running block count when one of them reads the time. */
  private asking = false;

  constructor(private readonly core: () => Core) {
    this.lapic = new Lapic(0, {
      now: () => this.now,
      tscOffset: () => core().state.get(SLOT.TSC_OFFSET) - this.slept,
      all: () => [this.lapic],
      nmi: () => core().state.set32(SLOT.PENDING_NMI, 1),
      taskPriority: (tpr) => core().state.set(SLOT.CR8, BigInt(tpr >> 4)),
    });
  }

  /** Guest time: retired instructions, plus time skipped while halted. */
  get now(): bigint {
    const { state, completed } = this.core();
    return state.get(SLOT.RETIRED) + BigInt(this.asking ? completed : 0) + this.slept;
  }
  /** The CPU halts until `time`. */
  sleepUntil(time: bigint): void {
    const ahead = time - this.now;
    if (ahead <= 0n) return;
    const { state } = this.core();
    this.slept += ahead;
    state.set(SLOT.TSC_OFFSET, BigInt.asUintN(64, state.get(SLOT.TSC_OFFSET) + ahead));
  }

  /**
   * Checks the timer and drives the CPU's interrupt input: high while there is an interrupt that the task priority
   * admits.
   */
  update(): void {
    this.lapic.checkTimer();
    const vector = this.lapic.pending;
    this.core().state.set32(SLOT.PENDING_INTR, vector < 0 ? 0 : INTERRUPT_WAITS | vector);
  }

  // ---- ApicPort

  owns(msr: number): boolean {
    return msr === MSR.APIC_BASE || (msr >= X2APIC_FIRST && msr <= X2APIC_LAST);
  }
  readMsr(msr: number): bigint | undefined {
    return this.inside(() => (msr === MSR.APIC_BASE ? this.lapic.apicBase : this.lapic.readMsr(msr)));
  }
  writeMsr(msr: number, value: bigint): boolean | FaultReason {
    const { model } = this.core();
    return this.inside(() => {
      const done =
        msr === MSR.APIC_BASE
          ? this.lapic.setBase(value, model.physicalBits, model.has('X2APIC'))
          : this.lapic.writeMsr(msr, value);
      this.update();
      return done;
    });
  }
  setPriority(cr8: number): void {
    this.lapic.setTaskPriority(cr8 << 4);
    this.update();
  }
  acknowledge(): number {
    const vector = this.lapic.acknowledge();
    this.update();
    return vector;
  }
  private inside<T>(f: () => T): T {
    this.asking = true;
    const result = f();
    this.asking = false;
    return result;
  }

  save(): SoftApicState {
    return { lapic: this.lapic.save(), slept: this.slept };
  }
  restore(s: SoftApicState): void {
    this.lapic.restore(s.lapic);
    this.slept = s.slept;
  }
}

export interface SoftApicState {
  readonly lapic: LapicState;
  readonly slept: bigint;
}
