import { hex } from '../../../base/hex';
import { cost } from '../../../trace/costs';
import { SLOT } from '../../../hw/state/layout';
import { VECTOR, vectorName } from '../../../isa/exceptions';
import { because } from '../../../isa/reasons/index';
import { alignmentCheck, giveDebugRegisters, handleInvalidOpcode, hostInterrupt } from '../../exits/events';
import { REENTER, internalError } from '../../userspace-exit';
import type { SvmExitHandler } from './handler';

const DR6_ACTIVE_LOW = 0xffff_0ff0n;
const DR6_TRAPS = 0xe00fn;

/** db_interception: DR6 in the VMCB has the value that the handler would see. */
const handleDb: SvmExitHandler = function* (v, { vmcb }) {
  const dr6 = (vmcb.read('DR6') ^ DR6_ACTIVE_LOW) & DR6_TRAPS;
  v.events.queueException({ vector: VECTOR.DB, payload: dr6, why: because('injected') });
  yield v.step('db_interception', `#DB with ${hex(dr6)} for DR6 is the guest's`, cost('kvmHandler'));
  return REENTER;
};

/** Exceptions that init_vmcb intercepts. */
export const exceptionHandler = (vector: number): SvmExitHandler => {
  switch (vector) {
    case VECTOR.DB:
      return handleDb;
    case VECTOR.UD:
      return handleInvalidOpcode;
    case VECTOR.AC:
      return (v, { vmcb }) => alignmentCheck(v, vmcb.read32('EXITINFO1'), 'ac_interception');
    default:
      // eslint-disable-next-line require-yield
      return function* () {
        return internalError('SIMUL_EX', `an exit for ${vectorName(vector)}, which KVM does not intercept`);
      };
  }
};

/** interrupt_window_interception: the guest can take the interrupt now. */
export const handleVintr: SvmExitHandler = function* (v, svm) {
  svm.disableIrqWindow();
  v.stats.add('irq_window_exits');
  yield v.step('interrupt_window_interception', 'the guest can take interrupts', cost('kvmHandler'));
  return REENTER;
};

/** intr_interception: with GIF set again, the host's own handler has taken the interrupt that the exit left pending. */
export const handleIntr: SvmExitHandler = function* (v) {
  const { state } = v.cpu;
  const vector = state.get32(SLOT.PENDING_INTR) & 0xff;
  state.set32(SLOT.PENDING_INTR, 0);
  return yield* hostInterrupt(v, vector, 'intr_interception');
};

/** dr_interception. */
export const handleDrAccess: SvmExitHandler = (v) => giveDebugRegisters(v, 'dr_interception');
