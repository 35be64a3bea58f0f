/**
 * Asynchronous page faults (virt/kvm/async_pf.c; arch/x86/kvm/x86.c; Documentation/virt/kvm/x86/msr.rst). When a
 * guest touches a page that the host has in swap, a host worker reads it while the VCPU continues. A guest that
 * enabled the feature gets a #PF whose CR2 is a token, runs something else, and is notified by an interrupt when the
 * page is ready; any other guest is halted until then, but can take interrupts meanwhile. The 64 bytes that the guest
 * shares (struct kvm_vcpu_pv_apf_data):
 *
 *    0..3  flags: 1 = this #PF is for a page that is not present      4..7  token of a page that is ready; the guest
 * clears both
 */
import { gpa as asGpa, type Gpa, type Gva, type Hva } from '../base/address';
import { hex } from '../base/hex';
import { VECTOR } from '../isa/exceptions';
import { because } from '../isa/reasons/index';
import { cost } from '../trace/costs';
import { kvmStep, type Step, type Work } from '../trace/step';
import { interruptAllowed, type PendingEvents } from './events';
import type { Lapic } from './lapic';
import { DELIVERY } from './lapic-registers';
import { slotHva } from './memslots';
import type { AsyncFault } from './mmu/fault';
import type { Vm } from './vm';
import type { GuestRegisters } from './x86/registers';

/**
 * MSR_KVM_ASYNC_PF_EN: 63:6 address of the shared bytes, 3 page-ready by interrupt, 2 #PF as a VM exit to L1, 1 also
 * at CPL 0, 0 enable.
 */
const ENABLED = 1n;
const SEND_ALWAYS = 2n;
const DELIVERY_AS_PF_VMEXIT = 4n;
const DELIVERY_AS_INT = 8n;
const RESERVED = 0x30n;
const REASON_PAGE_NOT_PRESENT = 1;
/** Token for "every page is ready", sent when the guest enables the feature. */
const ALL_READY = 0xffff_ffff;
/** ASYNC_PF_PER_VCPU. */
const MOST = 64;

/** Under shadow paging, the faulting guest access: its linear address, the #PF's error code, and the guest's CR3. */
interface ShadowAccess {
  readonly linear: Gva;
  readonly code: number;
  readonly cr3: bigint;
}

/** struct kvm_async_pf: a page that a worker is reading or has read. */
export interface AsyncPage {
  readonly token: number;
  readonly gpa: bigint;
  readonly hva: bigint;
  readonly write: boolean;
  readonly shadow?: ShadowAccess | undefined;
  /** Host TSC at which the worker has the page. */
  readonly ready: bigint;
  /** The guest was notified by #PF. */
  readonly injected: boolean;
  readonly all: boolean;
}

/** What asynchronous page faults need from their VCPU. */
export interface AsyncPfVcpu {
  readonly id: number;
  readonly vm: Vm;
  readonly events: PendingEvents;
  readonly lapic: Lapic;
  readonly regs: GuestRegisters;
  readonly hostTsc: bigint;
  passTimeUntil(time: bigint): void;
  readGuest(address: Gpa, length: number): Uint8Array | undefined;
  step(fn: string, what: string, cycles: number, parts?: Parameters<typeof kvmStep>[3]): Step;
}

export class AsyncPf implements AsyncFault {
  private enable = 0n;
  private vector = 0n;
  private id = 0;
  /** Pages that workers are reading, in the order in which they will be ready. */
  private queue: AsyncPage[] = [];
  private done: AsyncPage[] = [];
  /** apf.halted: the VCPU sleeps although the guest has not halted. */
  private asleep = false;
  private readyPending = false;

  /** `ready`: kvm_arch_async_page_ready, which maps a ready page before the guest retries. */
  constructor(
    private readonly v: AsyncPfVcpu,
    private readonly ready: (page: AsyncPage) => Work<void>,
  ) {}

  // ---- MSRs

