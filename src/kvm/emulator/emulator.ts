import { VECTOR } from '../../isa/exceptions';
import { hex, hexBytes } from '../../base/hex';
import { SEG, SLOT } from '../../hw/state/layout';
import { deny, denyFetch, requireCpl0 } from '../../hw/cpu/system/raise';
import type { Block } from '../../hw/cpu/block';
import { buildBlock } from '../../hw/cpu/block-builder';
import { MAX_INSTRUCTION_BYTES } from '../../hw/cpu/decode';
import { NO_INSTRUCTION } from '../../hw/cpu/decoded';
import { Core, type IoPort } from '../../hw/cpu/core';
import { RAN_EVENT, Runner } from '../../hw/cpu/runner';
import { codeBytesInLimit, codeMode, isParagraphMode } from '../../hw/cpu/system/modes';
import type { Access } from '../../hw/paging/access';
import { Tlb } from '../../hw/tlb/tlb';
import type { CpuEvent } from '../../hw/state/event';
import { deliver, type Delivery } from '../../hw/cpu/system/deliver';
import { taskSwitch, type TaskSwitch } from '../../hw/cpu/system/task';
import { because } from '../../isa/reasons/index';
import { RFLAGS } from '../../isa/flags';
import { INTERRUPTIBILITY, INTR_TYPE } from '../../isa/vmcs-controls';
import { interruptionOfFault, isSoftware, type Interruption } from '../../hw/state/interruption';
import { cost } from '../../trace/costs';
import type { Work } from '../../trace/step';
import type { Vcpu } from '../vcpu';
import { HYPERCALLS, isHypercall, type Hypercall } from '../x86/hypercall';
import type { ByHand, Emulation, InstructionEmulator } from './emulation';
import { GuestMemory } from './guest-memory';
import { EmulatorIntercepts } from './intercepts';
import { IoLog, type IoLogState } from './io-log';

/**
 * Iterations of one REP instruction before the guest is entered again, as in x86_emulate_insn, so that other events
 * get their turn.
 */
const MAX_ITERATIONS = 1024;
const M32 = 0xffff_ffffn;

const SHADOW = INTERRUPTIBILITY.STI | INTERRUPTIBILITY.MOV_SS;

/**
 * KVM's instruction emulator (arch/x86/kvm/emulate.c): executes the guest's instruction at RIP with the same decoder,
 * lifter and runner as the CPU, on a copy of the guest's registers and on guest memory reached by software. The copy
 * is written back when the instruction completes.
 */
export class Emulator implements InstructionEmulator {
  private readonly log = new IoLog();
  private readonly intercepts = new EmulatorIntercepts();
  private readonly memory: GuestMemory;
  private readonly core: Core;
  private readonly runner: Runner;

  constructor(private readonly v: Vcpu) {
    const memory = v.vm.kernel.memory;
    this.memory = new GuestMemory(v.vm, v.scratch, this.log, v.model);
    this.core = new Core(v.scratch, this.memory, this.ports(), v.model);
    this.core.intercepts = this.intercepts;
    // no ways: every access goes through the port
    this.runner = new Runner(this.core, new Tlb(memory, v.cpu.index, 0, 0));
  }

  /** Starts a new instruction: no access has been answered yet. */
  begin(): void {
    this.log.clear();
  }
  /** User space's answer to the access that suspended the instruction. */
  answer(value: bigint): void {
    this.log.answer(value);
  }

  /**
   * The bytes of the instruction at RIP, which has exited, so its page was present a moment ago; undefined: it is
   * invalid, or its page is gone.
   */
  peek(): Uint8Array | undefined {
    const { core, memory } = this;
    this.load();
    this.begin();
    memory.begin();
    const block = this.decode();
    memory.takeSteps();
    core.event = undefined;
    return block?.insns[0]?.bytes;
  }

