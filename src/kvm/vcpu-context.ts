import type { Gpa, Hpa } from '../base/address';
import { gpa, hpa } from '../base/address';
import { invariant, must } from '../base/assert';
import { bit } from '../base/bits';
import { RFLAGS } from '../isa/flags';
import { VECTOR } from '../isa/exceptions';
import { MSR } from '../isa/msrs';
import { INTERRUPTIBILITY } from '../isa/vmcs-controls';
import { FIELD } from '../isa/vmcs-fields';
import type { Cpu } from '../hw/cpu/cpu';
import type { CpuidModel } from '../hw/cpu/cpuid-model';
import type { VmxStatus } from '../hw/vmx/status';
import { CpuState } from '../hw/state/cpu-state';
import type { VmExit } from '../hw/state/event';
import { MAX_CPUS, SLOT } from '../hw/state/layout';
import { drain, kvmStep, type Step } from '../host/step';
import { Lapic } from './lapic';
import { slotHva } from './memslots';
import { PendingEvents } from './events';
import { SHADOW_VCPU_STATS, Stats, VCPU_STATS, type VcpuStat } from './stats';
import type { Vm } from './vm';
import { guestCpuModel } from './x86/cpuid';
import { GuestRegisters } from './vmx/registers';
import {
  HOST_CR0,
  HOST_CR4,
  HOST_EFER,
  HOST_PAT,
  HOST_XCR0,
  PASSTHROUGH,
  PASSTHROUGH_READ,
  initVmcs,
  msrBitmapPosition,
} from './vmx/setup';
import { VmcsPort } from './vmx/vmcs-port';

export interface VcpuOptions {
  readonly vpid: boolean;
}

/** Save areas follow the CPUs' states, the emulator's scratch states those, and then the states that show a guest in the middle of an exit. */
const SAVE_AREA = MAX_CPUS;
const SCRATCH = 2 * MAX_CPUS;
const VIEW = 3 * MAX_CPUS;

/** DR6.BS. */
const DR6_BS = 1n << 14n;
const M32 = 0xffff_ffffn;

/** One VCPU as KVM's code passes it around (struct kvm_vcpu): its VMCS, the registers the VMCS does not hold, and what waits to be done. */
export class VcpuContext {
  readonly vmcs: VmcsPort;
  readonly regs: GuestRegisters;
  readonly events = new PendingEvents();
  readonly stats: Stats<VcpuStat>;
  readonly lapic: Lapic;
  /** What CPUID tells the guest, and which CR4 and EFER bits it may set. */
  readonly model: CpuidModel;
  /** The emulator's registers, and a place to show the guest's while the CPU runs the host. */
  readonly scratch: CpuState;
  readonly view: CpuState;
  readonly vmcsAddress: Hpa;
  /** VPID of this VCPU; 0: none. */
  readonly vpid: number;
  /** Instructions that KVM completed for the guest, which no hardware retired. */
  emulated = 0;
  launched = false;
  /** KVM_REQ_TLB_FLUSH_GUEST: what the guest's own flush would have dropped is dropped before entry. */
  flushGuest = false;
  /** KVM_REQ_TLB_FLUSH_CURRENT: another root, or a load of CR3: what is cached of the tables that hardware walks now is dropped. */
  flushCurrent = false;
  /** KVM_REQ_MMU_SYNC: the guest has flushed its TLB by a load of CR3, so shadow tables catch up with its own. */
  syncRoots = false;
  /** Remote flushes of the VM that this VCPU has carried out. */
  flushesSeen = 0;
  /** KVM_DEBUGREG_WONT_EXIT: the guest has its debug registers until the next exit. */
  debugRegistersLoaded = false;
  /** The instruction emulator met an instruction that would have exited: its handler is at work, and what it asks of the exit is here instead of in the VMCS. */
  emulatedExit: VmExit | undefined;
  private readonly msrBitmap: Hpa;