  read(msr: 'EN' | 'INT' | 'ACK'): bigint {
    return msr === 'EN' ? this.enable : msr === 'INT' ? this.vector : 0n;
  }
  /** kvm_pv_enable_async_pf and related setters: false is #GP(0). */
  write(msr: 'EN' | 'INT' | 'ACK', value: bigint): boolean {
    switch (msr) {
      case 'INT':
        if (value >> 8n !== 0n) return false;
        this.vector = value;
        return true;
      case 'ACK':
        // pending pages are delivered before the next entry
        if ((value & 1n) !== 0n) this.readyPending = false;
        return true;
      case 'EN':
        if ((value & (RESERVED | DELIVERY_AS_PF_VMEXIT)) !== 0n) return false;
        if (this.on(value) && !this.v.vm.memslots.find(asGpa(value & ~0x3fn))) return false;
        this.enable = value;
        if (!this.enabled) {
          this.queue = [];
          this.done = [];
        } else if (this.done.length === 0) this.done.push({ ...WAKE_ALL });
        return true;
    }
  }
  private on(value: bigint): boolean {
    return (value & (ENABLED | DELIVERY_AS_INT)) === (ENABLED | DELIVERY_AS_INT);
  }
  private get enabled(): boolean {
    return this.on(this.enable);
  }

  // ---- the fault

  /** kvm_can_do_async_pf and kvm_arch_setup_async_pf. False: the fault waits for the page. */
  *setup(address: Gpa, at: Hva, write: boolean, shadow?: ShadowAccess): Work<boolean> {
    const { v } = this;
    if (v.events.exceptionPending || v.events.vectoring || !interruptAllowed(v.regs)) return false;
    const page = address & ~0xfffn;
    if (this.queue.some((q) => q.gpa === page)) {
      this.asleep = true;
      yield v.step(
        'kvm_async_pf_repeated_fault',
        `the page of GPA ${hex(page)} is on its way: the VCPU sleeps until it is there`,
        cost('kvmHandler'),
        { addresses: { gpa: address } },
      );
      return true;
    }
    if (this.queue.length + this.done.length >= MOST) return false;
    this.id = (this.id + 1) & 0xf_ffff || 1;
    const token = ((this.id << 12) | v.id) >>> 0;
    const ready = v.hostTsc + BigInt(cost('swapIn'));
    yield v.step(
      'kvm_arch_setup_async_pf',
      `HVA ${hex(at)} is in swap: a worker of the host reads it, as token ${hex(token)}`,
      cost('kvmHandler'),
      { addresses: { gpa: address, hva: at } },
    );
    const injected = yield* this.notPresent(token);
    this.queue.push({ token, gpa: page, hva: at & ~0xfffn, write, shadow, ready, injected, all: false });
    return true;
  }

  /** kvm_arch_async_page_not_present: whether the guest was notified. */
  private *notPresent(token: number): Work<boolean> {
    const { v } = this;
    const deliverable = this.enabled && ((this.enable & SEND_ALWAYS) !== 0n || v.regs.cpl !== 0);
    if (!deliverable || !(yield* this.put(0, REASON_PAGE_NOT_PRESENT))) {
      this.asleep = true;
      const why = this.enabled
        ? 'the guest is in kernel mode and asked for none there'
        : 'the guest has not asked for any';
      yield v.step(
        'kvm_arch_async_page_not_present',
        `no #PF can tell the guest (${why}): the VCPU sleeps until the page is there, or an interrupt`,
        cost('kvmHandler'),
      );
      return false;
    }
    v.events.queueException({
      vector: VECTOR.PF,
      errorCode: 0,
      payload: BigInt(token),
      why: because('async-page', BigInt(token)),
    });
    yield v.step(
      'kvm_arch_async_page_not_present',
      `tells the guest by a #PF with token ${hex(token)} in CR2: it can run something else`,
      cost('kvmHandler'),
    );
    return true;
  }

  // ---- the worker

  /** Host TSC at which a worker next has its page; undefined: no worker is busy. */
  get deadline(): bigint | undefined {
    return this.queue[0]?.ready;
  }
  /** Whether `check` has anything to do. */
  get due(): boolean {
    const first = this.queue[0];
    return (first !== undefined && first.ready <= this.v.hostTsc) || (this.done.length > 0 && this.deliverable());
  }

  /** async_pf_execute: workers whose time has come have their pages. True: the VCPU must be kicked. */
  *execute(): Work<boolean> {
    const { v } = this;
    let any = false;
    for (let q = this.queue[0]; q && q.ready <= v.hostTsc; q = this.queue[0]) {
      this.queue.shift();
      const { token, gpa, hva } = q;
      yield kvmStep('async_pf_execute', `a worker has the page with token ${hex(token)}`, cost('kvmHandler'), {
        addresses: { gpa: asGpa(gpa), hva: hva as Hva },
      });
      // the access itself finds an error again, synchronously
      yield* v.vm.space.getUserPage(hva as Hva, q.write);
      this.done.push(q);
      any = true;
    }
    return any && !this.readyPending;
  }

