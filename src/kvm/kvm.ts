import type { Cpu } from '../hw/cpu/cpu';
import type { AddressSpace } from '../host/address-space';
import type { HostKernel } from '../host/kernel';
import { asyncPageReady } from './async-page-ready';
import { AsyncPf } from './async-pf';
import { Emulator } from './emulator/emulator';
import { handleEmulated } from './exits/emulated';
import { handleSvmExit } from './svm/exits/index';
import { SvmOps } from './svm/ops';
import { Vcpu, type VcpuParts } from './vcpu';
import { Vm, type VmOptions } from './vm';
import { handleVmxExit } from './vmx/exits/index';
import { VmxOps } from './vmx/ops';

export interface VcpuOptions {
  readonly vpid: boolean;
}

/** KVM_CREATE_VM, called by the process whose memory becomes guest RAM. */
export const createVm = (kernel: HostKernel, space: AddressSpace, options: VmOptions): Vm =>
  new Vm(kernel, space, options);

/** KVM_CREATE_VCPU: a VCPU that runs on `cpu`, using its VM's extension. */
export function createVcpu(vm: Vm, cpu: Cpu, id: number, options: VcpuOptions): Vcpu {
  const vcpu = new Vcpu(vm, cpu, id, (v) => ({
    ...extension(v, options),
    emulator: new Emulator(v),
    apf: vm.shadow?.generation === 'classic' ? undefined : new AsyncPf(v, (page) => asyncPageReady(v, page)),
    *handleIntercepted(exit) {
      v.emulatedExit = exit;
      const handled = yield* handleEmulated(v, exit);
      v.emulatedExit = undefined;
      return handled;
    },
  }));
  vm.addVcpu(vcpu);
  return vcpu;
}

function extension(v: Vcpu, { vpid }: VcpuOptions): Pick<VcpuParts, 'ops' | 'handleExit'> {
  if (v.vm.svm) {
    const svm = new SvmOps(v);
    return { ops: svm, handleExit: (info) => handleSvmExit(v, svm, info) };
  }
  const vmx = new VmxOps(v, vpid);
  return { ops: vmx, handleExit: (info) => handleVmxExit(v, vmx, info) };
}
