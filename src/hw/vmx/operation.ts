import type { HostMemory } from '../memory/host-memory';
import type { CpuState } from '../state/cpu-state';
import type { VmxCapabilities } from './capabilities';
import type { VmxControls } from './controls';
import type { MsrAccess } from './msr-area';
import type { VmInstructionError, VmxFailure } from './status';
import type { Vmcs } from './vmcs';

/** What invalidates cached translations: the CPU's MMU. Operands are valid when these are called. */
export interface TranslationCaches {
  invept(type: 'single' | 'all', eptp: bigint): void;
  invvpid(type: 'address' | 'single' | 'all' | 'retain-globals', vpid: number, linear: bigint): void;
}

export interface VmxPorts {
  readonly msr: MsrAccess;
  readonly caches: TranslationCaches;
}

export type VmxOperation = 'off' | 'root' | 'non-root';

/** VMX operation of one CPU, as VM entries and VM exits find and leave it. */
export interface VmxState {
  readonly state: CpuState;
  readonly memory: HostMemory;
  readonly capabilities: VmxCapabilities;
  readonly ports: VmxPorts;
  readonly current: Vmcs | undefined;
  /** In force while `operation` is non-root. */
  readonly controls: VmxControls;
  operation: VmxOperation;
  /** NMI blocking outside the guest, kept while "virtual NMIs" gives the blocking bit to the guest. */
  nmiBlockedInRoot: boolean;
  /** A monitor-trap-flag exit is pending. */
  trapPending: boolean;
  /** Value of SLOT.RETIRED at which the VMX-preemption timer reaches zero; undefined: it does not run. */
  timerDeadline: bigint | undefined;
  /** SLOT.RETIRED at the last VM entry. */
  enteredAt: bigint;
  /** Ends a VMX instruction in VMfail: the error goes into the current VMCS, where there is one. */
  fail(error: VmInstructionError): VmxFailure;
}