  /** x86_emulate_instruction. */
  *run(): Work<Emulation> {
    const { v, core, log } = this;
    this.load();
    let reported = !log.replayed;
    for (let i = 0; i < MAX_ITERATIONS; i++) {
      this.memory.begin();
      core.event = undefined;
      // the shadow of STI and MOV SS ends here, unless this instruction starts one
      v.scratch.set32(SLOT.INTERRUPTIBILITY, v.scratch.get32(SLOT.INTERRUPTIBILITY) & ~SHADOW);
      const start = v.scratch.rip;
      const trap = v.scratch.systemFlag(RFLAGS.TF);
      const block = this.decode();
      const insn = block?.insns[0];
      if (!block || !insn) return yield* this.stopped();
      yield* this.memory.takeSteps();
      if (!reported)
        yield v.step(
          'x86_decode_emulated_instruction',
          `decodes the instruction at RIP ${hex(start)}: ${hexBytes(insn.bytes)}`,
          cost('emulateInstruction'),
        );
      reported = true;
      const { foreign } = HYPERCALLS[v.ops.name];
      if (isHypercall(insn.bytes, foreign)) return yield* this.fixHypercall(start, foreign);
      if (this.runner.run(block) === RAN_EVENT) return yield* this.stopped();
      yield* this.memory.takeSteps();
      v.regs.storeFrom(v.scratch);
      if (v.scratch.rip !== start || !(insn.rep || insn.repne)) {
        v.completeInstruction((v.scratch.get32(SLOT.INTERRUPTIBILITY) & SHADOW) !== 0, trap);
        yield v.step(
          'writeback_registers',
          `the instruction is complete: RIP ${hex(v.scratch.rip)}`,
          cost('kvmHandler'),
        );
        return { kind: 'done' };
      }
      // one iteration of a repeated instruction is done; the registers hold its progress
      log.clear();
    }
    return { kind: 'done' };
  }

  get mnemonic(): number {
    return this.core.insn.mnemonic;
  }

  /**
   * x86_decode_insn, __do_insn_fetch_bytes: decodes the instruction at RIP, reading a second page only if it extends
   * there; undefined with the event or failure set.
   */
  private decode(): Block | undefined {
    const { v, core, memory } = this;
    const { rip } = v.scratch;
    const mode = codeMode(v.scratch);
    core.insn = NO_INSTRUCTION;
    const room = codeBytesInLimit(v.scratch, mode);
    if (room <= 0) return this.beyondLimit();
    const linear = mode.bits === 64 ? rip : (rip + v.scratch.segmentBase(SEG.CS)) & M32;
    const request = { mode, maxInstructions: 1, offset: 0, secondPage: -1, key: 0 };
    v.cpu.fetcher.decoded?.(linear, mode.bits);
    const first = memory.fetch(core, linear);
    if (!first) return undefined;
    let block = buildBlock({ ...request, bytes: first });
    if (!block) {
      if (first.length >= room) return this.beyondLimit();
      const rest = memory.fetchNextPage(core, linear);
      if (!rest) return undefined;
      block = buildBlock({ ...request, bytes: Uint8Array.of(...first, ...rest).subarray(0, MAX_INSTRUCTION_BYTES) });
    }
    return block === undefined || block.length <= room ? block : this.beyondLimit();
  }
  private beyondLimit(): undefined {
    denyFetch(this.core);
    return undefined;
  }

  /**
   * em_hypercall, emulator_fix_hypercall (KVM_X86_QUIRK_FIX_HYPERCALL_INSN, on by default): the other vendor's
   * hypercall is overwritten with this processor's own, with the rights of a guest store, and executed again.
   */
  private *fixHypercall(rip: bigint, foreign: Hypercall): Work<Emulation> {
    const { v, core, memory } = this;
    const { scratch } = v;
    const { own } = HYPERCALLS[v.ops.name];
    // x86_emulate_insn: VMCALL has Priv in the decode tables, VMMCALL has Prot
    const allowed =
      foreign.name === 'VMCALL'
        ? requireCpl0(core)
        : !isParagraphMode(scratch) || deny(core, VECTOR.UD, because('mode-paragraph'));
    if (!allowed) return yield* this.stopped();
    const linear = codeMode(scratch).bits === 64 ? rip : (rip + scratch.segmentBase(SEG.CS)) & M32;
    const access: Access = { op: 'write', user: scratch.cpl === 3, implicit: false };
    scratch.set(
      SLOT.VALUE,
      own.bytes.reduceRight((value, byte) => (value << 8n) | BigInt(byte), 0n),
    );
    if (!memory.store(core, linear, own.bytes.length, access, SLOT.VALUE)) return yield* this.stopped();
    yield* memory.takeSteps();
    yield v.step(
      'emulator_fix_hypercall',
      `${foreign.name} is #UD on this processor: ${own.name} (${hexBytes(Uint8Array.from(own.bytes))}) is written over it and executed in its place`,
      cost('emulateInstruction'),
    );
    return { kind: 'done' };
  }

  private load(): void {
    const { v } = this;
    v.regs.loadInto(v.scratch);
    // RDTSC reads these
    v.scratch.set(SLOT.RETIRED, v.hostTsc);
    v.scratch.set(SLOT.TSC_OFFSET, v.ops.tscOffset);
    v.ops.takeAccesses();
  }

