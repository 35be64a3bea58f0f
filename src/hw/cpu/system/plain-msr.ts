import type { FaultReason } from '../../../isa/reasons/index';
import type { CpuState } from '../../state/cpu-state';
import type { CpuFeature, CpuidModel } from '../cpuid-model';

/**
 * An MSR that is a register and no more: what it holds lies in a slot, of the CPU or of KVM's save area, and nothing else happens. So the CPU and KVM, which has
 * to answer a guest's RDMSR in software, check it by the same code.
 */
export interface PlainMsr {
  /** The CPUID feature it belongs to: a processor without it has no such MSR. */
  readonly feature?: CpuFeature;
  /** Undefined: RDMSR is #GP(0). */
  read(s: CpuState): bigint | undefined;
  /** Anything but true: WRMSR is #GP(0), with its reason where more can be said than that the value is refused. */
  write(s: CpuState, value: bigint, model: Pick<CpuidModel, 'vendor' | 'physicalBits'>): boolean | FaultReason;
}