  /** kvm_arch_can_dequeue_async_page_present. */
  private deliverable(): boolean {
    if (!this.enabled) return true;
    const { lapic } = this.v;
    const bytes = this.v.readGuest(asGpa((this.enable & ~0x3fn) + 4n), 4);
    return lapic.accepts && bytes?.every((b) => b === 0) === true;
  }

  /**
   * kvm_check_async_pf_completion: maps what is ready and notifies the guest. True: it did, and a halted VCPU wakes.
   */
  *check(): Work<boolean> {
    yield* this.execute();
    let woken = false;
    while (this.done.length > 0 && this.deliverable()) {
      const q = this.done.shift();
      if (!q) break;
      woken = true;
      this.asleep = false;
      if (!q.all) yield* this.ready(q);
      yield* this.present(q);
    }
    return woken;
  }

  /** kvm_arch_async_page_present. */
  private *present(q: AsyncPage): Work<void> {
    const { v } = this;
    if (!(q.injected || q.all) || !this.enabled || !(yield* this.put(4, q.token))) return;
    this.readyPending = true;
    v.lapic.accept(DELIVERY.FIXED, Number(this.vector & 0xffn), false);
    yield v.step(
      'kvm_arch_async_page_present',
      q.all
        ? `tells the guest that every page is ready, by interrupt ${hex(this.vector)} with token ${hex(q.token)}`
        : `the page of GPA ${hex(q.gpa)} is there: interrupt ${hex(this.vector)} with token ${hex(q.token)}`,
      cost('kvmHandler'),
      q.all ? {} : { addresses: { gpa: asGpa(q.gpa) } },
    );
  }

  /**
   * Before an entry: delivers ready pages; and kvm_vcpu_block for a VCPU that sleeps waiting for a page
   * (KVM_REQ_APF_HALT), until the page is ready or there is an interrupt that the guest accepts. The wait takes no
   * real time.
   */
  *beforeEntry(): Work<void> {
    const { v } = this;
    yield* this.check();
    while (this.asleep && !v.events.runnable(v.regs, v.lapic)) {
      const wake = earlier(this.deadline, v.lapic.timerUnmasked ? v.lapic.timer.deadline : undefined);
      if (wake === undefined) break;
      v.passTimeUntil(wake);
      v.lapic.checkTimer();
      yield v.step('kvm_vcpu_block', 'sleeps until a worker has the page, or the timer fires', cost('kvmHandler'));
      yield* this.check();
    }
    this.asleep = false;
  }

  /** Writes one of the shared words; false: the guest's bytes are unavailable. */
  private *put(offset: number, value: number): Work<boolean> {
    const { vm } = this.v;
    const at = asGpa((this.enable & ~0x3fn) + BigInt(offset));
    const slot = vm.memslots.find(at);
    if (!slot || slot.readonly) return false;
    const written = yield* vm.space.write(slotHva(slot, at), new Uint8Array(Uint32Array.of(value).buffer));
    if (written.ok) vm.markPageDirty(at);
    return written.ok;
  }

  save(): AsyncPfState {
    const { enable, vector, id, queue, done, asleep, readyPending } = this;
    return { enable, vector, id, queue: [...queue], done: [...done], asleep, readyPending };
  }
  restore(s: AsyncPfState): void {
    this.enable = s.enable;
    this.vector = s.vector;
    this.id = s.id;
    this.queue = [...s.queue];
    this.done = [...s.done];
    this.asleep = s.asleep;
    this.readyPending = s.readyPending;
  }
}

const WAKE_ALL: AsyncPage = {
  token: ALL_READY,
  gpa: 0n,
  hva: 0n,
  write: false,
  ready: 0n,
  injected: false,
  all: true,
};

/** The earlier of two times, either of which may be undefined. */
export const earlier = (a: bigint | undefined, b: bigint | undefined): bigint | undefined =>
  a === undefined ? b : b === undefined || a < b ? a : b;

export interface AsyncPfState {
  readonly enable: bigint;
  readonly vector: bigint;
  readonly id: number;
  readonly queue: readonly AsyncPage[];
  readonly done: readonly AsyncPage[];
  readonly asleep: boolean;
  readonly readyPending: boolean;
}
