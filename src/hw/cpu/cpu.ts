import { InvariantError } from '../../base/assert';
import { RFLAGS, CR0 } from '../../isa/flags';
import { VECTOR } from '../../isa/exceptions';
import { VMX_EXIT } from '../../isa/exits';
import type { HostMemory } from '../memory/host-memory';
import { CLASS_FETCH, WHO_SUPERVISOR, WHO_USER } from '../paging/access';
import { decodeEptp } from '../paging/ept';
import { CpuState } from '../state/cpu-state';
import { Tlb } from '../tlb/tlb';
import type { BusEvent, FaultEvent, VmExit } from '../state/event';
import { SEG, SLOT } from '../state/layout';
import { interruptionOfFault, type Interruption } from '../vmx/interruption';
import { Vmx, type VmEntryResult } from '../vmx/vmx';
import type { Block } from './block';
import { BlockCache, modeId } from './block-cache';
import { buildBlock, MAX_BLOCK_INSTRUCTIONS } from './block-builder';
import { Core, type IoPort } from './core';
import type { CpuidModel } from './cpuid-model';
import { Mmu } from './mmu';
import { RAN_BRANCH, RAN_EVENT, Runner } from './runner';
import { combine, deliver, faultOfInterruption } from './system/interrupts';
import { codeMode } from './system/modes';
import { resetState } from './system/reset';

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

export interface CpuOptions {
  /** 0: no TLB, every access walks. */
  readonly tlbEntries: number;
  readonly tlbWays: number;
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

const BUDGET: CpuStop = { kind: 'budget' };
const RIP = SLOT.RIP * 2;
const CS_BASE = (SLOT.SEG_BASE + SEG.CS) * 2;
const FETCH_LINEAR = SLOT.FETCH_LINEAR * 2;
const FETCH_OFFSET = SLOT.FETCH_OFFSET * 2;
const CONTINUES = SLOT.FETCH_CONTINUES * 2;
const RETIRED = SLOT.RETIRED * 2;
const INTERRUPTIBILITY = SLOT.INTERRUPTIBILITY * 2;
const SHADOW = 3;

/** One hardware CPU: registers, TLB, MMU, VMX, and the fetch–decode–execute loop. */
export class Cpu extends Core {
  readonly mmu: Mmu;
  readonly tlb: Tlb;
  readonly vmx: Vmx;
  /** Linear addresses to stop before. */
  readonly breakpoints = new Set<bigint>();
  /** Asked when an exception is about to be delivered to the guest; true stops first. Sees, and changes nothing. */
  faultObserver: ((event: FaultEvent) => boolean) | undefined;
  private readonly runner: Runner;
  /** The place (retired count and linear address) whose breakpoint was already reported. */
  private passedAt: { readonly retired: bigint; readonly linear: bigint } | undefined;
  /** A fault the observer stopped at, to be delivered when running goes on from the same place. */
  private heldFault: { readonly event: FaultEvent; readonly rip: bigint; readonly instructionLength: number } | undefined;
  /** An event that VM entry injects, delivered at the start of the next run. */
  private injection: Interruption | undefined;

  constructor(
    readonly memory: HostMemory,
    readonly index: number,
    model: CpuidModel,
    options: CpuOptions,
    readonly blocks: BlockCache = new BlockCache(memory),
  ) {
    const state = new CpuState(memory, index);
    const tlb = new Tlb(memory, index, options.tlbEntries, options.tlbWays);
    const mmu = new Mmu(state, memory, tlb, model.physicalBits);
    super(state, mmu, BUS_IO, model);
    this.mmu = mmu;
    this.tlb = tlb;
    this.vmx = new Vmx(memory, state, model);
    this.runner = new Runner(this, tlb);
    blocks.onCodePage((offset, code) => mmu.setCodePage(offset, code));
    this.reset();
  }

  /** Power-up state (SDM vol. 3, table 9-1). */
  reset(): void {
    resetState(this.state, this.model);
    this.mmu.controlsChanged();
    this.tlb.flushAll();
  }

  get retired(): bigint {
    return this.state.get(SLOT.RETIRED);
  }
  get counters(): Mmu['counters'] {
    return this.mmu.counters;
  }
  /** Whether the registers are the guest's: VMX non-root operation, or no VMX at all. */
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

