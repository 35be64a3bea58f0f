import { InvariantError } from '../../base/assert';
import { VECTOR } from '../../isa/exceptions';
import { because } from '../../isa/reasons/index';
import { RFLAGS } from '../../isa/flags';
import { INTR_TYPE } from '../../isa/vmcs-controls';
import type { CpuState } from '../state/cpu-state';
import type { BusEvent, CpuEvent, FaultEvent, VmExit } from '../state/event';
import { SLOT } from '../state/layout';
import { interruptionOfFault, isSoftware, type Interruption } from '../state/interruption';
import { withNmiUnblocked } from '../vmx/qualification';
import { Core, type IoPort } from './core';
import type { CpuidModel } from './cpuid-model';
import { EventChain, type EventPlace } from './event-chain';
import { DebugUnit } from './debug-unit';
import { NO_INSTRUCTION } from './decoded';
import type { Mmu } from './mmu';
import type { Platform } from './platform';
import { deliver, type Delivery } from './system/deliver';
import { combine, doubleFault } from './system/escalation';
import { debugException } from './system/raise';

/** Why `run` came back. After 'exit' the VMCS holds guest state and exit information, and the registers the host's. */
export type CpuStop =
  | { readonly kind: 'budget' }
  /** Before the instruction at a breakpoint. */
  | { readonly kind: 'breakpoint'; readonly linear: bigint }
  /** An exception is about to be delivered to the guest, and the observer asked to look first. */
  | { readonly kind: 'fault'; readonly event: FaultEvent }
  | { readonly kind: 'exit'; readonly exit: VmExit }
  /** No RAM answers: the caller is the bus (only without a second-level translation, or for port I/O that nothing intercepts). */
  | { readonly kind: 'bus'; readonly event: BusEvent }
  | { readonly kind: 'halt' }
  | { readonly kind: 'shutdown' };

/** A fault the observer stopped at, to be delivered when running goes on from the same place. */
export interface HeldFault {
  readonly event: FaultEvent;
  readonly rip: bigint;
  readonly nextRip: bigint;
  readonly instructionLength: number;
}

/** A delivery that memory without an answer interrupted; it is made again from its start when running goes on. */
export interface HeldDelivery {
  readonly event: Delivery;
  readonly vectoring: Interruption;
  readonly nextRip: bigint;
}

/** Port I/O with nothing attached to the CPU's own pins: the caller of `run` is the bus. */
const BUS_IO: IoPort = {
  in(core, port, size) {
    core.event = { kind: 'bus', space: 'io', op: 'read', address: BigInt(port), size };
    return false;
  },
  out(core, port, size, src) {
    core.event = { kind: 'bus', space: 'io', op: 'write', address: BigInt(port), size, value: core.state.get(src) };
    return false;
  },
};

/** DR6: single step. */
export const DR6_BS = 1n << 14n;
const CONTINUES = SLOT.FETCH_CONTINUES * 2;
const MOV_SS = 2;

/**
 * Events on their way to a handler: exceptions, interrupts and debug traps through the IDT with their escalation, what VM entry injects, what waits for the bus or for a person
 * to look. The loop that executes, and guest mode, are `Cpu`.
 */
export abstract class EventDelivery extends Core {
  /** Asked when an exception is about to be delivered to the guest; true stops first. Sees, and changes nothing. */
  faultObserver: ((event: FaultEvent) => boolean) | undefined;
  /** What is on its way to the guest's IDT. */
  readonly chain = new EventChain();
  protected heldFault: HeldFault | undefined;
  /** An event on its way to its handler that had to wait for the bus. */
  protected heldDelivery: HeldDelivery | undefined;
  /** An event that VM entry injects, delivered at the start of the next run. */
  protected injection: Interruption | undefined;
  /** Debug traps (bits of DR6) that wait: for the instruction behind MOV SS, or because VM entry left them pending. */
  protected debugTraps = 0n;
  protected readonly debugUnit: DebugUnit;
  private readonly hasPlatform: boolean;
  /** Breakpoints were set the last time DR7 was looked at. */
  protected debugging = false;

  constructor(
    state: CpuState,
    readonly mmu: Mmu,
    model: CpuidModel,
    platform: Platform | undefined,
  ) {
    super(state, mmu, platform?.io ?? BUS_IO, model);
    this.hasPlatform = platform !== undefined;
    this.debugUnit = new DebugUnit(state);
  }

  /** A VM exit; undefined where the code that runs here goes on with it. */
  protected abstract vmExit(exit: VmExit, vectoring: Interruption | undefined): CpuStop | undefined;
  /** A shutdown that is the hypervisor's to see; undefined: the processor shuts down. */
  protected abstract shutdownExit(): VmExit | undefined;

