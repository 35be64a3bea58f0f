import type { Work } from '../../../trace/step';
import type { ExitInfo } from '../../exit-info';
import type { Handled } from '../../userspace-exit';
import type { Vcpu } from '../../vcpu';
import type { SvmOps } from '../ops';

/**
 * One entry of svm_exit_handlers. Guest state is in the VMCB, and what `info` says as well: a handler that reads it there does so for its Step. Handlers that both extensions share take the
 * VCPU alone.
 */
export type SvmExitHandler = (v: Vcpu, svm: SvmOps, info: ExitInfo) => Work<Handled>;
