import type { Diagnostic } from '../base/diagnostic';
import { gpa, type Gpa } from '../base/address';
import { invariant } from '../base/assert';
import { hex } from '../base/hex';
import type { Result } from '../base/result';
import { ok } from '../base/result';
import { stateHash } from './state-hash';
import { counted } from '../base/plural';
import type { Cpu } from '../hw/cpu/cpu';
import { codeMode } from '../hw/cpu/system/modes';
import { SEG } from '../hw/state/layout';
import type { HostMemory } from '../hw/memory/host-memory';
import type { AddressSpace, AddressSpaceState } from '../host/address-space';
import type { HostKernel, HostKernelState } from '../host/kernel';
import type { ExitInfo } from '../kvm/exit-info';
import { cost } from '../trace/costs';
import { drain, vmmStep, type Step, type Work } from '../trace/step';
import { slotHva } from '../kvm/memslots';
import type { Vcpu } from '../kvm/vcpu';
import type { Vm } from '../kvm/vm';
import type { Accelerator, AcceleratorStop, GuestRam, Outside, References } from './accelerator';
import { buildMachine, type MachineParts } from './build';
import { Bus, type BusState } from './bus/bus';
import type { OutputChannel } from './devices/table';
import { ControlImages, type ControlImagesState } from './exits/control-images';
import { ExitLog, type ExitLogState, type Moment } from './exits/exit-log';
import { KvmAccelerator } from './kvm-accelerator';
import type { GuestImage } from './loader/image';
import { END_CODES, type MachineEnd, type MachineStop } from './machine-stop';
import type { MachineOptions } from './options';

const BUDGET: MachineStop = { kind: 'budget' };
/** Number of instructions before the limit whose addresses are kept. */
const TRAIL = 256;

/**
 * test_flush_page in QEMU's pc-testdev: the VMM makes its mapping of a page inaccessible and accessible again, which
 * drops the second-level entry.
 */
function* flushPage({ accelerator, space }: MachineParts, at: Gpa): Work<void> {
  const slot = accelerator.ram.memslots.find(at);
  yield vmmStep('test_flush_page', `mprotect of the page at GPA ${hex(at)}, to PROT_NONE and back`, cost('syscall'), {
    addresses: { gpa: at },
  });
  if (!slot) return;
  const page = slotHva(slot, at);
  const flushed = yield* space.flushPage(page);
  if (!flushed.ok) yield vmmStep('test_flush_page', `mprotect fails: ${flushed.error}`, cost('syscall'));
}

/** Receives the bytes that devices output, each 0–255. */
export type MachineSinks = Readonly<Record<OutputChannel, (byte: number) => void>>;

/**
 * A whole machine, from host memory to devices, and the loop that QEMU's VCPU thread runs. It is driven in pieces:
 * `run` does at most `budget` instructions' work and returns; between a VM exit and the next VM entry, `stepActivity`
 * does one Step at a time.
 */
export class Machine {
  readonly kernel: HostKernel;
  readonly host: AddressSpace;
  readonly accelerator: Accelerator;
  readonly exits = new ExitLog();
  readonly controlImages = new ControlImages();
  /**
   * Called at each VM exit before it is handled; true: `run` returns 'exit-pending'. It observes and changes nothing.
   * `number`: 0 for the first exit of the run.
   */
  pauseAtExits: ((exit: ExitInfo, number: number) => boolean) | undefined;
  /**
   * Called likewise when a guest instruction makes the VMM act without an exit; true: `run` returns
   * 'outside-pending'.
   */
  pauseOutside: (() => boolean) | undefined;
  /** Called for every step of hypervisor, host kernel and VMM, in order. */
  get onStep(): ((step: Step) => void) | undefined {
    return this.stepListener;
  }
  set onStep(listener: ((step: Step) => void) | undefined) {
    this.stepListener = listener;
    this.accelerator.onLookUp = listener;
  }
  private stepListener: ((step: Step) => void) | undefined;
  /** Linear addresses of the last instructions before the limit, in order: where a guest that never ends is. */
  trail: readonly bigint[] = [];
  private activity: Outside | undefined;
  private over: MachineEnd | undefined;
  private hostReferences = 0;
  /** Guest table entries that KVM read in software. */
  private walkedReferences = 0;

  private constructor(
    parts: MachineParts,
    readonly options: MachineOptions,
    readonly bus: Bus,
  ) {
    this.kernel = parts.kernel;
    this.host = parts.space;
    this.accelerator = parts.accelerator;
    bus.unanswered.now = () => Number(this.instructions);
    bus.unanswered.isMemory = (address) => this.ram.memslots.find(gpa(address)) !== undefined;
    this.activity = this.accelerator.start();
  }

