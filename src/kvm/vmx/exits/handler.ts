import type { Work } from '../../../trace/step';
import type { ExitInfo } from '../../exit-info';
import type { Handled } from '../../userspace-exit';
import type { Vcpu } from '../../vcpu';
import type { VmxOps } from '../ops';

/**
 * One entry of kvm_vmx_exit_handlers. Guest state is in the VMCS, and what `info` says as well: a handler that reads it there does so for its Step. Handlers that both extensions share take the
 * VCPU alone.
 */
export type VmxExitHandler = (v: Vcpu, vmx: VmxOps, info: ExitInfo) => Work<Handled>;