  protected deliverInterrupt(vector: number, nmi: boolean): CpuStop | undefined {
    this.state.set(SLOT.ACTIVITY, 0n);
    return this.deliverEvent(
      { kind: 'interrupt', vector, source: nmi ? 'nmi' : 'external' },
      { type: nmi ? INTR_TYPE.NMI_INTR : INTR_TYPE.EXT_INTR, vector },
    );
  }
  /** Events that VM entry or a held fault left for the first boundary. */
  protected deliverPending(): CpuStop | undefined {
    if (this.injection !== undefined) {
      const i = this.injection;
      this.injection = undefined;
      const event = this.deliveryOf(i);
      this.chain.resume(event, this.onTheWay());
      const queued = this.chain.last?.event;
      // an exception that the hypervisor found to be the guest's own
      const fault = queued?.kind === 'fault' && queued.software === undefined ? queued : undefined;
      if (fault && this.faultObserver?.(fault)) {
        this.heldDelivery = { event, vectoring: i, nextRip: this.nextRip };
        return { kind: 'fault', event: fault };
      }
      const stop = this.deliverEvent(event, i, true);
      if (stop) return stop;
    }
    if (this.heldDelivery !== undefined) {
      const { event, vectoring, nextRip } = this.heldDelivery;
      this.heldDelivery = undefined;
      this.nextRip = nextRip;
      const stop = this.deliverEvent(event, vectoring, true);
      if (stop) return stop;
    }
    const trapped = this.debugTrap();
    if (trapped) return trapped;
    const held = this.heldFault;
    this.heldFault = undefined;
    // a person may have moved RIP meanwhile: then the fault never happened
    if (held === undefined || held.rip !== this.state.rip) return undefined;
    this.nextRip = held.nextRip;
    return this.deliverEvent(held.event, interruptionOfFault(held.event, held.instructionLength));
  }

  /**
   * #DB after an instruction that began with RFLAGS.TF set or met a data breakpoint (SDM vol. 3, 17.3.1): the return address is the next instruction. Behind MOV SS it waits
   * until that one has completed (6.8.3).
   */
  protected debugTrap(): CpuStop | undefined {
    if (this.debugTraps === 0n || (this.state.get32(SLOT.INTERRUPTIBILITY) & MOV_SS) !== 0) return undefined;
    this.event = debugException(this.state, this.debugTraps);
    this.debugTraps = 0n;
    return this.handleEvent();
  }
  /** #DB before the instruction at a breakpoint: a fault, so that what is pushed has RF set and the handler's IRET goes on. */
  protected instructionBreakpoint(why: bigint): CpuStop | undefined {
    this.state.setSystemFlag(RFLAGS.RF, true);
    this.insn = NO_INSTRUCTION;
    this.event = debugException(this.state, why);
    return this.handleEvent();
  }
  override portAccessed(port: number, size: number): void {
    if (this.debugging) this.debugUnit.portAccessed(BigInt(port), size);
  }
  /** Single step and I/O breakpoints of an instruction that the bus completes. */
  private portTraps(event: BusEvent): bigint {
    const step = this.state.systemFlag(RFLAGS.TF) ? DR6_BS : 0n;
    return this.debugging ? step | this.debugUnit.port(event.address, event.size) : step;
  }
  protected settleBreakpoints(): void {
    const unit = this.debugUnit;
    if (unit.decode()) this.mmu.setWatch(unit.watchesData ? unit : undefined);
    this.debugging = (this.state.get32(SLOT.DR7) & 0xff) !== 0;
  }

  protected handleEvent(): CpuStop | undefined {
    const event = this.event;
    this.event = undefined;
    const unblocked = this.nmiUnblocked;
    this.nmiUnblocked = false;
    const { r32 } = this.state;
    const continues = r32[CONTINUES] as number;
    r32[CONTINUES] = 0;
    if (event === undefined) throw new InvariantError('an event explains why an instruction did not complete');
    switch (event.kind) {
      case 'exit':
        return this.vmExit(unblocked ? withNmiUnblocked(event.exit) : event.exit, undefined);
      case 'bus':
        // the instruction goes on when it is answered: its code was fetched
        r32[CONTINUES] = continues;
        // without a platform the caller completes a port access: what it traps to waits for the next run
        if (event.space === 'io' && !this.hasPlatform) this.debugTraps |= this.portTraps(event);
        return { kind: 'bus', event };
      case 'suspend':
        throw new InvariantError('the CPU answers every access itself');
      case 'fault': {
        // a fault before any instruction was decoded (the fetch, a single step) has no length to tell
        const instructionLength = event.software === undefined ? 0 : this.insn.length;
        // one that exits is not delivered
        if (this.faultObserver && this.exceptionExit(event) === undefined && this.faultObserver(event)) {
          this.heldFault = { event, rip: this.state.rip, nextRip: this.nextRip, instructionLength };
          return { kind: 'fault', event };
        }
        const exit = unblocked ? this.interceptedBy(event) : undefined;
        if (exit) return this.vmExit(withNmiUnblocked(exit), undefined);
        return this.deliverEvent(event, interruptionOfFault(event, instructionLength));
      }
    }
  }