  /** Executes at most `budget` instructions (deliveries of events count as one each). */
  run(budget: number): CpuStop {
    let left = budget;
    if (this.injection !== undefined) {
      const i = this.injection;
      this.injection = undefined;
      const stop = this.deliverEvent(faultOfInterruption(i), i, true);
      if (stop) return stop;
    }
    if (this.heldFault !== undefined) {
      const held = this.heldFault;
      this.heldFault = undefined;
      if (held.rip === this.state.rip) {
        const stop = this.deliverEvent(held.event, interruptionOfFault(held.event, held.instructionLength));
        if (stop) return stop;
      }
    }
    const s = this.state;
    const r32 = s.r32;
    while (left > 0) {
      if (r32[SLOT.ACTIVITY * 2] !== 0) return r32[SLOT.ACTIVITY * 2] === 1 ? { kind: 'halt' } : { kind: 'shutdown' };
      const shadow = (r32[INTERRUPTIBILITY] as number) & SHADOW;
      const trap = s.systemFlag(RFLAGS.TF);
      const single = shadow !== 0 || trap || left < MAX_BLOCK_INSTRUCTIONS || this.breakpoints.size > 0;
      if (this.breakpoints.size > 0 && this.atBreakpoint()) return { kind: 'breakpoint', linear: this.linearRip };
      const block = this.nextBlock(single);
      if (block === undefined) {
        left--;
        const stop = this.handleEvent();
        if (stop) return stop;
        continue;
      }
      if (shadow !== 0) r32[INTERRUPTIBILITY] = (r32[INTERRUPTIBILITY] as number) & ~SHADOW;
      const end = this.runner.run(block);
      const n = this.runner.retired;
      if (n > 0) {
        const before = r32[RETIRED] as number;
        const after = (before + n) | 0;
        r32[RETIRED] = after;
        if (after >>> 0 < before >>> 0) r32[RETIRED + 1] = (r32[RETIRED + 1] as number) + 1;
      }
      // an iteration of a REP instruction retires nothing but counts as work
      left -= n > 0 ? n : 1;
      if (end === RAN_BRANCH) r32[CONTINUES] = 0;
      else if (end === RAN_EVENT) {
        if (shadow !== 0) r32[INTERRUPTIBILITY] = (r32[INTERRUPTIBILITY] as number) | shadow;
        const stop = this.handleEvent();
        if (stop) return stop;
        continue;
      }
      if (trap && n > 0) {
        const stop = this.singleStepTrap();
        if (stop) return stop;
      }
    }
    return BUDGET;
  }

  /** #DB after an instruction that began with RFLAGS.TF set (SDM vol. 3, 17.3.1.4): DR6.BS, and the return address is the next instruction. */
  private singleStepTrap(): CpuStop | undefined {
    this.state.set(SLOT.DR6, this.state.get(SLOT.DR6) | 0x4000n);
    this.event = { kind: 'fault', vector: VECTOR.DB };
    return this.handleEvent();
  }

  private atBreakpoint(): boolean {
    const linear = this.linearRip;
    if (!this.breakpoints.has(linear)) return false;
    if (this.passedAt !== undefined && this.passedAt.linear === linear && this.passedAt.retired === this.retired) return false;
    this.passedAt = { retired: this.retired, linear };
    return true;
  }

  // ---- fetch

  /** The block at RIP; undefined with `event` set when it cannot be fetched. */
  private nextBlock(single: boolean): Block | undefined {
    const s = this.state;
    const r32 = s.r32;
    const mode = codeMode(s);
    let lo = r32[RIP] as number;
    let hi = r32[RIP + 1] as number;
    if (mode.bits !== 64) {
      if (lo >>> 0 > s.get32(SLOT.LIMIT + SEG.CS) || hi !== 0) {
        this.raise(VECTOR.GP, 0);
        this.insn = NO_INSTRUCTION;
        return undefined;
      }
      lo = (lo + (r32[CS_BASE] as number)) | 0;
      hi = 0;
    }
    let offset: number;
    if (r32[CONTINUES] !== 0 && r32[FETCH_LINEAR] === (lo & ~0xfff) && r32[FETCH_LINEAR + 1] === hi) {
      offset = ((r32[FETCH_OFFSET] as number) >>> 0) + (lo & 0xfff);
    } else {
      offset = this.fetch(lo, hi);
      if (offset < 0) return undefined;
      this.setFetchPage(lo, hi, offset);
    }
    const id = modeId(mode);
    const found = this.blocks.find(offset, id, single);
    if (found !== undefined) {
      if (found.secondPage < 0) return found;
      const second = this.fetchSecond(lo, hi);
      if (second < 0) return undefined;
      if (second === found.secondPage) return found;
    }
    return this.build(mode, id, offset, single, lo, hi);
  }