  constructor(
    readonly vm: Vm,
    readonly cpu: Cpu,
    readonly id: number,
    options: VcpuOptions,
  ) {
    this.stats = new Stats<VcpuStat>(vm.shadow ? [...VCPU_STATS, ...SHADOW_VCPU_STATS] : VCPU_STATS);
    this.model = guestCpuModel(cpu.model, vm.shadow?.generation);
    this.lapic = new Lapic(id, {
      now: () => this.hostTsc,
      tscOffset: () => this.vmcs.readEncoding(FIELD.TSC_OFFSET),
      all: () => vm.lapics,
      nmi: () => this.events.queueNmi(),
      taskPriority: (tpr) => this.regs.saved.set(SLOT.CR8, BigInt(tpr >> 4)),
    });
    vm.lapics.push(this.lapic);
    const memory = vm.kernel.memory;
    this.scratch = new CpuState(memory, SCRATCH + id);
    this.view = new CpuState(memory, VIEW + id);
    this.vmcs = new VmcsPort(cpu.vmx);
    this.regs = new GuestRegisters(this.vmcs, new CpuState(memory, SAVE_AREA + id), vm.shadow !== undefined);
    // VPIDs came with EPT: 2.6.20 knows none, and each VM entry and exit flushes
    this.vpid = options.vpid && vm.shadow?.generation !== 'classic' ? id + 1 : 0;
    this.msrBitmap = this.frame();
    this.vmcsAddress = this.frame();
    this.enableVirtualization();
    this.loadVmcs();
    initVmcs(this.vmcs, {
      eptp: vm.shadow ? undefined : vm.mmu.eptp,
      interceptInvlpg: vm.shadow?.generation === 'modern',
      vpid: this.vpid,
      msrBitmap: this.msrBitmap,
      hostCr3: vm.space.cr3,
      capability: (msr) => must(cpu.vmx.capabilities.msr(msr), 'a CPU with VMX has its capability MSRs'),
    });
    this.initMsrBitmap();
    this.vmcs.take();
  }

  /** The exit qualification, of a real exit or of one that the emulator stands in for. */
  get exitQualification(): bigint {
    return this.emulatedExit ? this.emulatedExit.qualification : this.vmcs.read('EXIT_QUALIFICATION');
  }

  /** A step of KVM's, with the VMCS fields that were accessed since the last one. */
  step(fn: string, what: string, cycles: number, parts: Parameters<typeof kvmStep>[3] = {}): Step {
    return kvmStep(fn, what, cycles, { ...parts, vmcs: this.vmcs.take() });
  }

  /** kvm_skip_emulated_instruction: RIP behind the instruction that exited, its interrupt shadow gone, and the single-step trap it owes. */
  skipEmulatedInstruction(): void {
    const { vmcs, regs } = this;
    const length = this.emulatedExit
      ? BigInt(this.emulatedExit.instructionLength ?? 0)
      : vmcs.read('VM_EXIT_INSTRUCTION_LEN');
    const rip = regs.rip + length;
    regs.rip = regs.mode64 ? BigInt.asUintN(64, rip) : rip & M32;
    this.completeInstruction();
  }
  /** What the end of any instruction does: the shadow of STI and MOV SS ends, RF is cleared, TF traps. */
  completeInstruction(castsShadow = false): void {
    const { vmcs, regs } = this;
    const blocking = Number(vmcs.read('GUEST_INTERRUPTIBILITY_INFO'));
    const shadow = INTERRUPTIBILITY.STI | INTERRUPTIBILITY.MOV_SS;
    if ((blocking & shadow) !== 0 && !castsShadow)
      vmcs.write('GUEST_INTERRUPTIBILITY_INFO', BigInt(blocking & ~shadow));
    const rflags = regs.rflags;
    if (bit(rflags, RFLAGS.RF)) regs.rflags = rflags & ~(1n << BigInt(RFLAGS.RF));
    if (bit(rflags, RFLAGS.TF)) this.events.queueException({ vector: VECTOR.DB, payload: DR6_BS });
    this.emulated++;
  }

  /** RDTSC in root mode: the clock of this machine is retired instructions, and the time that a halted CPU let pass. */
  get hostTsc(): bigint {
    return BigInt.asUintN(64, this.cpu.retired + this.cpu.state.get(SLOT.TSC_OFFSET));
  }
  /** Nobody runs until `time`, in host TSC ticks: the clock is there at once. */
  passTimeUntil(time: bigint): void {
    const { state } = this.cpu;
    const ahead = time - this.hostTsc;
    if (ahead > 0n) state.set(SLOT.TSC_OFFSET, BigInt.asUintN(64, state.get(SLOT.TSC_OFFSET) + ahead));
  }

  injectGp(errorCode = 0): void {
    this.events.queueException({ vector: VECTOR.GP, errorCode });
  }
  injectUd(): void {
    this.events.queueException({ vector: VECTOR.UD });
  }

  /** kvm_read_guest: bytes of guest RAM by GPA, through the VMM's mapping; undefined where no slot is. */
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

