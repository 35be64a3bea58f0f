import { bit } from '../../base/bits';
import { VECTOR } from '../../isa/exceptions';
import { VMX_EXIT } from '../../isa/exits';
import { SVM_EXIT } from '../../isa/svm-exits';
import { CR0, RFLAGS } from '../../isa/flags';
import { SECONDARY } from '../../isa/vmcs-controls';
import type { HostMemory } from '../memory/host-memory';
import { decodeEptp } from '../paging/ept';
import { CpuState } from '../state/cpu-state';
import type { VmExit } from '../state/event';
import { SEG, SLOT } from '../state/layout';
import { Tlb } from '../tlb/tlb';
import { WalkCache } from '../tlb/walk-cache';
import type { EntryResult } from '../vmx/entry';
import type { Interruption } from '../state/interruption';
import { Svm, type VmrunResult } from '../svm/svm';
import { Vmx } from '../vmx/vmx';
import { decodeControls } from '../paging/controls';
import { decodeNpt } from '../paging/npt';
import type { SecondLevelTables } from '../paging/second-level';
import { BlockCache } from './block-cache';
import { MAX_BLOCK_INSTRUCTIONS } from './block-builder';
import type { CpuidModel } from './cpuid-model';
import type { EventChainState } from './event-chain';
import { DR6_BS, EventDelivery, type CpuStop, type HeldDelivery, type HeldFault } from './event-delivery';
export type { CpuStop } from './event-delivery';

import { Fetcher } from './fetch';
import { Mmu } from './mmu';
import type { Platform } from './platform';
import { RAN_BRANCH, RAN_EVENT, Runner } from './runner';
import { codeMode } from './system/modes';
import { readMsr, svmCapabilitiesOf, vmxCapabilitiesOf, writeMsr } from './system/msr';
import { SvmUnit } from './system/svm-unit';
import { resetState } from './system/reset';

export interface CpuOptions {
  /** 0: no TLB, every access walks. */
  readonly tlbEntries: number;
  readonly tlbWays: number;
  /** Paging-structure caches; absent: none, and every walk begins at the root. */
  readonly walkCaches?: boolean;
  /** The machine around a CPU that no hypervisor runs. Absent: physical addresses are host memory, and whoever calls `run` is the bus. */
  readonly platform?: Platform;
}

/** B3–B0 and BS: what can be pending. */
const DR6_TRAPS = 0x400fn;
const NO_BYTES = new Uint8Array(0);
const MAX_INSN_BYTES = 15;
const BUDGET: CpuStop = { kind: 'budget' };
const CONTINUES = SLOT.FETCH_CONTINUES * 2;
const RETIRED = SLOT.RETIRED * 2;
const INTERRUPTIBILITY = SLOT.INTERRUPTIBILITY * 2;
/** Blocking by STI and by MOV SS. */
const SHADOW = 3;
const MOV_SS = 2;
const DR7 = SLOT.DR7 * 2;
/** Blocking of NMIs: by MOV SS and by an NMI being handled. */
const NMI_BLOCKING = 0xa;

/** One hardware CPU: registers, TLB, MMU, VMX, and the fetch–execute loop. */
export class Cpu extends EventDelivery {
  readonly tlb: Tlb;
  readonly vmx: Vmx;
  readonly svm: Svm;
  /** Linear addresses to stop before. */
  readonly breakpoints = new Set<bigint>();
  private readonly runner: Runner;
  readonly fetcher: Fetcher;
  /** The place (retired count and linear address) whose breakpoint was already reported. */
  private passedAt: { readonly retired: bigint; readonly linear: bigint } | undefined;

  constructor(
    readonly memory: HostMemory,
    readonly index: number,
    model: CpuidModel,
    options: CpuOptions,
    private readonly blocks: BlockCache = new BlockCache(memory),
  ) {
    const state = new CpuState(memory, index);
    const tlb = new Tlb(
      memory,
      index,
      options.tlbEntries,
      options.tlbWays,
      options.walkCaches === true ? new WalkCache() : undefined,
    );
    const mmu = new Mmu(state, memory, tlb, model, options.platform);
    super(state, mmu, model, options.platform);
    this.apic = options.platform?.apic;
    this.tlb = tlb;
    this.vmx = new Vmx(state, memory, vmxCapabilitiesOf(model), {
      msr: { read: (i) => readMsr(this, i), write: (i, v) => writeMsr(this, i, v) === true },
      caches: mmu,
    });
    this.svm = new Svm(state, memory, svmCapabilitiesOf(model), mmu);
    this.svmInstructions = new SvmUnit(this);
    this.runner = new Runner(this, tlb);
    this.fetcher = new Fetcher(this, mmu, tlb, blocks, options.platform?.entered);
    blocks.onCodePage((offset, code) => mmu.setCodePage(offset, code));
    this.reset();
  }

