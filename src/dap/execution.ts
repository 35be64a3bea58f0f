/** Run control: continue, the three steps, pause. Each asks the target for something; the run loop then carries it out. */
import type { DebugProtocol as Dap } from '@vscode/debugprotocol';
import type { Granularity } from '../session/api';
import type { Handlers } from './requests';

const granularity = (asked: Dap.SteppingGranularity | undefined): Granularity =>
  asked === 'instruction' ? 'instruction' : 'line';

export const executionRequests: Handlers<'continue' | 'next' | 'stepIn' | 'stepOut' | 'pause'> = {
  continue(adapter) {
    adapter.stopped.continue_();
    adapter.resume();
    return { allThreadsContinued: true };
  },
  next(adapter, args) {
    adapter.stopped.stepOver(granularity(args.granularity));
    adapter.resume();
  },
  stepIn(adapter, args) {
    adapter.stopped.stepIn(granularity(args.granularity));
    adapter.resume();
  },
  stepOut(adapter) {
    adapter.stopped.stepOut();
    adapter.resume();
  },
  /** A guest that has just stopped by itself is left alone: the wish must not stop its next run. */
  pause(adapter) {
    if (adapter.loop.running) adapter.target.pause();
  },
};