  /** Builds and loads a machine. The guest has not been entered yet: the first `run` or `stepActivity` does that. */
  static create(
    options: MachineOptions,
    image: GuestImage,
    sinks: MachineSinks,
  ): Result<Machine, readonly Diagnostic[]> {
    const bus = new Bus();
    const parts = buildMachine(options, image, bus);
    if (!parts.ok) return parts;
    const outputs: Readonly<Record<string, ((byte: number) => void) | undefined>> = sinks;
    for (const device of options.devices)
      bus.plug(device, {
        output: (name, byte) => outputs[name]?.(byte),
        flushPage: (at) => flushPage(parts.value, gpa(at)),
      });
    return ok(new Machine(parts.value, options, bus));
  }

  // ---- parts and counters

  get memory(): HostMemory {
    return this.kernel.memory;
  }
  get cpu(): Cpu {
    return this.accelerator.cpu;
  }
  get ram(): GuestRam {
    return this.accelerator.ram;
  }
  /** For a machine that KVM runs: its VM, and its only VCPU. */
  get vm(): Vm {
    return this.kvm.vm;
  }
  get vcpu(): Vcpu {
    return this.kvm.vcpu;
  }
  private get kvm(): KvmAccelerator {
    invariant(this.accelerator instanceof KvmAccelerator, 'a machine without KVM has no VM of it');
    return this.accelerator;
  }
  /** Guest instructions completed, by hardware or by KVM in its place. */
  get instructions(): bigint {
    return this.accelerator.instructions;
  }
  /** Cycles by the cost model (trace/costs.ts). */
  get cycles(): number {
    return this.exits.now(this.moment);
  }
  /** What guest and hardware have done so far, in the exit log's terms. */
  get moment(): Moment {
    return { instructions: Number(this.instructions), ...this.accelerator.cycles() };
  }
  get references(): References {
    return this.accelerator.references({ guest: this.walkedReferences, host: this.hostReferences });
  }
  get ended(): MachineEnd | undefined {
    return this.over;
  }
  /** Whether hypervisor, host or VMM have work to do before the guest continues. */
  get active(): boolean {
    return this.activity !== undefined;
  }

  // ---- running

  /**
   * Runs the guest and handles its exits, for at most `budget` instructions (an exit counts as one, as does an
   * iteration of REP) and `mostExits` exits: an exit takes as long as a thousand instructions, so a caller that must
   * return in time limits both.
   */
  run(budget: number, mostExits = budget): MachineStop {
    this.drainActivity();
    const { accelerator } = this;
    let exits = 0;
    for (let left = budget; left > 0 && exits < mostExits;) {
      if (this.over) return { kind: 'end', end: this.over };
      const slice = this.slice(left);
      if (slice <= 0) {
        this.over = {
          kind: 'limit',
          code: END_CODES.limit,
          rip: accelerator.registers().rip,
          why: `the limit of ${counted(this.options.maxInstructions ?? 0, 'instruction')} is reached`,
          unmet: [],
        };
        continue;
      }
      const given = this.nearLimit ? this.oneAtATime() : slice;
      const before = accelerator.instructions;
      const stop = accelerator.run(given);
      if (stop.kind === 'exit' || stop.kind === 'outside') {
        this.activity = stop.work;
        exits++;
      }
      const seen = this.seen(stop);
      if (!seen) this.drainActivity();
      // The CPU's budget counts iterations of REP as well, so it can be used up even if few instructions have
      // retired.
      left -= stop.kind === 'budget' ? given : Math.max(1, Number(accelerator.instructions - before));
      if (seen) return seen;
    }
    return this.over ? { kind: 'end', end: this.over } : BUDGET;
  }

  /**
   * The next step of the work outside the guest; undefined: there is none, and the guest continues or the machine has
   * ended.
   */
  stepActivity(): Step | undefined {
    if (!this.activity) return undefined;
    const next = this.activity.next();
    if (next.done !== true) {
      const step = this.accelerator.told(next.value);
      this.note(step);
      return step;
    }
    this.activity = undefined;
    this.exits.finish();
    if (next.value) this.over = next.value;
    return undefined;
  }

  /**
   * Does work that the guest did not cause: a change on the host, or a call by the VMM. It is reported step by step,
   * like the handling of an exit.
   */
  perform<T>(work: Work<T>): T {
    return drain(work, (s) => this.note(this.accelerator.told(s)));
  }

