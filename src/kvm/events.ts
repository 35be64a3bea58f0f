import { CR0, RFLAGS } from '../isa/flags';
import { bit } from '../base/bits';
import type { FaultReason } from '../isa/reasons/index';
import { ERROR_CODE_VECTORS, VECTOR, vectorName } from '../isa/exceptions';
import { INTERRUPTIBILITY, INTR_TYPE } from '../isa/vmcs-controls';
import type { EventChain, EventPlace } from '../hw/cpu/event-chain';
import { doubleFault } from '../hw/cpu/system/escalation';
import type { FaultEvent } from '../hw/state/event';
import type { Interruption } from '../hw/state/interruption';
import { SLOT } from '../hw/state/layout';
import { kvmStep, type Work } from '../trace/step';
import { hex } from '../base/hex';
import type { Lapic } from './lapic';
import type { X86Ops } from './x86/ops';
import type { GuestRegisters } from './x86/registers';

/** Exceptions for which a second one becomes a double fault (SDM vol. 3, table 6-5). */
const CONTRIBUTORY: ReadonlySet<number> = new Set([VECTOR.DE, VECTOR.TS, VECTOR.NP, VECTOR.SS, VECTOR.GP, VECTOR.CP]);

const DR7_GD = 1n << 13n;

/** An exception that KVM injects into the guest. */
export interface QueuedException extends PendingException {
  /**
   * For explanations: the rule that was broken. `injected`: the original rule was recorded when the exception exited.
   */
  readonly why: FaultReason;
  /** #PF: the access that faulted, for explanations. */
  readonly access?: 'read' | 'write' | 'fetch';
}
/** The part of it that the next entry injects. */
interface PendingException {
  readonly vector: number;
  readonly errorCode?: number;
  /** #PF: the new CR2. #DB: bits to set in DR6. */
  readonly payload?: bigint;
}

/**
 * Events to be injected by the next VM entry: exceptions queued by KVM, events whose delivery an exit interrupted,
 * and external interrupts from user space (arch/x86/kvm/x86.c, kvm_check_and_inject_events).
 */
export class PendingEvents {
  /** Being delivered: must be reinjected unchanged. */
  private reinject: Interruption | undefined;
  private exception: PendingException | undefined;
  /** KVM_INTERRUPT: the vector that user space's interrupt controller acknowledged. */
  private interrupt: number | undefined;
  /** Pending NMIs, at most two: one blocked and one queued after it (process_nmi). */
  private nmis = 0;
  private triple = false;

  /**
   * `chain`: where the guest's events are kept for explanations; `place`: the guest's location, read as an observer.
   */
  constructor(
    private readonly chain: EventChain,
    private readonly place: () => EventPlace,
  ) {}

  /** The guest must be shut down: neither an exception nor the resulting #DF could be delivered. */
  get tripleFault(): boolean {
    return this.triple;
  }
  get interruptPending(): boolean {
    return this.interrupt !== undefined;
  }
  get exceptionPending(): boolean {
    return this.exception !== undefined;
  }
  /** An event was being delivered when the exit happened. */
  get vectoring(): Interruption | undefined {
    return this.reinject;
  }

  /** Removes the event whose delivery an exit interrupted: it is delivered elsewhere and not reinjected. */
  takeVectoring(): Interruption | undefined {
    const event = this.reinject;
    this.reinject = undefined;
    return event;
  }

  /** kvm_multiple_exception: a second exception on top of a first becomes #DF or a triple fault, or replaces it. */
  queueException(e: QueuedException): void {
    this.combine(e, this.exception !== undefined || this.reinject !== undefined);
  }
  /** A fault while KVM itself delivered `first` to the guest's handler, or switched tasks for it: both are queued. */
  queueNested(first: Interruption | undefined, e: QueuedException): void {
    if (first?.type === INTR_TYPE.HARD_EXCEPTION) this.exception = { vector: first.vector };
    this.combine(e, first !== undefined);
  }
  private combine(e: QueuedException, nested: boolean): void {
    const at = this.place();
    this.chain.queue(faultOf(e), nested ? { ...at, mnemonic: 0 } : at, nested);
    const first =
      this.exception?.vector ?? (this.reinject?.type === INTR_TYPE.HARD_EXCEPTION ? this.reinject.vector : undefined);
    // the exception takes precedence; the interrupt or NMI whose delivery caused it is lost
    // (kvm_check_and_inject_events)
    this.reinject = undefined;
    if (first === undefined) {
      this.exception = e;
      return;
    }
    if (first === VECTOR.DF) {
      this.exception = undefined;
      this.triple = true;
    } else if (
      (CONTRIBUTORY.has(first) && CONTRIBUTORY.has(e.vector)) ||
      (first === VECTOR.PF && (e.vector === VECTOR.PF || CONTRIBUTORY.has(e.vector)))
    ) {
      this.exception = { vector: VECTOR.DF, errorCode: 0 };
      this.chain.queue(doubleFault(first, e.vector), { ...at, mnemonic: 0 }, true);
    } else {
      this.exception = e;
    }
  }

