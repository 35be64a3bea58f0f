import { invariant } from '../base/assert';
import { gpa } from '../base/address';
import type { Cpu, CpuSnapshot } from '../hw/cpu/cpu';
import type { CpuidModel } from '../hw/cpu/cpuid-model';
import type { CpuState } from '../hw/state/cpu-state';
import { SEG, SLOT } from '../hw/state/layout';
import { MSR } from '../isa/msrs';
import type { FaultReason } from '../isa/reasons/index';
import { cost } from '../trace/costs';
import type { Step, Work } from '../trace/step';
import { classicStep } from '../kvm/classic-names';
import { classifyShadowFault } from '../kvm/mmu/shadow/fault';
import { REENTER, type Handled } from '../kvm/userspace-exit';
import { complete, enter, handleExit, runGuest } from '../kvm/run';
import type { Vcpu, VcpuState } from '../kvm/vcpu';
import type { Vm, VmState } from '../kvm/vm';
import { kvmSetCr0, kvmSetCr4, kvmSetCr8 } from '../kvm/x86/control-registers';
import { kvmGetMsr, kvmSetMsr } from '../kvm/x86/msrs';
import { commitRegisters } from '../kvm/x86/sregs';
import { USER_RETURN_MSRS } from '../kvm/x86/user-return-msrs';
import type {
  Accelerator,
  AcceleratorStop,
  GuestCycles,
  Outside,
  References,
  SecondLevel,
  SoftwareReads,
  SystemRegister,
} from './accelerator';
import type { Bus } from './bus/bus';
import { END_CODES, type MachineEnd } from './machine-stop';
import { userspace } from './userspace-io';

const SET_CR = { 0: kvmSetCr0, 4: kvmSetCr4, 8: kvmSetCr8 } as const;
/** MSRs that are held by the CPU while it runs the guest. */
const IN_CPU: ReadonlyMap<number, number> = new Map([
  ...USER_RETURN_MSRS,
  [MSR.FS_BASE, SLOT.SEG_BASE + SEG.FS],
  [MSR.GS_BASE, SLOT.SEG_BASE + SEG.GS],
  [MSR.SYSENTER_CS, SLOT.SYSENTER_CS],
  [MSR.SYSENTER_ESP, SLOT.SYSENTER_ESP],
  [MSR.SYSENTER_EIP, SLOT.SYSENTER_EIP],
  [MSR.PAT, SLOT.PAT],
]);

/** accel/kvm: a VM of the host's KVM, and the loop around ioctl(KVM_RUN). */
export class KvmAccelerator implements Accelerator {
  readonly kind = 'kvm';

  constructor(
    readonly vm: Vm,
    readonly vcpu: Vcpu,
    private readonly bus: Bus,
  ) {}

  get cpu(): Cpu {
    return this.vcpu.cpu;
  }
  get ram(): Vm {
    return this.vm;
  }
  get second(): SecondLevel {
    const { vm, vcpu } = this;
    const { shadow } = vm;
    if (!shadow) return { kind: 'nested', tables: vm.mmu.tables, mmu: vm.mmu };
    return {
      kind: 'shadow',
      shadow,
      classify(linear, errorCode) {
        const answer = classifyShadowFault(vcpu, shadow, linear, errorCode);
        // VMCS reads made for this query appear in no step
        vcpu.ops.takeAccesses();
        return answer;
      },
    };
  }
  get instructions(): bigint {
    return this.vcpu.instructions;
  }
  get running(): boolean {
    return this.vcpu.running;
  }
  get vpid(): number {
    return this.vcpu.vpid;
  }
  registers(): CpuState {
    return this.vcpu.registers();
  }
  commitRegisters(): void {
    commitRegisters(this.vcpu);
  }
  get copy(): CpuState {
    return this.vcpu.view;
  }
  get flushDue(): Accelerator['flushDue'] {
    const { flushGuest, flushCurrent, flushesSeen } = this.vcpu;
    return { guest: flushGuest || flushCurrent !== undefined, second: flushesSeen !== this.vm.flushCount };
  }
  get guestModel(): CpuidModel {
    return this.vcpu.model;
  }
  flushGuest(): void {
    this.vcpu.flushGuest = true;
  }
  readMsr(index: number): bigint | undefined {
    const { vcpu } = this;
    // while the guest runs, the CPU has what KVM loads at entry
    const slot = this.running ? IN_CPU.get(index) : undefined;
    const value = slot === undefined ? kvmGetMsr(vcpu, index) : this.registers().get(slot);
    vcpu.ops.takeAccesses();
    return value;
  }
  load(register: SystemRegister, value: bigint): boolean | FaultReason {
    invariant(!this.running, 'a VCPU is out of the guest while its registers are set');
    const { vcpu } = this;
    const answer =
      register.kind === 'msr' ? kvmSetMsr(vcpu, register.index, value) : SET_CR[register.number](vcpu, value);
    vcpu.ops.takeAccesses();
    return answer;
  }

