import { TIMER_MODE } from './lapic-registers';

/** What the timer needs from its machine. */
export interface TimerClock {
  /** Host time in TSC ticks. One tick of the APIC bus is one nanosecond in KVM (APIC_BUS_CYCLE_NS), and one tick of this machine's TSC. */
  now(): bigint;
  /** The offset from host time to the guest's TSC. */
  tscOffset(): bigint;
}

/** The local APIC's timer (SDM vol. 3, 10.5.4): one-shot and periodic count-down, and TSC-deadline mode. */
export class LapicTimer {
  private mode = 0;
  private divideConfig = 0;
  private initial = 0;
  /** IA32_TSC_DEADLINE: 0 = disarmed. */
  private tscDeadline = 0n;
  /** Host time of the next expiry; undefined: stopped. */
  private due: bigint | undefined;

  constructor(private readonly clock: TimerClock) {}

  /** Host time at which the timer fires; undefined while it is stopped. */
  get deadline(): bigint | undefined {
    return this.due;
  }
  get initialCount(): number {
    return this.initial;
  }
  get divide(): number {
    return this.divideConfig;
  }
  get deadlineMsr(): bigint {
    return this.tscDeadline;
  }

  /** Bits 18:17 of the LVT entry. Switching into or out of TSC-deadline mode stops the timer. */
  setMode(mode: number): void {
    if ((mode === TIMER_MODE.TSC_DEADLINE) !== (this.mode === TIMER_MODE.TSC_DEADLINE)) this.stop();
    this.mode = mode;
  }
  /** Divide configuration, bits 3, 1 and 0: 0 divides by 2, 1 by 4, … 6 by 128, 7 by 1. */
  setDivide(value: number): void {
    const left = this.currentCount;
    this.divideConfig = value & 0xb;
    if (this.due !== undefined && this.mode !== TIMER_MODE.TSC_DEADLINE)
      this.due = this.clock.now() + BigInt(left) * this.divisor;
  }
  private get divisor(): bigint {
    const n = (this.divideConfig & 3) | ((this.divideConfig & 8) >> 1);
    return n === 7 ? 1n : 2n << BigInt(n);
  }

  /** A write of the initial count starts the countdown, or stops it with 0; ignored in TSC-deadline mode. */
  start(count: number): void {
    if (this.mode === TIMER_MODE.TSC_DEADLINE) return;
    this.initial = count >>> 0;
    this.due = this.initial === 0 ? undefined : this.clock.now() + this.period;
  }
  private get period(): bigint {
    return BigInt(this.initial) * this.divisor;
  }
  get currentCount(): number {
    if (this.due === undefined || this.mode === TIMER_MODE.TSC_DEADLINE) return 0;
    const left = this.due - this.clock.now();
    return left <= 0n ? 0 : Number((left + this.divisor - 1n) / this.divisor);
  }

  /** A write of IA32_TSC_DEADLINE, in guest TSC; 0 disarms. Ignored outside TSC-deadline mode. */
  setDeadline(guestTsc: bigint): void {
    if (this.mode !== TIMER_MODE.TSC_DEADLINE) return;
    this.tscDeadline = guestTsc;
    this.due = guestTsc === 0n ? undefined : guestTsc - this.clock.tscOffset();
  }

  /** Whether the timer has fired since the last call; a periodic one is rearmed. */
  expire(): boolean {
    const now = this.clock.now();
    if (this.due === undefined || this.due > now) return false;
    if (this.mode === TIMER_MODE.PERIODIC && this.period > 0n) {
      // skips periods that elapsed unobserved
      this.due += ((now - this.due) / this.period + 1n) * this.period;
    } else this.due = undefined;
    this.tscDeadline = 0n;
    return true;
  }

  private stop(): void {
    this.due = undefined;
    this.initial = 0;
    this.tscDeadline = 0n;
  }
  reset(): void {
    this.stop();
    this.mode = 0;
    this.divideConfig = 0;
  }

  save(): LapicTimerState {
    return {
      mode: this.mode,
      divideConfig: this.divideConfig,
      initial: this.initial,
      tscDeadline: this.tscDeadline,
      due: this.due,
    };
  }
  restore(s: LapicTimerState): void {
    this.mode = s.mode;
    this.divideConfig = s.divideConfig;
    this.initial = s.initial;
    this.tscDeadline = s.tscDeadline;
    this.due = s.due;
  }
}

export interface LapicTimerState {
  readonly mode: number;
  readonly divideConfig: number;
  readonly initial: number;
  readonly tscDeadline: bigint;
  readonly due: bigint | undefined;
}