  /** Offset of the code byte at a linear address, through the TLB; −1 with `event` set. */
  private fetch(lo: number, hi: number): number {
    const tlb = this.tlb;
    const e = tlb.find(lo, hi);
    const bit = 1 << (CLASS_FETCH + (this.state.cpl === 3 ? WHO_USER : WHO_SUPERVISOR));
    if (e >= 0 && ((tlb.words[e + 2] as number) & bit) !== 0) {
      tlb.hits++;
      return ((tlb.words[e + 3] as number) >>> 0) + (lo & 0xfff);
    }
    const at = this.mmu.fetch(this, joined(lo, hi));
    if (at < 0) this.insn = NO_INSTRUCTION;
    return at;
  }
  private fetchSecond(lo: number, hi: number): number {
    const next = ((lo & ~0xfff) + 4096) | 0;
    return this.fetch(next, next === 0 && codeMode(this.state).bits === 64 ? hi + 1 : hi);
  }
  private setFetchPage(lo: number, hi: number, offset: number): void {
    const r32 = this.state.r32;
    r32[CONTINUES] = 1;
    r32[FETCH_LINEAR] = lo & ~0xfff;
    r32[FETCH_LINEAR + 1] = hi;
    r32[FETCH_OFFSET] = offset - (lo & 0xfff);
  }

  private build(mode: ReturnType<typeof codeMode>, id: number, offset: number, single: boolean, lo: number, hi: number): Block | undefined {
    const u8 = this.memory.u8;
    const here = 4096 - (lo & 0xfff);
    const key = this.blocks.key(offset, id, single);
    const maxInstructions = single ? 1 : MAX_BLOCK_INSTRUCTIONS;
    let block = buildBlock({ bytes: u8.subarray(offset, offset + here), mode, maxInstructions, offset, secondPage: -1, key });
    if (block === undefined) {
      // the first instruction goes on in the next page
      const second = this.fetchSecond(lo, hi);
      if (second < 0) return undefined;
      const bytes = new Uint8Array(15);
      bytes.set(u8.subarray(offset, offset + here));
      bytes.set(u8.subarray(second, second + 15 - here), here);
      block = buildBlock({ bytes, mode, maxInstructions: 1, offset, secondPage: second, key });
      if (block === undefined) throw new InvariantError('15 bytes always decode to an instruction or an error');
    }
    this.blocks.add(block);
    return block;
  }

  // ---- events

  private handleEvent(): CpuStop | undefined {
    const event = this.event;
    this.event = undefined;
    this.state.r32[CONTINUES] = 0;
    if (event === undefined) throw new InvariantError('an event explains why an instruction did not complete');
    switch (event.kind) {
      case 'exit':
        return this.vmExit(event.exit, undefined);
      case 'bus':
        return { kind: 'bus', event };
      case 'suspend':
        throw new InvariantError('the CPU answers every access itself');
      case 'fault': {
        const instructionLength = this.insn.length;
        if (this.faultObserver?.(event)) {
          this.heldFault = { event, rip: this.state.rip, instructionLength };
          return { kind: 'fault', event };
        }
        return this.deliverEvent(event, interruptionOfFault(event, instructionLength));
      }
    }
  }

  /**
   * Delivers an exception or interrupt, asking the exception bitmap first, and escalating to #DF and shutdown (SDM vol. 3, table 6-5). A VM exit on the way records
   * what was being delivered. `byEntry`: VM entry injects it.
   */
  private deliverEvent(event: FaultEvent, first: Interruption, byEntry = false): CpuStop | undefined {
    let current = event;
    let vectoring: Interruption | undefined;
    let injected = byEntry;
    for (;;) {
      // an event injected by VM entry is not subject to the exception bitmap
      if (!injected && this.intercepts !== null && current.software !== 'int') {
        const exit = this.intercepts.exception(this, current.vector, current.errorCode, current.software !== undefined, current.vector === VECTOR.PF ? (current.cr2 ?? 0n) : 0n);
        if (exit) return this.vmExit(exit, vectoring);
      }
      injected = false;
      vectoring = current === event ? first : interruptionOfFault(current, 0);
      const nested = deliver(this, current);
      if (nested === undefined) {
        this.state.r32[CONTINUES] = 0;
        return undefined;
      }
      this.event = undefined;
      if (nested.kind === 'exit') return this.vmExit(nested.exit, vectoring);
      if (nested.kind === 'bus') return { kind: 'bus', event: nested };
      if (nested.kind !== 'fault') throw new InvariantError('delivery meets faults and exits only');
      const next = combine(current, nested);
      if (next === 'triple') {
        if (this.intercepts !== null) return this.vmExit({ reason: VMX_EXIT.TRIPLE_FAULT, qualification: 0n }, undefined);
        this.state.set32(SLOT.ACTIVITY, 2);
        return { kind: 'shutdown' };
      }
      // the second exception itself may exit before it turns into #DF
      if (next.vector === VECTOR.DF && this.intercepts !== null) {
        const exit = this.intercepts.exception(this, nested.vector, nested.errorCode, false, nested.vector === VECTOR.PF ? (nested.cr2 ?? 0n) : 0n);
        if (exit) return this.vmExit(exit, vectoring);
      }
      current = next;
    }
  }