  queueInterrupt(vector: number): void {
    this.interrupt = vector;
  }

  /** kvm_inject_nmi; the limit on pending NMIs is applied before the next entry. */
  queueNmi(): void {
    this.nmis = Math.min(2, this.nmis + 1);
  }
  /** kvm_vcpu_has_events: something would wake a halted VCPU. */
  runnable(regs: GuestRegisters, lapic: Lapic): boolean {
    const interrupt = this.interrupt !== undefined || lapic.pending >= 0;
    return (
      this.reinject !== undefined ||
      this.exception !== undefined ||
      (this.nmis > 0 && nmiAllowed(regs)) ||
      (interrupt && interruptAllowed(regs))
    );
  }

  /** complete_interrupts: requeues an event whose delivery the exit interrupted. */
  complete(ops: X86Ops): void {
    this.reinject = undefined;
    this.reinject = ops.completeInterrupts();
  }

  /** cancel_injection: what the entry would have injected waits for the next one. */
  cancelInjection(ops: X86Ops): void {
    this.reinject = ops.takeInjected();
  }

  /**
   * Passes the next entry its event to inject, and requests window exits for what must wait. Result: the injected
   * event, if any.
   */
  *inject(ops: X86Ops, lapic: Lapic): Work<'exception' | 'nmi' | 'interrupt' | undefined> {
    const { regs } = ops;
    const exception = yield* this.injectException(ops);
    let injected: 'exception' | 'nmi' | 'interrupt' | undefined = exception ? 'exception' : undefined;
    // process_nmi: while one is being handled, one more can be latched
    if (this.nmis > 1 && (regs.interruptibility & INTERRUPTIBILITY.NMI) !== 0) this.nmis = 1;
    if (this.nmis > 0) {
      if (!injected && nmiAllowed(regs)) {
        this.nmis--;
        ops.inject({ type: INTR_TYPE.NMI_INTR, vector: VECTOR.NMI });
        injected = 'nmi';
        yield kvmStep(`${ops.name}_inject_nmi`, 'injects an NMI', ops.accessCost(2), { vmcs: ops.takeAccesses() });
      }
      if (this.nmis > 0) {
        const taken = ops.enableNmiWindow();
        if (taken) this.nmis--;
        yield kvmStep(
          taken ? 'svm_set_vnmi_pending' : `${ops.name}_enable_nmi_window`,
          taken
            ? 'hands the NMI to the hardware, which delivers it'
            : 'asks for an exit as soon as the guest can take an NMI',
          ops.accessCost(2),
          { vmcs: ops.takeAccesses() },
        );
      }
    }
    if (this.waitingVector(lapic) >= 0 && !injected && interruptAllowed(regs)) {
      const vector = this.interrupt ?? lapic.acknowledge();
      this.interrupt = undefined;
      ops.inject({ type: INTR_TYPE.EXT_INTR, vector });
      injected = 'interrupt';
      yield kvmStep(`${ops.name}_inject_irq`, `injects interrupt ${hex(vector)}`, ops.accessCost(2), {
        vmcs: ops.takeAccesses(),
      });
    }
    if (this.waitingVector(lapic) >= 0) {
      ops.enableIrqWindow();
      yield kvmStep(
        `${ops.name}_enable_irq_window`,
        'asks for an exit as soon as the guest can take an interrupt',
        ops.accessCost(2),
        { vmcs: ops.takeAccesses() },
      );
    }
    return injected;
  }
  private waitingVector(lapic: Lapic): number {
    return this.interrupt ?? lapic.pending;
  }

