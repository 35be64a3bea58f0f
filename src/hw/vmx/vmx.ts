import type { Hpa } from '../../base/address';
import { hpa } from '../../base/address';
import { isCanonical } from '../../base/bits';
import { VMX_EXIT } from '../../isa/exits';
import { PROC, SECONDARY } from '../../isa/vmcs-controls';
import { FIELD, fieldArea } from '../../isa/vmcs-fields';
import type { HostMemory } from '../memory/host-memory';
import type { CpuState } from '../state/cpu-state';
import type { VmExit } from '../state/event';
import { SLOT } from '../state/layout';
import { boundaryExit, watchesBoundaries } from './boundary';
import type { VmxCapabilities } from './capabilities';
import { VmxControls } from './controls';
import { eptpProblem } from './checks-controls';
import type { EntryResult } from './entry';
import { enterGuest, leaveGuest } from './entry';
import { supportedEncodings } from './fields';
import { VmxIntercepts } from './intercepts';
import type { Interruption } from '../state/interruption';
import type { VmxOperation, VmxPorts, VmxState } from './operation';
import { PmlLog } from './pml';
import type { VmInstructionError, VmxFailure, VmxStatus } from './status';
import { FAIL_INVALID, SUCCEED, failValid } from './status';
import { VMCS_SIZE, Vmcs } from './vmcs';

export interface VmxSnapshot {
  readonly operation: VmxOperation;
  readonly vmxonPointer: Hpa | undefined;
  readonly current: Hpa | undefined;
  readonly nmiBlockedInRoot: boolean;
  readonly trapPending: boolean;
  readonly timerDeadline: bigint | undefined;
  readonly enteredAt: bigint;
}

const INVVPID_TYPES = ['address', 'single', 'all', 'retain-globals'] as const;
const NO_VMCS = 0xffff_ffff_ffff_ffffn;

/**
 * VMX operation of one CPU. The methods are the VMX instructions without their operand decoding and without the exceptions that precede them (#UD, #GP by CPL
 * and CR4.VMXE): software in root operation calls them, be it KVM's model or, through the instruction set, a guest's own hypervisor.
 */
export class Vmx implements VmxState {
  operation: VmxOperation = 'off';
  /** In force while `operation` is non-root. */
  readonly controls = new VmxControls();
  readonly intercepts: VmxIntercepts;
  /** NMI blocking outside the guest, kept while "virtual NMIs" gives the blocking bit to the guest. */
  nmiBlockedInRoot = false;
  /** A monitor-trap-flag exit is pending. */
  trapPending = false;
  /** Value of SLOT.RETIRED at which the VMX-preemption timer reaches zero (it counts one down with each TSC tick; VMX_MISC 4:0 = 0). */
  timerDeadline: bigint | undefined;
  /** SLOT.RETIRED at the last VM entry. */
  enteredAt = 0n;
  private readonly encodings: ReadonlySet<number>;
  private vmxonPointer: Hpa | undefined;
  private currentVmcs: Vmcs | undefined;

  constructor(
    readonly state: CpuState,
    readonly memory: HostMemory,
    readonly capabilities: VmxCapabilities,
    readonly ports: VmxPorts,
  ) {
    this.intercepts = new VmxIntercepts(memory, this.controls);
    this.encodings = supportedEncodings(capabilities);
  }

  /** The current VMCS (24.1), or undefined. */
  get current(): Vmcs | undefined {
    return this.currentVmcs;
  }
  /** The page-modification log, where the controls in force turn it on. */
  get log(): PmlLog | undefined {
    return this.currentVmcs && (this.controls.secondary & SECONDARY.ENABLE_PML) !== 0
      ? new PmlLog(this.memory, this.currentVmcs)
      : undefined;
  }
  get inNonRoot(): boolean {
    return this.operation === 'non-root';
  }

  // ---- VMX instructions (chapter 30)

  /** `address`: a frame whose first word is the VMCS revision identifier. */
  vmxon(address: bigint): VmxStatus {
    if (this.operation !== 'off') return this.fail(15);
    if (!this.isRegion(address) || this.memory.read32(hpa(address)) !== this.capabilities.revision) return FAIL_INVALID;
    this.operation = 'root';
    this.vmxonPointer = hpa(address);
    this.currentVmcs = undefined;
    return SUCCEED;
  }

  vmxoff(): VmxStatus {
    this.operation = 'off';
    this.vmxonPointer = undefined;
    this.currentVmcs = undefined;
    return SUCCEED;
  }

  vmclear(address: bigint): VmxStatus {
    if (!this.isRegion(address)) return this.fail(2);
    if (address === this.vmxonPointer) return this.fail(3);
    new Vmcs(this.memory, hpa(address)).launched = false;
    if (this.currentVmcs?.address === address) this.currentVmcs = undefined;
    return SUCCEED;
  }

  vmptrld(address: bigint): VmxStatus {
    if (!this.isRegion(address)) return this.fail(9);
    if (address === this.vmxonPointer) return this.fail(10);
    const vmcs = new Vmcs(this.memory, hpa(address));
    if (vmcs.revision !== this.capabilities.revision) return this.fail(11);
    this.currentVmcs = vmcs;
    return SUCCEED;
  }

  /** The current-VMCS pointer; all ones when there is none. */
  vmptrst(): bigint {
    return this.currentVmcs?.address ?? NO_VMCS;
  }

