import type { Work } from '../../trace/step';
import { vectorName } from '../../isa/exceptions';
import type { ExitInfo } from '../exit-info';
import { internalError, type Handled } from '../userspace-exit';
import type { Vcpu } from '../vcpu';

/** One entry of kvm_vmx_exit_handlers: how KVM handles an exit. Guest state and exit information are in the VMCS. */
export type ExitHandler = (v: Vcpu) => Work<Handled>;

/**
 * Checks for an exit that would lose the event whose delivery it interrupted, unless `may` allows it; undefined: the
 * exit can be handled (vmx_handle_exit, svm_handle_exit).
 */
export function lostDelivery(v: Vcpu, info: ExitInfo, may: boolean): Handled | undefined {
  const { vectoring } = v.events;
  if (!vectoring || may) return undefined;
  return internalError('DELIVERY_EV', `${info.name} while ${vectorName(vectoring.vector)} was being delivered`);
}
