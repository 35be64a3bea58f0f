import type { Cpu } from '../hw/cpu/cpu';
import type { AddressSpace } from '../host/address-space';
import type { HostKernel } from '../host/kernel';
import { Vcpu } from './vcpu';
import type { VcpuOptions } from './vcpu-context';
import { Vm, type VmOptions } from './vm';

/** KVM_CREATE_VM, by the process whose memory becomes guest RAM. */
export const createVm = (kernel: HostKernel, space: AddressSpace, options: VmOptions): Vm =>
  new Vm(kernel, space, options);

/** KVM_CREATE_VCPU: a VCPU that runs on `cpu`. */
export const createVcpu = (vm: Vm, cpu: Cpu, id: number, options: VcpuOptions): Vcpu => new Vcpu(vm, cpu, id, options);