  // ---- VMX operation

  /** VMLAUNCH and VMRESUME by root-mode software. On success the registers are the guest's and `run` goes on in it. */
  vmlaunch(): VmEntryResult {
    return this.enter(true);
  }
  vmresume(): VmEntryResult {
    return this.enter(false);
  }
  private enter(launch: boolean): VmEntryResult {
    const result = this.vmx.enter(launch);
    if (!result.ok) return result;
    this.intercepts = this.vmx.intercepts;
    this.heldFault = undefined;
    this.mmu.setSecondLevel(result.eptp === undefined ? undefined : decodeEptp(result.eptp), result.vpid);
    this.injection = result.inject;
    return result;
  }
  private vmExit(exit: VmExit, vectoring: Interruption | undefined): CpuStop {
    this.vmx.exit(exit, vectoring);
    this.intercepts = null;
    this.mmu.setSecondLevel(undefined, 0);
    return { kind: 'exit', exit };
  }

  /** INVEPT and INVVPID by root-mode software (SDM vol. 3, 31.3). */
  invept(type: 'single' | 'all', eptp: bigint): void {
    this.mmu.invept(type, eptp);
  }
  invvpid(type: 'address' | 'single' | 'all' | 'retain-globals', vpid: number, linear: bigint): void {
    this.mmu.invvpid(type, vpid, linear);
  }

  save(): CpuSnapshot {
    return {
      state: this.state.save(),
      tlb: this.tlb.save(),
      mmu: this.mmu.save(),
      vmx: this.vmx.save(),
      nonRoot: this.nonRoot,
      injection: this.injection,
      heldFault: this.heldFault,
      passedAt: this.passedAt,
    };
  }
  /** Memory itself (VMCS and tables included) is restored by its owner, before this. */
  restore(s: CpuSnapshot): void {
    this.blocks.clear();
    this.state.restore(s.state);
    this.tlb.restore(s.tlb);
    this.vmx.restore(s.vmx);
    this.intercepts = s.nonRoot ? this.vmx.intercepts : null;
    this.mmu.restore(s.mmu, s.mmu.eptp === undefined ? undefined : decodeEptp(s.mmu.eptp));
    this.injection = s.injection;
    this.heldFault = s.heldFault;
    this.passedAt = s.passedAt;
    this.event = undefined;
  }

  /** Whether paging is on, for display. */
  get paging(): boolean {
    return ((this.state.get(SLOT.CR0) >> BigInt(CR0.PG)) & 1n) === 1n;
  }
}

export interface CpuSnapshot {
  readonly state: Uint8Array;
  readonly tlb: ReturnType<Tlb['save']>;
  readonly mmu: ReturnType<Mmu['save']>;
  readonly vmx: ReturnType<Vmx['save']>;
  readonly nonRoot: boolean;
  readonly injection: Interruption | undefined;
  readonly heldFault: Cpu['heldFault'];
  readonly passedAt: Cpu['passedAt'];
}

/** What `insn` is while no instruction could be fetched: faults of the fetch have no length. */
const NO_INSTRUCTION: Core['insn'] = {
  mnemonic: 0, code: 0, length: 0, offset: 0, bits: 64, operandBits: 64, addressBits: 64, operands: [], rep: false, repne: false, lock: false, segmentPrefix: -1, bytes: new Uint8Array(0),
};

const halves = new Int32Array(2);
const whole = new BigUint64Array(halves.buffer);
function joined(lo: number, hi: number): bigint {
  halves[0] = lo;
  halves[1] = hi;
  return whole[0] as bigint;
}