  /** Power-up state (SDM vol. 3, table 9-1). */
  reset(): void {
    resetState(this.state, this.model);
    this.tlb.flushAll();
    this.mmu.controlsChanged();
  }

  /** Retired instructions: guest time. */
  get retired(): bigint {
    return this.state.get(SLOT.RETIRED);
  }
  get counters(): Mmu['counters'] {
    return this.mmu.counters;
  }
  /** VMX non-root operation or SVM guest mode: the registers are a guest's. */
  get nonRoot(): boolean {
    return this.intercepts !== null;
  }
  /** Linear address of the next instruction. */
  get linearRip(): bigint {
    const s = this.state;
    return codeMode(s).bits === 64 ? s.rip : BigInt.asUintN(32, s.rip + s.segmentBase(SEG.CS));
  }

  /** Makes the next `run` not stop at a breakpoint where the CPU stands now: for going on after a stop of any kind. */
  passBreakpoint(): void {
    this.passedAt = { retired: this.retired, linear: this.linearRip };
  }

  /**
   * Executes at most `budget` instructions. Deliveries of events and iterations of REP instructions count as one each,
   * so that nothing runs on for ever.
   */
  run(budget: number): CpuStop {
    let left = budget;
    this.mmu.settleRights();
    // a delivery is a step of its own: a budget of one ends before the handler's first instruction
    if (this.injection !== undefined || this.heldDelivery !== undefined || this.heldFault?.rip === this.state.rip)
      left--;
    const early = this.deliverPending();
    if (early) return early;
    const s = this.state;
    const r32 = s.r32;
    let progressed = false;
    while (left > 0) {
      const boundary = this.atBoundary(progressed);
      if (boundary) return boundary;
      if (((r32[DR7] as number) & 0xff) !== 0 || this.debugging) this.settleBreakpoints();
      const shadow = (r32[INTERRUPTIBILITY] as number) & SHADOW;
      const trap = s.systemFlag(RFLAGS.TF);
      // RF lasts for one instruction; a fault of that instruction sets it again in what is saved
      const resume = s.systemFlag(RFLAGS.RF);
      const single =
        shadow !== 0 ||
        trap ||
        this.debugging ||
        resume ||
        left < MAX_BLOCK_INSTRUCTIONS ||
        this.breakpoints.size > 0 ||
        (this.nonRoot && this.extension.watchesBoundaries);
      if (this.breakpoints.size > 0 && this.atBreakpoint()) return { kind: 'breakpoint', linear: this.linearRip };
      // behind MOV SS Intel's processors suppress them (SDM vol. 3, 6.8.3), AMD's do not
      if (this.debugging && !resume && ((shadow & MOV_SS) === 0 || this.model.vendor === 'amd')) {
        const why = this.debugUnit.instruction(this.linearRip);
        if (why !== 0n) {
          left--;
          const stop = this.instructionBreakpoint(why);
          if (stop) return stop;
          continue;
        }
      }
      const block = this.fetcher.next(single);
      if (block === undefined) {
        left--;
        const stop = this.handleEvent();
        if (stop) return stop;
        continue;
      }
      if (shadow !== 0) r32[INTERRUPTIBILITY] = (r32[INTERRUPTIBILITY] as number) & ~SHADOW;
      if (resume) s.setSystemFlag(RFLAGS.RF, false);
      const end = this.runner.run(block);
      const n = this.runner.retired;
      if (n > 0) {
        const before = r32[RETIRED] as number;
        const after = (before + n) | 0;
        r32[RETIRED] = after;
        if (after >>> 0 < before >>> 0) r32[RETIRED + 1] = (r32[RETIRED + 1] as number) + 1;
      }
      left -= n > 0 ? n : 1;
      if (end === RAN_BRANCH) {
        r32[CONTINUES] = 0;
        // VMRUN by the code that runs here
        if (this.injection !== undefined) {
          left--;
          const stop = this.deliverPending();
          if (stop) return stop;
        }
      }
      if (end === RAN_EVENT) {
        if (resume) s.setSystemFlag(RFLAGS.RF, true);
        if (shadow !== 0) r32[INTERRUPTIBILITY] = (r32[INTERRUPTIBILITY] as number) | shadow;
        if (this.debugging) this.debugUnit.take();
        const stop = this.handleEvent();
        if (stop) return stop;
      } else if (trap || this.debugging || this.debugTraps !== 0n || this.stepTrap !== undefined) {
        this.debugTraps |= ((this.stepTrap ?? trap) ? DR6_BS : 0n) | this.debugUnit.take();
        this.stepTrap = undefined;
        const stop = this.debugTrap();
        if (stop) return stop;
      }
      progressed = true;
    }
    return BUDGET;
  }

