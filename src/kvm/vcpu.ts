import type { Gpa } from '../base/address';
import { gpa } from '../base/address';

import { bit } from '../base/bits';
import { RFLAGS } from '../isa/flags';
import { VECTOR } from '../isa/exceptions';
import { because, type FaultReason } from '../isa/reasons/index';
import { INTERRUPTIBILITY } from '../isa/vmcs-controls';
import type { Cpu } from '../hw/cpu/cpu';
import { Mmu } from '../hw/cpu/mmu';
import type { Probe } from '../hw/cpu/probe';
import type { Access } from '../hw/paging/access';
import type { WalkSink } from '../hw/paging/trace';
import { Tlb } from '../hw/tlb/tlb';
import type { CpuidModel } from '../hw/cpu/cpuid-model';
import { CpuState } from '../hw/state/cpu-state';
import type { VmExit } from '../hw/state/event';
import { MAX_CPUS, SEG, SLOT } from '../hw/state/layout';
import { drain, kvmStep, type Step, type Work } from '../trace/step';
import type { AsyncPf, AsyncPfState } from './async-pf';
import type { InstructionEmulator } from './emulator/emulation';
import type { ExitInfo } from './exit-info';
import { INTERRUPT_WAITS, KICK_VECTOR } from './kick';
import type { Handled } from './userspace-exit';
import { Lapic } from './lapic';
import { slotHva } from './memslots';
import { PendingEvents } from './events';
import { SHADOW_VCPU_STATS, Stats, VCPU_STATS, type VcpuStat } from './stats';
import type { Vm } from './vm';
import { guestCpuModel } from './x86/cpuid';
import type { OpsState, X86Ops } from './x86/ops';
import type { GuestRegisters } from './x86/registers';

/**
 * Save areas are numbered after the CPUs' states, followed by the emulators' scratch states and the states that show
 * a guest in the middle of an exit.
 */
const SAVE_AREA = MAX_CPUS;
const SCRATCH = 2 * MAX_CPUS;
const VIEW = 3 * MAX_CPUS;

/** A row of TLB words that no CPU uses: for walks that cache nothing. */
const NO_TLB_ROW = 8;

/** DR6.BS. */
const DR6_BS = 1n << 14n;
const M32 = 0xffff_ffffn;

/** The parts of a VCPU besides its state. */
export interface VcpuParts {
  readonly ops: X86Ops;
  readonly emulator: InstructionEmulator;
  /** Absent in classic shadow paging: Linux has them since 2.6.38. */
  readonly apf?: AsyncPf | undefined;
  /** kvm_x86_ops.handle_exit: the exit's handler. */
  readonly handleExit: (info: ExitInfo) => Work<Handled>;
  /** A sensitive instruction in the emulator: handled as the exit that it would have caused. */
  readonly handleIntercepted: (exit: VmExit) => Work<Handled>;
}

/** Receives user space's answer. */
export type Waiting =
  { readonly kind: 'fast-pio'; readonly input: boolean; readonly size: number } | { readonly kind: 'emulation' };

/**
 * One VCPU as KVM's code passes it around (struct kvm_vcpu): its extension, the registers that hardware does not
 * save, and pending work.
 */
