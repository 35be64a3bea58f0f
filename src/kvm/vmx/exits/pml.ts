import { INTERRUPTIBILITY } from '../../../isa/vmcs-controls';
import { EPT_QUALIFICATION } from '../../../hw/vmx/ept-exit';
import { cost } from '../../../trace/costs';
import { setBlocking } from '../../events';
import { REENTER } from '../../userspace-exit';
import type { VmxExitHandler } from './handler';

/** handle_pml_full: the buffer has already been drained, as at every exit; the write that found it full runs again. */
export const handlePmlFull: VmxExitHandler = function* (v, { vmcs }) {
  const q = Number(vmcs.read('EXIT_QUALIFICATION'));
  if ((q & EPT_QUALIFICATION.NMI_UNBLOCKED) !== 0 && !v.events.vectoring)
    setBlocking(v.regs, INTERRUPTIBILITY.NMI, true);
  yield v.step('handle_pml_full', 'the page-modification log was full; the exit has drained it', cost('kvmHandler'));
  return REENTER;
};