  /** What may happen between two instructions: exits that VMX watches for, interrupts, and a CPU that is not active. */
  private atBoundary(progressed: boolean): CpuStop | undefined {
    const s = this.state;
    if (this.nonRoot) {
      if (this.extension.watchesBoundaries || s.get32(SLOT.PENDING_INTR) !== 0 || s.get32(SLOT.PENDING_NMI) !== 0) {
        const exit = this.extension.boundaryExit(progressed);
        if (exit) return this.vmExit(exit, undefined);
        const due = this.svm.inGuest ? this.svm.takeGuestInterrupt() : undefined;
        if (due) return this.deliverInterrupt(due.vector, due.nmi);
      }
    } else if (this.svm.gif) {
      if (s.get32(SLOT.PENDING_NMI) !== 0 && (s.get32(SLOT.INTERRUPTIBILITY) & NMI_BLOCKING) === 0) {
        s.set32(SLOT.PENDING_NMI, 0);
        return this.deliverInterrupt(VECTOR.NMI, true);
      }
      const pending = s.get32(SLOT.PENDING_INTR);
      if (pending !== 0 && s.systemFlag(RFLAGS.IF) && (s.get32(SLOT.INTERRUPTIBILITY) & SHADOW) === 0) {
        s.set32(SLOT.PENDING_INTR, 0);
        return this.deliverInterrupt(this.apic ? this.apic.acknowledge() : pending & 0xff, false);
      }
    }
    const activity = s.get32(SLOT.ACTIVITY);
    return activity === 0 ? undefined : activity === 1 ? { kind: 'halt' } : { kind: 'shutdown' };
  }

  /** The extension whose guest runs. */
  private get extension(): Vmx | Svm {
    return this.svm.inGuest ? this.svm : this.vmx;
  }

  private atBreakpoint(): boolean {
    const linear = this.linearRip;
    if (!this.breakpoints.has(linear)) return false;
    if (this.passedAt !== undefined && this.passedAt.linear === linear && this.passedAt.retired === this.retired)
      return false;
    this.passedAt = { retired: this.retired, linear };
    return true;
  }

  // ---- VMX operation

  /** VMLAUNCH and VMRESUME by root-mode software. On success the registers are the guest's and `run` goes on in it. */
  vmlaunch(): EntryResult {
    return this.enter(true);
  }
  vmresume(): EntryResult {
    return this.enter(false);
  }
  private enter(launch: boolean): EntryResult {
    const result = this.vmx.enter(launch);
    if (!result.ok) return result;
    const c = this.vmx.controls;
    this.intercepts = this.vmx.intercepts;
    this.heldFault = undefined;
    this.chain.entered();
    this.injection = result.inject;
    // an event that is injected comes first, and what was pending is not kept for later
    this.debugTraps = result.inject === undefined ? result.pendingDebug & DR6_TRAPS : 0n;
    this.mmu.setSecondLevel(
      (c.secondary & SECONDARY.ENABLE_EPT) !== 0 ? decodeEptp(c.eptPointer, this.model.pages1g) : undefined,
      (c.secondary & SECONDARY.ENABLE_VPID) !== 0 ? c.vpid : 0,
      this.vmx.log,
    );
    return result;
  }
  /** An exit to whoever entered the guest: undefined where that is code that runs here, which goes on. */
  protected vmExit(exit: VmExit, vectoring: Interruption | undefined): CpuStop | undefined {
    const stop: CpuStop = { kind: 'exit', exit };
    if (this.svm.inGuest) {
      this.svm.exit(exit, vectoring, exit.reason === SVM_EXIT.NPF ? this.instructionBytes() : NO_BYTES);
      this.leftGuest();
      if (!this.svm.byInstruction) return stop;
      this.mmu.settleRights();
      return undefined;
    }
    this.vmx.exit(exit, vectoring, (this.state.get32(SLOT.INTERRUPTIBILITY) & MOV_SS) !== 0 ? this.debugTraps : 0n);
    this.leftGuest();
    return stop;
  }
  protected shutdownExit(): VmExit | undefined {
    if (this.svm.inGuest) return this.svm.shutdownExits ? { reason: SVM_EXIT.SHUTDOWN, qualification: 0n } : undefined;
    return this.vmx.inNonRoot ? { reason: VMX_EXIT.TRIPLE_FAULT, qualification: 0n } : undefined;
  }
  private leftGuest(): void {
    this.debugTraps = 0n;
    this.intercepts = null;
    this.event = undefined;
    this.mmu.setSecondLevel(undefined, 0, undefined, this.model.has('SVM'));
  }