  vmread(encoding: number): { readonly kind: 'succeed'; readonly value: bigint } | VmxFailure {
    if (!this.currentVmcs) return FAIL_INVALID;
    if (!this.encodings.has(encoding)) return this.fail(12);
    return { kind: 'succeed', value: this.currentVmcs.read(encoding) };
  }

  vmwrite(encoding: number, value: bigint): VmxStatus {
    if (!this.currentVmcs) return FAIL_INVALID;
    if (!this.encodings.has(encoding)) return this.fail(12);
    if (fieldArea(encoding) === 'exit') return this.fail(13);
    this.currentVmcs.write(encoding, value);
    return SUCCEED;
  }

  /** `type` as in the register operand: 1 single context, 2 all contexts. */
  invept(type: number, eptp: bigint): VmxStatus {
    if (type !== 1 && type !== 2) return this.fail(28);
    if (type === 1 && eptpProblem(eptp, this.capabilities) !== undefined) return this.fail(28);
    this.ports.caches.invept(type === 1 ? 'single' : 'all', eptp);
    return SUCCEED;
  }

  /** `type`: 0 individual address, 1 single context, 2 all contexts, 3 single context retaining globals. `descriptor`: bits 63:0 of the INVVPID descriptor. */
  invvpid(type: number, descriptor: bigint, linear: bigint): VmxStatus {
    const name = INVVPID_TYPES[type];
    if (name === undefined || descriptor > 0xffffn) return this.fail(28);
    if (name !== 'all' && descriptor === 0n) return this.fail(28);
    if (name === 'address' && !isCanonical(linear, this.capabilities.processor.linearBits)) return this.fail(28);
    this.ports.caches.invvpid(name, Number(descriptor), linear);
    return SUCCEED;
  }

  vmlaunch(): EntryResult {
    return this.enter(true);
  }
  vmresume(): EntryResult {
    return this.enter(false);
  }

  // ---- transitions

  /**
   * VM entry (chapter 26). When it succeeds the state is the guest's and `inject` is still to be delivered; when it fails early nothing changed but the error
   * number; when it fails late the exit is recorded and the state is the host's.
   */
  enter(launch: boolean): EntryResult {
    return enterGuest(this, launch);
  }

  /**
   * VM exit (chapter 27): saves guest state, records the exit, loads host state.
   * @param vectoring the event that was being delivered through the IDT when the exit happened
   * @param pendingDebug what goes to the pending-debug-exceptions field
   * @returns the VMX-abort indicator, or 0; after an abort the CPU is in shutdown
   */
  exit(exit: VmExit, vectoring?: Interruption, pendingDebug = 0n): number {
    return leaveGuest(this, exit, vectoring, pendingDebug);
  }

  /** Whether `boundaryExit` has anything to look for; constant between VM entry and VM exit. */
  get watchesBoundaries(): boolean {
    return this.trapPending || watchesBoundaries(this.controls);
  }

  /**
   * The exit due before the next instruction, if any; to be asked only in non-root operation. `delivered`: an event was delivered since the last call, which
   * counts for the monitor trap flag as a retired instruction does (25.5.2).
   */
  boundaryExit(delivered: boolean): VmExit | undefined {
    const retired = this.state.get(SLOT.RETIRED);
    const trap =
      this.trapPending ||
      ((this.controls.proc & PROC.MONITOR_TRAP_FLAG) !== 0 && (delivered || retired !== this.enteredAt));
    const timer = this.timerDeadline !== undefined && retired >= this.timerDeadline;
    const exit = boundaryExit(this.state, this.controls, trap, timer);
    if (exit?.reason === VMX_EXIT.MONITOR_TRAP_FLAG) this.trapPending = false;
    return exit;
  }

  // ---- state

  save(): VmxSnapshot {
    return {
      operation: this.operation,
      vmxonPointer: this.vmxonPointer,
      current: this.currentVmcs?.address,
      nmiBlockedInRoot: this.nmiBlockedInRoot,
      trapPending: this.trapPending,
      timerDeadline: this.timerDeadline,
      enteredAt: this.enteredAt,
    };
  }
  /** Host memory must have been restored before: the VMCS is there. */
  restore(s: VmxSnapshot): void {
    this.operation = s.operation;
    this.vmxonPointer = s.vmxonPointer;
    this.currentVmcs = s.current === undefined ? undefined : new Vmcs(this.memory, s.current);
    this.nmiBlockedInRoot = s.nmiBlockedInRoot;
    this.trapPending = s.trapPending;
    this.timerDeadline = s.timerDeadline;
    this.enteredAt = s.enteredAt;
    if (this.currentVmcs) this.controls.decode(this.currentVmcs);
  }

  /** VMfail (30.2): VMfailValid with the error in the current VMCS, or VMfailInvalid without one. */
  fail(error: VmInstructionError): VmxFailure {
    if (!this.currentVmcs) return FAIL_INVALID;
    this.currentVmcs.write32(FIELD.VM_INSTRUCTION_ERROR, error);
    return failValid(error);
  }

  /** Frame aligned, within the physical-address width, and answered by memory. */
  private isRegion(address: bigint): boolean {
    return (
      (address & 0xfffn) === 0n &&
      address >> BigInt(this.capabilities.processor.physicalBits) === 0n &&
      this.memory.contains(address, VMCS_SIZE)
    );
  }
}