  /** emulate_int: an event through the guest's IVT or IDT. */
  *deliver(i: Interruption): Work<ByHand> {
    const { v, core, memory } = this;
    this.load();
    this.begin();
    memory.begin();
    core.nextRip = v.scratch.rip + BigInt(isSoftware(i.type) ? (i.instructionLength ?? 0) : 0);
    const delivered = deliver(core, deliveryOf(i));
    yield* memory.takeSteps();
    if (delivered.ok) {
      v.regs.storeFrom(v.scratch);
      return { kind: 'done' };
    }
    if (memory.failure === undefined && delivered.event.kind === 'fault')
      return { kind: 'fault', event: delivered.event };
    if (memory.failure === undefined && delivered.event.kind === 'exit')
      return { kind: 'intercepted', exit: delivered.event.exit };
    return { kind: 'failed', why: memory.failure ?? 'a stack, table or handler lies in MMIO' };
  }

  /**
   * emulator_task_switch: performs the switch that exited, using the processor's own code. A fault in the incoming
   * task leaves that task's registers, as on the processor; an earlier fault leaves the outgoing task's.
   */
  *taskSwitch(wanted: TaskSwitch): Work<ByHand> {
    const { v, core, memory } = this;
    this.load();
    this.begin();
    memory.begin();
    core.event = undefined;
    core.intercepts = null;
    const switched = taskSwitch(core, wanted);
    core.intercepts = this.intercepts;
    yield* memory.takeSteps();
    const event = core.event as CpuEvent | undefined;
    core.event = undefined;
    if (memory.failure !== undefined || (!switched && event?.kind !== 'fault'))
      return { kind: 'failed', why: memory.failure ?? 'a TSS, a descriptor table or the stack lies in MMIO' };
    v.regs.storeFrom(v.scratch);
    return switched || event?.kind !== 'fault' ? { kind: 'done' } : { kind: 'fault', event };
  }

  save(): IoLogState {
    return this.log.save();
  }
  restore(s: IoLogState): void {
    this.log.restore(s);
  }

  private *stopped(): Work<Emulation> {
    const { core, memory } = this;
    yield* memory.takeSteps();
    const event = core.event;
    core.event = undefined;
    if (memory.failure !== undefined) return { kind: 'failed', why: memory.failure };
    if (event?.kind === 'suspend' && this.log.pending) return { kind: 'suspend', request: this.log.pending };
    if (event?.kind === 'fault' && event.software !== undefined)
      return { kind: 'interrupt', event: interruptionOfFault(event, core.insn.length) };
    if (event?.kind === 'fault') return { kind: 'fault', event };
    if (event?.kind === 'exit') return { kind: 'intercepted', exit: event.exit };
    return { kind: 'failed', why: 'the emulator does not support it' };
  }

  private ports(): IoPort {
    const { log } = this;
    return {
      in(core, port, size, dst) {
        const value = log.ask({ space: 'pio', write: false, port, size, value: 0n });
        if (value === undefined) {
          core.event = { kind: 'suspend' };
          return false;
        }
        core.state.set(dst, BigInt.asUintN(size * 8, value));
        return true;
      },
      out(core, port, size, src) {
        const value = BigInt.asUintN(size * 8, core.state.get(src));
        if (log.ask({ space: 'pio', write: true, port, size, value }) !== undefined) return true;
        core.event = { kind: 'suspend' };
        return false;
      },
    };
  }
}

/** An event in the form that the CPU's delivery code takes. */
export function deliveryOf(i: Interruption): Delivery {
  const why = because('injected');
  switch (i.type) {
    case INTR_TYPE.EXT_INTR:
      return { kind: 'interrupt', vector: i.vector, source: 'external' };
    case INTR_TYPE.NMI_INTR:
      return { kind: 'interrupt', vector: i.vector, source: 'nmi' };
    case INTR_TYPE.SOFT_INTR:
      return { kind: 'fault', vector: i.vector, software: 'int', why };
    case INTR_TYPE.SOFT_EXCEPTION:
      return { kind: 'fault', vector: i.vector, software: 'int3', why };
    case INTR_TYPE.PRIV_SW_EXCEPTION:
      return { kind: 'fault', vector: i.vector, software: 'icebp', why };
    default:
      return { kind: 'fault', vector: i.vector, why, ...(i.errorCode === undefined ? {} : { errorCode: i.errorCode }) };
  }
}
