import type { VcpuContext } from '../vcpu-context';

/** One MSR as KVM answers it for a guest whose RDMSR or WRMSR exits. */
export interface KvmMsr {
  /** Undefined: #GP(0). */
  read(v: VcpuContext): bigint | undefined;
  /** False: #GP(0). */
  write(v: VcpuContext, value: bigint): boolean;
}
export type KvmMsrs = ReadonlyMap<number, KvmMsr>;

export const dropped = (): boolean => true;
