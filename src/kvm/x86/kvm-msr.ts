import { type FaultReason } from '../../isa/reasons/index';
import type { Vcpu } from '../vcpu';

/** One MSR as KVM answers it for a guest whose RDMSR or WRMSR exits. */
export interface KvmMsr {
  /** Undefined: #GP(0). */
  read(v: Vcpu): bigint | undefined;
  /** Anything but true is #GP(0), with its reason where more can be said than that the value is refused. */
  write(v: Vcpu, value: bigint): boolean | FaultReason;
}
export type KvmMsrs = ReadonlyMap<number, KvmMsr>;

export const dropped = (): boolean => true;
