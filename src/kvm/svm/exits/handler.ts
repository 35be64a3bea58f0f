import type { Work } from '../../../trace/step';
import type { Handled } from '../../userspace-exit';
import type { Vcpu } from '../../vcpu';
import type { SvmOps } from '../ops';

/**
 * One entry of svm_exit_handlers. Guest state and exit information are in the VMCB. Handlers shared by both
 * extensions take only the VCPU.
 */
export type SvmExitHandler = (v: Vcpu, svm: SvmOps) => Work<Handled>;