  /** An event that must be reinjected unchanged, or a queued exception. */
  private *injectException(ops: X86Ops): Work<boolean> {
    const { regs } = ops;
    if (this.reinject) {
      const e = this.reinject;
      this.reinject = undefined;
      ops.inject(e);
      yield kvmStep(
        `${ops.name}_complete_interrupts`,
        `injects ${vectorName(e.vector)} again, whose delivery the exit interrupted`,
        ops.accessCost(3),
        { vmcs: ops.takeAccesses() },
      );
      return true;
    }
    if (!this.exception) return false;
    const e = this.exception;
    this.exception = undefined;
    this.deliverPayload(regs, e);
    const withCode = e.errorCode !== undefined && ERROR_CODE_VECTORS.has(e.vector) && bit(regs.cr0, CR0.PE);
    ops.inject({
      type: INTR_TYPE.HARD_EXCEPTION,
      vector: e.vector,
      ...(withCode && e.errorCode !== undefined ? { errorCode: e.errorCode } : {}),
    });
    const code = e.errorCode === undefined ? '' : ` with error code ${hex(e.errorCode)}`;
    yield kvmStep(
      `${ops.name}_inject_exception`,
      `injects ${vectorName(e.vector)}${code} ${ops.name === 'vmx' ? 'through the VM-entry interruption information' : 'through EVENTINJ'}`,
      ops.accessCost(3),
      { vmcs: ops.takeAccesses() },
    );
    return true;
  }

  save(): PendingEventsState {
    return {
      reinject: this.reinject,
      exception: this.exception,
      interrupt: this.interrupt,
      nmis: this.nmis,
      triple: this.triple,
    };
  }
  restore(s: PendingEventsState): void {
    this.reinject = s.reinject;
    this.exception = s.exception;
    this.interrupt = s.interrupt;
    this.nmis = s.nmis;
    this.triple = s.triple;
  }

  /** kvm_deliver_exception_payload: CR2 of #PF, DR6 of #DB; faults push RF set. */
  private deliverPayload(regs: GuestRegisters, e: PendingException): void {
    if (e.vector === VECTOR.PF && e.payload !== undefined) regs.saved.set(SLOT.CR2, e.payload);
    if (e.vector === VECTOR.DB) {
      if (e.payload !== undefined) regs.saved.set(SLOT.DR6, (regs.saved.get(SLOT.DR6) & ~0xfn) | e.payload);
      // an injected #DB does not clear general detect, unlike a delivered one (SDM vol. 3, 26.6.1.1)
      const { dr7 } = regs;
      if ((dr7 & DR7_GD) !== 0n) regs.dr7 = dr7 & ~DR7_GD;
    } else if (e.vector !== VECTOR.DF) regs.rflags |= 1n << BigInt(RFLAGS.RF);
  }
}

const faultOf = (e: QueuedException): FaultEvent => ({
  kind: 'fault',
  vector: e.vector,
  why: e.why,
  ...(e.access === undefined ? {} : { access: e.access }),
  ...(e.errorCode === undefined ? {} : { errorCode: e.errorCode }),
  ...(e.payload === undefined ? {} : e.vector === VECTOR.PF ? { cr2: e.payload } : { debug: e.payload }),
});

export interface PendingEventsState {
  readonly reinject: Interruption | undefined;
  readonly exception: PendingException | undefined;
  readonly interrupt: number | undefined;
  readonly nmis: number;
  readonly triple: boolean;
}

/** kvm_x86_ops.interrupt_allowed: IF, and no blocking by STI or MOV SS. */
export function interruptAllowed(regs: GuestRegisters): boolean {
  const blocking = regs.interruptibility;
  return bit(regs.rflags, RFLAGS.IF) && (blocking & (INTERRUPTIBILITY.STI | INTERRUPTIBILITY.MOV_SS)) === 0;
}

/** kvm_x86_ops.nmi_allowed: no NMI is being handled, and no blocking by STI or MOV SS. */
function nmiAllowed(regs: GuestRegisters): boolean {
  return (regs.interruptibility & (INTERRUPTIBILITY.STI | INTERRUPTIBILITY.MOV_SS | INTERRUPTIBILITY.NMI)) === 0;
}

/** Sets or clears a bit of the guest's interruptibility state. */
export function setBlocking(regs: GuestRegisters, bits: number, on: boolean): void {
  const now = regs.interruptibility;
  const next = on ? now | bits : now & ~bits;
  if (next !== now) regs.interruptibility = next;
}