  // ---- SVM

  /** VMRUN by software that drives this CPU. On success the registers are the guest's and `run` goes on in it. */
  vmrun(vmcb: bigint): VmrunResult {
    return this.enterSvm(vmcb, this.state.rip, false);
  }
  /** VMRUN; `byInstruction`: as code that runs here executes it. */
  enterSvm(vmcb: bigint, returnRip: bigint, byInstruction: boolean): VmrunResult {
    const result = this.svm.vmrun(vmcb, returnRip, byInstruction);
    if (!result.ok) return result;
    this.intercepts = this.svm.intercepts;
    this.heldFault = undefined;
    this.chain.entered();
    this.injection = result.inject;
    this.debugTraps = 0n;
    this.mmu.setSecondLevel(this.nestedTables(), this.svm.controls.asid, undefined, true);
    if (byInstruction) this.mmu.settleRights();
    return result;
  }
  /** Nested paging has the format of the host's own paging, whose registers lie in the host save area. */
  private nestedTables(): SecondLevelTables | undefined {
    const { controls, hostSaveArea } = this.svm;
    if (!controls.nestedPaging) return undefined;
    const host = this.svm.at(hostSaveArea);
    return decodeNpt(
      controls.nestedCr3,
      decodeControls(host.read('CR0'), host.read('CR4'), host.read('EFER'), 0, this.model),
    );
  }
  /** Decode assists: up to 15 bytes of the instruction at RIP, as far as its pages can be fetched without a fault (APM vol. 2, 15.33.4). */
  private instructionBytes(): Uint8Array {
    const out: number[] = [];
    const first = this.linearRip;
    const access = { op: 'fetch', user: this.state.cpl === 3, implicit: false } as const;
    for (let at = first; out.length < MAX_INSN_BYTES;) {
      const { hpa } = this.mmu.probeWalk(at, access);
      if (hpa === undefined || !this.memory.contains(hpa)) break;
      const n = Math.min(MAX_INSN_BYTES - out.length, 4096 - Number(at & 0xfffn));
      out.push(...this.memory.read(hpa, n));
      at += BigInt(n);
    }
    return Uint8Array.from(out);
  }

  save(): CpuSnapshot {
    return {
      state: this.state.save(),
      tlb: this.tlb.save(),
      mmu: this.mmu.save(),
      vmx: this.vmx.save(),
      svm: this.svm.save(),
      injection: this.injection,
      debugTraps: this.debugTraps,
      heldFault: this.heldFault,
      heldDelivery: this.heldDelivery,
      chain: this.chain.save(),
      passedAt: this.passedAt,
    };
  }
  /** Memory itself (VMCS and tables included) is restored by its owner, before this. */
  restore(s: CpuSnapshot): void {
    this.blocks.clear();
    this.state.restore(s.state);
    this.tlb.restore(s.tlb);
    this.vmx.restore(s.vmx);
    this.svm.restore(s.svm);
    this.intercepts = this.svm.inGuest ? this.svm.intercepts : this.vmx.inNonRoot ? this.vmx.intercepts : null;
    this.mmu.restore(
      s.mmu,
      s.mmu.tables === undefined
        ? undefined
        : this.svm.inGuest
          ? this.nestedTables()
          : decodeEptp(s.mmu.tables, this.model.pages1g),
      this.vmx.inNonRoot ? this.vmx.log : undefined,
    );
    this.injection = s.injection;
    this.debugTraps = s.debugTraps;
    this.debugUnit.forget();
    this.debugging = true;
    this.heldFault = s.heldFault;
    this.heldDelivery = s.heldDelivery;
    this.chain.restore(s.chain);
    this.passedAt = s.passedAt;
    this.event = undefined;
  }

  /** Whether paging is on. */
  get paging(): boolean {
    return bit(this.state.get(SLOT.CR0), CR0.PG);
  }
}

export interface CpuSnapshot {
  readonly state: Uint8Array;
  readonly tlb: ReturnType<Tlb['save']>;
  readonly mmu: ReturnType<Mmu['save']>;
  readonly vmx: ReturnType<Vmx['save']>;
  readonly svm: ReturnType<Svm['save']>;
  readonly injection: Interruption | undefined;
  readonly debugTraps: bigint;
  readonly heldFault: HeldFault | undefined;
  readonly heldDelivery: HeldDelivery | undefined;
  readonly chain: EventChainState;
  readonly passedAt: { readonly retired: bigint; readonly linear: bigint } | undefined;
}