  told(step: Step): Step {
    return this.vm.shadow?.generation === 'classic' ? classicStep(step) : step;
  }

  start(): Outside {
    return this.goOn(REENTER);
  }
  run(budget: number): AcceleratorStop {
    const { apf, hostTsc } = this.vcpu;
    const left = apf?.deadline === undefined ? undefined : Number(apf.deadline - hostTsc);
    if (left !== undefined && left <= 0 && this.running) return { kind: 'outside', work: this.worker() };
    const stop = runGuest(this.vcpu, left === undefined || left <= 0 ? budget : Math.min(budget, left));
    switch (stop.kind) {
      case 'budget':
      case 'breakpoint':
      case 'fault':
        return stop;
      case 'emulated':
        return { kind: 'outside', work: this.after(stop.work) };
      case 'exit': {
        const exit = this.vcpu.ops.exitInfo();
        return { kind: 'exit', exit, work: this.after(handleExit(this.vcpu, exit)) };
      }
      case 'bus':
      case 'halt':
      case 'shutdown':
        // in VMX non-root operation under KVM each of these exits, unless a table of ours points outside host memory
        return { kind: 'outside', work: this.stray(stop.kind) };
    }
  }

  /** A host worker, beside the VCPU's thread: it has finished its read, and kicks the VCPU. */
  private *worker(): Outside {
    const { apf } = this.vcpu;
    if (apf && (yield* apf.execute())) this.vcpu.kick();
    return undefined;
  }
  private *after(work: Work<Handled>): Outside {
    return yield* this.goOn(yield* work);
  }
  /** From a handled exit back into the guest, through user space if KVM returns to it. */
  private *goOn(first: Handled): Outside {
    const { vcpu } = this;
    let handled = first;
    for (;;) {
      if (handled.kind === 'reenter') {
        handled = yield* enter(vcpu);
        if (handled.kind === 'reenter') return undefined;
      }
      const answer = yield* userspace(
        handled.exit,
        this.bus,
        vcpu.registers(),
        vcpu.cpu.chain.events,
        vcpu.cpu.chain.latest,
        (at, length) => vcpu.readGuest(gpa(at), length),
      );
      if (answer.kind === 'end') return this.end(answer.end);
      handled = yield* complete(vcpu, answer.value);
    }
  }
  // eslint-disable-next-line require-yield -- there is no step to report
  private *stray(kind: string): Outside {
    const why = `the CPU stopped without a VM exit (${kind})`;
    return this.end({ kind: 'internal-error', code: END_CODES['internal-error'], why, unmet: [] });
  }
  private end(end: Omit<MachineEnd, 'rip'>): MachineEnd {
    return { ...end, rip: this.vcpu.registers().rip };
  }

  stats(): Readonly<Record<string, number>> {
    return { ...this.vcpu.stats.all(), ...this.vm.stats.all() };
  }
  references({ guest, host }: SoftwareReads): References {
    const { guestReferences, nestedReferences } = this.cpu.counters;
    // without EPT the CPU walks the shadow tables, and KVM reads the guest's
    return this.vm.shadow
      ? { guest, nested: 0, shadow: guestReferences, host }
      : { guest: guestReferences, nested: nestedReferences, shadow: 0, host };
  }
  cycles(): GuestCycles {
    const { guestReferences, nestedReferences } = this.cpu.counters;
    return {
      guest: cost('instruction', Number(this.instructions)),
      walks: cost('tableReference', guestReferences + nestedReferences),
    };
  }

  save(): KvmState {
    return { vm: this.vm.save(), cpu: this.cpu.save(), vcpu: this.vcpu.save() };
  }
  restore(s: KvmState): void {
    this.vm.restore(s.vm);
    this.cpu.restore(s.cpu);
    this.vcpu.restore(s.vcpu);
  }
}

export interface KvmState {
  readonly vm: VmState;
  readonly cpu: CpuSnapshot;
  readonly vcpu: VcpuState;
}