  /** hardware_enable: CR4.VMXE on, and VMXON with a region that holds the revision identifier. The registers are those of the host kernel that runs KVM. */
  private enableVirtualization(): void {
    const { cpu } = this;
    const s = cpu.state;
    s.set(SLOT.CR0, HOST_CR0);
    s.set(SLOT.CR3, this.vm.space.cr3);
    s.set(SLOT.CR4, HOST_CR4);
    s.set(SLOT.EFER, HOST_EFER);
    s.set(SLOT.PAT, HOST_PAT);
    s.set(SLOT.XCR0, HOST_XCR0);
    cpu.mmu.controlsChanged();
    const region = this.frame();
    this.vm.kernel.memory.write32(region, cpu.vmx.capabilities.revision);
    succeed(cpu.vmx.vmxon(region), 'VMXON');
  }

  /** vmx_vcpu_load_vmcs. */
  private loadVmcs(): void {
    const { vmx } = this.cpu;
    this.vm.kernel.memory.write32(this.vmcsAddress, vmx.capabilities.revision);
    succeed(vmx.vmclear(this.vmcsAddress), 'VMCLEAR');
    succeed(vmx.vmptrld(this.vmcsAddress), 'VMPTRLD');
  }

  private initMsrBitmap(): void {
    const bitmap = new Uint8Array(4096).fill(0xff);
    const allow = (msr: number, write: boolean): void => {
      const at = must(msrBitmapPosition(msr, write), 'a pass-through MSR lies in the bitmap');
      bitmap[at.byte] = (bitmap[at.byte] as number) & ~(1 << at.bit);
    };
    for (const msr of PASSTHROUGH_READ) allow(msr, false);
    for (const msr of PASSTHROUGH) {
      allow(msr, false);
      allow(msr, true);
    }
    this.vm.kernel.memory.write(this.msrBitmap, bitmap);
  }

  private frame(): Hpa {
    return hpa(must(this.vm.kernel.frames.allocate(), 'a new VCPU finds frames for its VMCS and bitmap'));
  }

  save(): VcpuContextState {
    return {
      events: this.events.save(),
      lapic: this.lapic.save(),
      stats: this.stats.save(),
      saved: this.regs.saved.save(),
      scratch: this.scratch.save(),
      emulated: this.emulated,
      launched: this.launched,
      flushGuest: this.flushGuest,
      flushCurrent: this.flushCurrent,
      syncRoots: this.syncRoots,
      flushesSeen: this.flushesSeen,
      debugRegistersLoaded: this.debugRegistersLoaded,
    };
  }
  restore(s: VcpuContextState): void {
    this.events.restore(s.events);
    this.lapic.restore(s.lapic);
    this.stats.restore(s.stats);
    this.regs.saved.restore(s.saved);
    this.scratch.restore(s.scratch);
    this.emulated = s.emulated;
    this.launched = s.launched;
    this.flushGuest = s.flushGuest;
    this.flushCurrent = s.flushCurrent;
    this.syncRoots = s.syncRoots;
    this.flushesSeen = s.flushesSeen;
    this.debugRegistersLoaded = s.debugRegistersLoaded;
  }
}

export interface VcpuContextState {
  readonly events: ReturnType<PendingEvents['save']>;
  readonly lapic: ReturnType<Lapic['save']>;
  readonly stats: ReturnType<Stats<VcpuStat>['save']>;
  readonly saved: Uint8Array;
  readonly scratch: Uint8Array;
  readonly emulated: number;
  readonly launched: boolean;
  readonly flushGuest: boolean;
  readonly flushCurrent: boolean;
  readonly syncRoots: boolean;
  readonly flushesSeen: number;
  readonly debugRegistersLoaded: boolean;
}

function succeed(status: VmxStatus, what: string): void {
  invariant(status.kind === 'succeed', `${what} succeeds on a frame that KVM prepared`);
}

/** MSRs that KVM keeps for the guest and puts into the hardware before each entry (kvm_user_return_msrs and MSR_KERNEL_GS_BASE), with their register slots. */
export const USER_RETURN_MSRS: readonly (readonly [msr: number, slot: number])[] = [
  [MSR.STAR, SLOT.STAR],
  [MSR.LSTAR, SLOT.LSTAR],
  [MSR.CSTAR, SLOT.CSTAR],
  [MSR.SFMASK, SLOT.SFMASK],
  [MSR.TSC_AUX, SLOT.TSC_AUX],
  [MSR.KERNEL_GS_BASE, SLOT.KERNEL_GS_BASE],
];