export class Vcpu {
  readonly ops: X86Ops;
  readonly regs: GuestRegisters;
  /** KVM's save area (see GuestRegisters). */
  readonly saved: CpuState;
  readonly events: PendingEvents;
  readonly stats: Stats<VcpuStat>;
  readonly lapic: Lapic;
  readonly emulator: InstructionEmulator;
  readonly apf: AsyncPf | undefined;
  readonly handleExit: VcpuParts['handleExit'];
  readonly handleIntercepted: VcpuParts['handleIntercepted'];
  /** The guest's CPUID, and the CR4 and EFER bits it may set. */
  readonly model: CpuidModel;
  /** The emulator's registers, and a place to show the guest's while the CPU runs the host. */
  readonly scratch: CpuState;
  readonly view: CpuState;
  /** Instructions that KVM completed for the guest, which hardware did not retire. */
  emulated = 0;
  /** KVM_REQ_TLB_FLUSH_GUEST: drop before entry what the guest's own flush would have dropped. */
  flushGuest = false;
  /** KVM_REQ_TLB_FLUSH_CURRENT: drop before entry what is cached of the tables that hardware walks now; the reason. */
  flushCurrent: string | undefined;
  /**
   * KVM_REQ_MMU_SYNC: the guest has flushed its TLB by loading CR3, so shadow tables must be synchronised with its
   * own.
   */
  syncRoots = false;
  /** Remote flushes of the VM that this VCPU has carried out. */
  flushesSeen = 0;
  /** KVM_DEBUGREG_WONT_EXIT: the guest has its debug registers until the next exit. */
  debugRegistersLoaded = false;
  /**
   * Set while the instruction emulator runs the handler of an instruction that would have exited: the exit's details
   * for that handler.
   */
  emulatedExit: VmExit | undefined;
  waiting: Waiting | undefined;
  /** Whether the CPU holds the guest's registers now (VMX non-root operation). */
  inGuest = false;
  /** VM entry would reject the guest's state: the emulator runs it (vmx->emulation_required). */
  emulating = false;
  /** The address whose breakpoint was reported while emulating. */
  passed: { readonly linear: bigint; readonly instructions: bigint } | undefined;

  constructor(
    readonly vm: Vm,
    readonly cpu: Cpu,
    readonly id: number,
    assemble: (v: Vcpu) => VcpuParts,
  ) {
    this.stats = new Stats<VcpuStat>(vm.shadow ? [...VCPU_STATS, ...SHADOW_VCPU_STATS] : VCPU_STATS);
    this.model = guestCpuModel(cpu.model, vm.shadow?.generation);
    this.lapic = new Lapic(id, {
      now: () => this.hostTsc,
      tscOffset: () => this.ops.tscOffset,
      all: () => vm.lapics,
      nmi: () => this.events.queueNmi(),
      taskPriority: (tpr) => this.saved.set(SLOT.CR8, BigInt(tpr >> 4)),
    });
    vm.lapics.push(this.lapic);
    const memory = vm.kernel.memory;
    this.scratch = new CpuState(memory, SCRATCH + id);
    this.view = new CpuState(memory, VIEW + id);
    this.saved = new CpuState(memory, SAVE_AREA + id);
    const parts = assemble(this);
    this.ops = parts.ops;
    this.regs = parts.ops.regs;
    this.emulator = parts.emulator;
    this.apf = parts.apf;
    this.handleExit = parts.handleExit;
    this.handleIntercepted = parts.handleIntercepted;
    const { looking } = this.ops;
    this.events = new PendingEvents(cpu.chain, () => ({
      rip: looking.rip,
      cpl: looking.cpl,
      mnemonic: this.mnemonic,
    }));
  }

  /** Length of the guest's current instruction, run by hardware or by the emulator. */
  get mnemonic(): number {
    return this.emulating ? this.emulator.mnemonic : this.cpu.insn.mnemonic;
  }

  /** kvm_vcpu_kick: an IPI to the CPU, if it runs the guest. */
  kick(): boolean {
    if (this.inGuest) this.cpu.state.set32(SLOT.PENDING_INTR, INTERRUPT_WAITS | KICK_VECTOR);
    return this.inGuest;
  }
  /**
   * Moves what hardware has logged into the dirty bitmaps. In the kernel a kick makes the CPU exit first; here the
   * CPU is paused meanwhile.
   */
  drainLog(): void {
    this.ops.drainLog();
  }

  /** Whether the CPU holds the guest's registers now (VMX non-root operation). */
  get running(): boolean {
    return this.inGuest;
  }
  /** Instructions that completed for the guest: retired by hardware, or emulated by KVM. */
  get instructions(): bigint {
    return this.cpu.retired + BigInt(this.emulated);
  }

  /** The tag of this VCPU's translations: VPID or ASID; 0: none. */
  get vpid(): number {
    return this.ops.tag;
  }

