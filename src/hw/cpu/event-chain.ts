import type { FaultReason } from '../../isa/reasons/index';
import type { FaultEvent } from '../state/event';
import type { Delivery } from './system/deliver';

/** Where an event came up: the guest's RIP, an offset in CS, its CPL, and the instruction. */
export interface EventPlace {
  readonly rip: bigint;
  readonly cpl: number;
  /** Of the instruction that raised it; 0: none did (the fetch, an interrupt, the delivery of another event). */
  readonly mnemonic: number;
}

/** An event on its way to the guest's handler. */
export interface ChainEvent extends EventPlace {
  /** As it was raised: a #PF has its address and access, whoever delivers it. */
  readonly event: Delivery;
  /** The hypervisor queued it for a VM entry; else the processor raised it, or took it, by itself. */
  readonly injected: boolean;
}

/**
 * The event being taken to the guest's IDT, then what came up on the way there, in order: what a double or triple fault is made of. Kept for explanations; nothing is decided
 * by it. Only the guest's own events are here: an exception that exits is one when the hypervisor queues it.
 *
 *   processor   #PF ──begin──→ [#PF]   its delivery meets #GP ──add──→ [#PF #GP #DF]   delivered ──end──→ []
 *   hypervisor  exit for #PF ──intercept──→ []   queued for the guest ──queue──→ [#PF injected]   the entry delivers it ──resume──→ [#PF injected]
 */
export class EventChain {
  private list: readonly ChainEvent[] = [];
  private delivered: readonly ChainEvent[] = [];
  private intercepted: (EventPlace & { readonly event: FaultEvent }) | undefined;

  /** First event first; empty: nothing is being delivered. */
  get events(): readonly ChainEvent[] {
    return this.list;
  }
  /** The chain that last came to an end, the present one while there is one: what a person asks about afterwards. */
  get latest(): readonly ChainEvent[] {
    return this.list.length > 0 ? this.list : this.delivered;
  }
  get last(): ChainEvent | undefined {
    return this.list[this.list.length - 1];
  }

  begin(event: Delivery, at: EventPlace): void {
    this.list = [{ event, ...at, injected: false }];
  }
  /** A VM entry delivers `event`: the one queued for it, or the one whose delivery an exit interrupted, goes on; any other begins a chain. */
  resume(event: Delivery, at: EventPlace): void {
    const { last } = this;
    if (last?.event.kind !== event.kind || last.event.vector !== event.vector)
      this.list = [{ event, ...at, injected: true }];
  }
  add(event: Delivery, at: EventPlace): void {
    this.list = [...this.list, { event, ...at, injected: false }];
  }
  /** The event has reached its handler, or nobody will deliver it. */
  end(): void {
    this.delivered = this.list;
    this.list = [];
  }

  /** An exception exits. */
  intercept(event: FaultEvent, at: EventPlace): void {
    this.intercepted = { event, ...at };
  }
  /** The guest is entered: what exited has been handled. */
  entered(): void {
    this.intercepted = undefined;
  }
  /**
   * The hypervisor queues an exception for the guest. The one that exited keeps what the processor knew of it and the hypervisor was not told, such as the access of a #PF.
   * `nested`: it came up while the chain's last event was being delivered.
   */
  queue(event: FaultEvent, at: EventPlace, nested: boolean): void {
    const exited = this.intercepted;
    this.intercepted = undefined;
    const queued =
      exited?.event.vector === event.vector && exited.event.cr2 === event.cr2
        ? { ...exited, event: { ...exited.event, ...event, why: reasonOf(exited.event, event) }, injected: true }
        : { event, ...at, injected: true };
    this.list = nested ? [...this.list, queued] : [queued];
  }

  save(): EventChainState {
    return { list: this.list, delivered: this.delivered, intercepted: this.intercepted };
  }
  restore(s: EventChainState): void {
    this.list = s.list;
    this.delivered = s.delivered;
    this.intercepted = s.intercepted;
  }
}

/** The hypervisor's own reason counts (a walk of the guest's tables); where it only hands on what exited, the processor's. */
const reasonOf = (exited: FaultEvent, queued: FaultEvent): FaultReason =>
  queued.why.rule === 'injected' ? exited.why : queued.why;

export interface EventChainState {
  readonly list: readonly ChainEvent[];
  readonly delivered: readonly ChainEvent[];
  readonly intercepted: (EventPlace & { readonly event: FaultEvent }) | undefined;
}
