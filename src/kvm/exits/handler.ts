import type { Work } from '../../host/step';
import type { Handled } from '../userspace-exit';
import type { Vcpu } from '../vcpu';

/** One entry of kvm_vmx_exit_handlers: what KVM does about an exit. Guest state and exit information are in the VMCS. */
export type ExitHandler = (vcpu: Vcpu) => Work<Handled>;