  /**
   * Does `action` while none of KVM's CPUs holds the guest's registers: setting some of them requires the VCPU to be
   * out of the guest (KVM_SET_SREGS is an ioctl of a VCPU that is not in KVM_RUN), so a kick makes it exit before its
   * next instruction, and it is entered again afterwards. A string explains why that is not possible now. `moved` is
   * called for both.
   */
  outsideGuest<T>(action: () => T, moved: () => void): T | string {
    if (this.over) return 'the machine has ended';
    if (this.accelerator.second.kind === 'software' || !this.accelerator.running) return action();
    const { pauseAtExits } = this;
    this.pauseAtExits = () => true;
    this.vcpu.kick();
    this.cpu.passBreakpoint();
    const stop = this.run(1, 1);
    this.pauseAtExits = pauseAtExits;
    moved();
    if (stop.kind !== 'exit-pending') return 'the guest cannot be made to exit here; step one instruction first';
    const result = action();
    this.drainActivity();
    moved();
    return result;
  }

  private drainActivity(): void {
    while (this.stepActivity() !== undefined);
  }

  /** Instructions that may run before the limit, or before the trail begins. */
  private slice(left: number): number {
    const max = this.options.maxInstructions;
    if (max === undefined) return left;
    const rest = max - Number(this.instructions);
    return Math.min(left, rest > TRAIL ? rest - TRAIL : rest);
  }
  private get nearLimit(): boolean {
    const max = this.options.maxInstructions;
    // an instruction that is repeated, or exits, takes more than one turn
    return max !== undefined && max - Number(this.instructions) <= TRAIL && this.trail.length < 2 * TRAIL;
  }
  private oneAtATime(): 1 {
    const s = this.accelerator.registers();
    const base = codeMode(s).bits === 64 ? 0n : s.segmentBase(SEG.CS);
    this.trail = [...this.trail, BigInt.asUintN(64, s.rip + base)];
    return 1;
  }

  /** What to return to the caller of `run`; undefined: the loop continues. */
  private seen(stop: AcceleratorStop): MachineStop | undefined {
    switch (stop.kind) {
      case 'budget':
        return undefined;
      case 'outside':
        return stop.about && this.pauseOutside?.() === true
          ? { kind: 'outside-pending', about: stop.about }
          : undefined;
      case 'breakpoint':
        return { kind: 'breakpoint', vcpu: 0, linear: stop.linear };
      case 'fault':
        return { kind: 'fault', vcpu: 0, event: stop.event };
      case 'exit': {
        const { exits } = this;
        const { exit } = stop;
        const number = exits.count;
        if (exits.recording) this.controlImages.take(this.cpu, number);
        exits.begin(exit, 0, this.moment);
        return this.pauseAtExits?.(exit, number) === true ? { kind: 'exit-pending', exit } : undefined;
      }
    }
  }

  private note(step: Step): void {
    this.exits.step(step);
    for (const r of step.reads) {
      if (r.table === 'host') this.hostReferences++;
      else if (r.table === 'guest') this.walkedReferences++;
    }
    this.stepListener?.(step);
  }

  // ---- snapshots

  /** Whether a snapshot can be taken: between two instructions of the guest, or after the end. */
  get atBoundary(): boolean {
    return this.activity === undefined;
  }

  save(): MachineState {
    invariant(this.atBoundary, 'snapshots lie at instruction boundaries outside an exit');
    return {
      kernel: this.kernel.save(),
      host: this.host.save(),
      accelerator: this.accelerator.save(),
      bus: this.bus.save(),
      exits: this.exits.save(),
      controlImages: this.controlImages.save(),
      over: this.over,
      trail: this.trail,
      hostReferences: this.hostReferences,
      walkedReferences: this.walkedReferences,
    };
  }
  /**
   * A hash of the whole machine: CPU, TLB, memory with all tables, host, hypervisor, devices and counters, as far as
   * they affect what comes next or what is counted. Logs of the past, and how the run was driven, are excluded:
   * stepped or run, the same machine has the same hash at the same instruction.
   */
  hash(): string {
    const { kernel, host, accelerator, bus, over, hostReferences, walkedReferences } = this.save();
    return stateHash({ kernel, host, accelerator, bus, over, hostReferences, walkedReferences });
  }
  restore(s: MachineState): void {
    this.activity = undefined;
    this.kernel.restore(s.kernel);
    this.host.restore(s.host);
    this.accelerator.restore(s.accelerator);
    this.bus.restore(s.bus);
    this.exits.restore(s.exits);
    this.controlImages.restore(s.controlImages);
    this.over = s.over;
    this.trail = s.trail;
    this.hostReferences = s.hostReferences;
    this.walkedReferences = s.walkedReferences;
  }
}

/** What affects what comes next, or is counted. */
interface PresentState {
  readonly kernel: HostKernelState;
  readonly host: AddressSpaceState;
  readonly accelerator: unknown;
  readonly bus: BusState;
  readonly over: MachineEnd | undefined;
  readonly hostReferences: number;
  readonly walkedReferences: number;
}

export interface MachineState extends PresentState {
  readonly exits: ExitLogState;
  readonly controlImages: ControlImagesState;
  readonly trail: readonly bigint[];
}
