import { type FaultReason } from '../../isa/reasons/index';
import type { Vcpu } from '../vcpu';

/** An MSR as KVM implements it for a guest whose RDMSR or WRMSR exits. */
export interface KvmMsr {
  /** Undefined: #GP(0). */
  read(v: Vcpu): bigint | undefined;
  /** Any result but true is #GP(0), with a reason if more is known than that the value is rejected. */
  write(v: Vcpu, value: bigint): boolean | FaultReason;
}
export type KvmMsrs = ReadonlyMap<number, KvmMsr>;

export const dropped = (): boolean => true;