  /** Makes a KVM step, with the VMCS or VMCB fields accessed since the last one. */
  step(fn: string, what: string, cycles: number, parts: Parameters<typeof kvmStep>[3] = {}): Step {
    return kvmStep(fn, what, cycles, { ...parts, vmcs: this.ops.takeAccesses() });
  }

  /**
   * kvm_skip_emulated_instruction: moves RIP past the instruction that exited, clears its interrupt shadow, and
   * queues a due single-step trap.
   */
  skipEmulatedInstruction(): void {
    const { regs, emulatedExit } = this;
    const rip = emulatedExit ? regs.rip + BigInt(emulatedExit.instructionLength ?? 0) : this.ops.nextRip();
    regs.rip = regs.mode64 ? BigInt.asUintN(64, rip) : rip & M32;
    this.completeInstruction();
  }
  /**
   * What the end of any instruction does: ends the shadow of STI and MOV SS, clears RF, and traps if TF was set at
   * the instruction's start (`trap`).
   */
  completeInstruction(castsShadow = false, trap = bit(this.regs.rflags, RFLAGS.TF)): void {
    const { regs } = this;
    const blocking = regs.interruptibility;
    const shadow = INTERRUPTIBILITY.STI | INTERRUPTIBILITY.MOV_SS;
    if ((blocking & shadow) !== 0 && !castsShadow) regs.interruptibility = blocking & ~shadow;
    const rflags = regs.rflags;
    if (bit(rflags, RFLAGS.RF)) regs.rflags = rflags & ~(1n << BigInt(RFLAGS.RF));
    if (trap)
      this.events.queueException({ vector: VECTOR.DB, payload: DR6_BS, why: because('debug', DR6_BS, 0n, 0n, 0n, 0n) });
    this.emulated++;
  }

  /**
   * RDTSC in root mode: this machine's clock counts retired instructions plus the time skipped while a CPU was
   * halted.
   */
  get hostTsc(): bigint {
    return BigInt.asUintN(64, this.cpu.retired + this.cpu.state.get(SLOT.TSC_OFFSET));
  }
  /** Nothing runs until `time`, in host TSC ticks: the clock skips there. */
  passTimeUntil(time: bigint): void {
    const { state } = this.cpu;
    const ahead = time - this.hostTsc;
    if (ahead > 0n) state.set(SLOT.TSC_OFFSET, BigInt.asUintN(64, state.get(SLOT.TSC_OFFSET) + ahead));
  }

  /** kvm_make_request(KVM_REQ_TLB_FLUSH_CURRENT). The first reason is the one reported. */
  requestFlush(why: string): void {
    this.flushCurrent ??= why;
  }

  /** kvm_inject_gp: #GP(0). */
  injectGp(why: FaultReason): void {
    this.events.queueException({ vector: VECTOR.GP, errorCode: 0, why });
  }
  injectUd(why: FaultReason): void {
    this.events.queueException({ vector: VECTOR.UD, why });
  }

  /** kvm_read_guest: bytes of guest RAM by GPA, through the VMM's mapping; undefined if there is no slot. */
  readGuest(address: Gpa, length: number): Uint8Array | undefined {
    const out = new Uint8Array(length);
    for (let done = 0; done < length;) {
      const at = gpa(address + BigInt(done));
      const slot = this.vm.memslots.find(at);
      if (!slot) return undefined;
      const n = Math.min(length - done, 4096 - Number(at & 0xfffn));
      const r = drain(this.vm.space.read(slotHva(slot, at), n));
      if (!r.ok) return undefined;
      out.set(r.value, done);
      done += n;
    }
    return out;
  }

  /** The breakpoint at the guest's current address while the emulator runs it, unless already reported. */
  emulatedBreakpoint(): bigint | undefined {
    const { breakpoints } = this.cpu;
    if (breakpoints.size === 0) return undefined;
    const { regs } = this;
    const linear = regs.mode64 ? regs.rip : BigInt.asUintN(32, regs.rip + regs.segment(SEG.CS).base);
    const reported = this.passed?.linear === linear && this.passed.instructions === this.instructions;
    return breakpoints.has(linear) && !reported ? linear : undefined;
  }

  // ---- inspecting the guest at any time