  /** An injected event as deliverable: software events return behind the instruction whose length VM entry was given. */
  private deliveryOf(i: Interruption): Delivery {
    this.nextRip = this.state.rip + BigInt(isSoftware(i.type) ? (i.instructionLength ?? 0) : 0);
    const why = because('injected');
    switch (i.type) {
      case INTR_TYPE.EXT_INTR:
        return { kind: 'interrupt', vector: i.vector, source: 'external' };
      case INTR_TYPE.NMI_INTR:
        return { kind: 'interrupt', vector: i.vector, source: 'nmi' };
      case INTR_TYPE.SOFT_INTR:
        return { kind: 'fault', vector: i.vector, software: 'int', why };
      case INTR_TYPE.SOFT_EXCEPTION:
        return { kind: 'fault', vector: i.vector, software: i.vector === VECTOR.OF ? 'into' : 'int3', why };
      case INTR_TYPE.PRIV_SW_EXCEPTION:
        return { kind: 'fault', vector: i.vector, software: 'icebp', why };
      default:
        return {
          kind: 'fault',
          vector: i.vector,
          why,
          ...(i.errorCode === undefined ? {} : { errorCode: i.errorCode }),
          // the hypervisor loads CR2 before the entry
          ...(i.vector === VECTOR.PF ? { cr2: this.state.get(SLOT.CR2) } : {}),
        };
    }
  }

  /**
   * Delivers an exception or interrupt, asking the exception bitmap first, and escalating to #DF and shutdown (SDM vol. 3, table 6-5). A VM exit on the way records
   * what was being delivered. `byEntry`: VM entry injects it, so that the bitmap does not apply.
   */
  private deliverEvent(event: Delivery, first: Interruption, byEntry = false): CpuStop | undefined {
    if (!byEntry && event.kind === 'fault' && event.software !== 'int') {
      const exit = this.interceptedBy(event);
      if (exit) return this.vmExit(exit, undefined);
      // what MOV SS held back is not told behind another #DB (INT1, general detect): that one is the debug exception of this boundary
      if (event.vector === VECTOR.DB) this.debugTraps = 0n;
    }
    let current = event;
    let vectoring = first;
    if (!byEntry) this.chain.begin(event, event.kind === 'fault' ? this.place() : this.onTheWay());
    for (;;) {
      const delivered = deliver(this, current);
      if (delivered.ok) {
        this.state.r32[CONTINUES] = 0;
        this.chain.end();
        // what MOV SS held back is told before the handler's first instruction
        return this.debugTrap();
      }
      const nested: CpuEvent = delivered.event;
      if (nested.kind === 'exit') return this.vmExit(nested.exit, vectoring);
      if (nested.kind === 'bus') {
        this.heldDelivery = { event: current, vectoring, nextRip: this.nextRip };
        return { kind: 'bus', event: nested };
      }
      if (nested.kind !== 'fault') throw new InvariantError('delivery meets faults, exits and the bus only');
      const how = combine(
        current.kind === 'fault' && current.software !== 'int'
          ? { kind: 'exception', vector: current.vector }
          : { kind: 'benign' },
        nested,
      );
      if (how === 'triple') {
        this.chain.add(nested, this.onTheWay());
        const shutdown = this.shutdownExit();
        if (shutdown) return this.vmExit(shutdown, undefined);
        this.state.set32(SLOT.ACTIVITY, 2);
        return { kind: 'shutdown' };
      }
      const double = how === 'double' ? doubleFault(current.vector, nested.vector) : undefined;
      // the second exception may itself exit, before it turns into #DF
      const exit = this.interceptedBy(nested, this.onTheWay()) ?? (double && this.exceptionExit(double));
      if (exit) return this.vmExit(exit, vectoring);
      this.chain.add(nested, this.onTheWay());
      current = double ?? nested;
      if (double) this.chain.add(double, this.onTheWay());
      vectoring = interruptionOfFault(current, 0);
    }
  }
  private place(mnemonic = this.insn.mnemonic): EventPlace {
    return { rip: this.state.rip, cpl: this.state.cpl, mnemonic };
  }
  /** The place of an exception that the delivery of another event met. */
  private onTheWay(): EventPlace {
    return this.place(0);
  }
  /** The exit that takes an exception from the guest, noted in the chain. */
  private interceptedBy(e: FaultEvent, at = this.place()): VmExit | undefined {
    const exit = this.exceptionExit(e);
    if (exit) this.chain.intercept(e, at);
    return exit;
  }
  private exceptionExit(e: FaultEvent): VmExit | undefined {
    return this.intercepts?.exception(this, e.vector, e.errorCode, e.software !== undefined, e.cr2 ?? e.debug ?? 0n);
  }
}
