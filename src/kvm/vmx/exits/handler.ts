import type { Work } from '../../../trace/step';
import type { Handled } from '../../userspace-exit';
import type { Vcpu } from '../../vcpu';
import type { VmxOps } from '../ops';

/**
 * One entry of kvm_vmx_exit_handlers. Guest state and exit information are in the VMCS. Handlers shared by both
 * extensions take only the VCPU.
 */
export type VmxExitHandler = (v: Vcpu, vmx: VmxOps) => Work<Handled>;