  /**
   * The guest's registers: the CPU's own while it runs the guest, otherwise a copy assembled from VMCS or VMCB and
   * save area (writes to it need `commitRegisters`).
   */
  registers(): CpuState {
    if (this.inGuest && !this.vm.shadow) return this.cpu.state;
    if (this.inGuest) return this.believed();
    this.ops.looking.loadInto(this.view);
    return this.view;
  }
  /**
   * While hardware runs the guest on shadow tables: its registers, with the guest's values of the control registers.
   */
  private believed(): CpuState {
    const { view, ops, cpu } = this;
    const { looking } = ops;
    view.copyFrom(cpu.state);
    for (const cr of [0, 4] as const) view.set(cr === 0 ? SLOT.CR0 : SLOT.CR4, cpu.vmx.intercepts.readControl(cpu, cr));
    view.set(SLOT.CR3, looking.cr3);
    view.set(SLOT.EFER, looking.efer);
    looking.pdptes.forEach((p, i) => view.set(SLOT.PDPTE0 + i, p));
    return view;
  }
  /**
   * The walk of `linear` as the guest's next access would make it, without side effects, whether or not an exit is
   * being handled.
   */
  probe(linear: bigint, access: Access, sink?: WalkSink): Probe {
    if (this.inGuest) return this.cpu.mmu.probeWalk(linear, access, sink);
    const { memory } = this.vm.kernel;
    const mmu = new Mmu(this.registers(), memory, new Tlb(memory, NO_TLB_ROW, 0, 0), this.model);
    mmu.setSecondLevel(this.vm.mmu.tables, this.vpid);
    return mmu.probeWalk(linear, access, sink);
  }

  save(): VcpuState {
    return {
      events: this.events.save(),
      lapic: this.lapic.save(),
      ...(this.apf ? { apf: this.apf.save() } : {}),
      stats: this.stats.save(),
      saved: this.saved.save(),
      ops: this.ops.save(),
      scratch: this.scratch.save(),
      emulated: this.emulated,
      flushGuest: this.flushGuest,
      flushCurrent: this.flushCurrent,
      syncRoots: this.syncRoots,
      flushesSeen: this.flushesSeen,
      debugRegistersLoaded: this.debugRegistersLoaded,
      emulator: this.emulator.save(),
      waiting: this.waiting,
      inGuest: this.inGuest,
      emulating: this.emulating,
    };
  }
  /** The CPU and memory, which hold VMCS and registers, are restored by their owners before this. */
  restore(s: VcpuState): void {
    this.events.restore(s.events);
    this.lapic.restore(s.lapic);
    if (s.apf) this.apf?.restore(s.apf);
    this.stats.restore(s.stats);
    this.saved.restore(s.saved);
    this.ops.restore(s.ops);
    this.scratch.restore(s.scratch);
    this.emulated = s.emulated;
    this.flushGuest = s.flushGuest;
    this.flushCurrent = s.flushCurrent;
    this.syncRoots = s.syncRoots;
    this.flushesSeen = s.flushesSeen;
    this.debugRegistersLoaded = s.debugRegistersLoaded;
    this.emulator.restore(s.emulator);
    this.waiting = s.waiting;
    this.inGuest = s.inGuest;
    this.emulating = s.emulating;
    this.passed = undefined;
  }
}

export interface VcpuState {
  readonly events: ReturnType<PendingEvents['save']>;
  readonly lapic: ReturnType<Lapic['save']>;
  readonly apf?: AsyncPfState;
  readonly stats: ReturnType<Stats<VcpuStat>['save']>;
  readonly saved: Uint8Array;
  readonly scratch: Uint8Array;
  readonly emulated: number;
  readonly ops: OpsState;
  readonly flushGuest: boolean;
  readonly flushCurrent: string | undefined;
  readonly syncRoots: boolean;
  readonly flushesSeen: number;
  readonly debugRegistersLoaded: boolean;
  readonly emulator: ReturnType<InstructionEmulator['save']>;
  readonly waiting: Waiting | undefined;
  readonly inGuest: boolean;
  readonly emulating: boolean;
}
