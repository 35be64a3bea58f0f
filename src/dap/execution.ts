/**
 * Run control: continue, the three steps, pause; each makes a request of the target, which the run loop then carries
 * out. Also goto, which runs nothing.
 */
import { StoppedEvent } from '@vscode/debugadapter';
import type { DebugProtocol as Dap } from '@vscode/debugprotocol';
import { hex } from '../base/hex';
import type { StepTargetKind } from '../session/run/step-targets';
import type { Granularity } from '../session/run/stepper';
import { fileOf } from './breakpoints';
import { requestError } from './errors';
import type { Handlers } from './requests';
import { THREAD_ID, frameOfId, requireThread } from './stack';

/** How a place to go to is called among the references; no view's path begins so. */
const GOTO = 'goto:';

/** Step targets by their ids, from 1. */
const STEP_TARGETS: readonly StepTargetKind[] = ['call', 'exit'];

const granularity = (asked: Dap.SteppingGranularity | undefined): Granularity =>
  asked === 'instruction' ? 'instruction' : 'line';

export const executionRequests: Handlers<
  'continue' | 'next' | 'stepIn' | 'stepInTargets' | 'stepOut' | 'pause' | 'gotoTargets' | 'goto'
> = {
  continue(adapter, args) {
    requireThread(args.threadId);
    adapter.stopped.run.continue_();
    adapter.resume();
    return { allThreadsContinued: true };
  },
  next(adapter, args) {
    requireThread(args.threadId);
    adapter.stopped.run.stepOver(granularity(args.granularity));
    adapter.resume();
  },
  stepIn(adapter, args) {
    requireThread(args.threadId);
    const { stopped } = adapter;
    const target = args.targetId === undefined ? undefined : STEP_TARGETS[args.targetId - 1];
    if (args.targetId !== undefined && (!target || !stopped.run.stepTargets().some(({ kind }) => kind === target)))
      throw requestError('badReference', `there is no step target ${args.targetId} at this stop`);
    stopped.run.stepIn(granularity(args.granularity), target);
    adapter.resume();
  },
  /** Only for the frame that runs next: a caller continues by returning. */
  stepInTargets(adapter, args) {
    const { stopped } = adapter;
    if (frameOfId(adapter, args.frameId).frame !== 0) return { targets: [] };
    return {
      targets: stopped.run.stepTargets().map(({ kind, label }) => ({ id: STEP_TARGETS.indexOf(kind) + 1, label })),
    };
  },
  stepOut(adapter, args) {
    requireThread(args.threadId);
    const { frames, stopped } = adapter;
    const [top, ...outer] = frames;
    if (top?.kind === 'guest' && outer.length === 0)
      throw requestError('outermost', `\`${top.name}\` is the outermost frame: there is no caller to step out to`);
    stopped.run.stepOut();
    adapter.resume();
  },
  /** A guest that has just stopped is left alone: the request must not stop its next run. */
  pause(adapter, args) {
    requireThread(args.threadId);
    if (adapter.running) adapter.target.run.pause();
  },

  gotoTargets(adapter, args) {
    const { client, stopped } = adapter;
    const file = fileOf(adapter, args.source);
    const line = client.ourLineIn(file, args.line);
    const found = line === undefined ? undefined : stopped.symbols.codeAt(file, line);
    if (!found) return { targets: [] };
    const { address, file: itsFile, line: itsLine } = found;
    const id = adapter.references.of(`${GOTO}${hex(address)}`);
    const label = stopped.symbols.symbolOf(address) ?? hex(address);
    return {
      targets: [{ id, label, line: client.lineIn(itsFile, itsLine), instructionPointerReference: hex(address) }],
    };
  },
  /** Only RIP changes; it is an offset in the code segment. */
  goto(adapter, args) {
    requireThread(args.threadId);
    const { stopped } = adapter;
    const path = adapter.references.pathOf(args.targetId);
    if (!path?.startsWith(GOTO)) throw requestError('badReference', 'this target belongs to an earlier stop');
    adapter.unwrap(stopped.console.assign('rip', `${path.slice(GOTO.length)} - cs_base`));
    adapter.references.clear();
    adapter.forgetFrames();
    adapter.afterResponse(() => {
      const event: Dap.StoppedEvent = new StoppedEvent('goto', THREAD_ID);
      event.body.allThreadsStopped = true;
      adapter.sendEvent(event);
    });
  },
};
