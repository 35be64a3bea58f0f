import type { DebugProtocol as Dap } from '@vscode/debugprotocol';
import type { Diagnostic } from '../base/diagnostic';
import type { Result } from '../base/result';
import type { DebugTarget } from '../session/api';
import type { FrameView, StopInfo } from '../session/types';
import type { BreakpointSets } from './breakpoint-sets';
import type { ClientView } from './client';
import type { AdapterHost } from './host';
import type { LaunchFields, Launched } from './launch';
import type { MemoryChange, MemoryWatch } from './memory-watch';
import type { Documents, References } from './references';

/** What a handler of a request may ask of the adapter. */
export interface AdapterContext {
  readonly host: AdapterHost;
  /** What will be launched, where the program that started the adapter knows it: a client takes the names of filters at `initialize`. */
  readonly expected?: LaunchFields | undefined;
  readonly client: ClientView;
  readonly references: References;
  readonly documents: Documents;
  readonly breakpoints: BreakpointSets;
  /** What the client has read of memory at this stop. */
  readonly memory: MemoryWatch;

  /** The target of the session with what belongs to it, once it is launched. */
  readonly launched: Launched | undefined;
  /** The configuration of the last launch, for a restart that brings none. */
  readonly fields: LaunchFields | undefined;
  /** configurationDone was answered for this launch. */
  begun: boolean;
  /** What a run ran into, where that was a bug of ours: the exception that the client asks about. */
  readonly failure: string | undefined;

  /** The target, whether it runs or not. */
  readonly target: DebugTarget;
  /** The target while it stands still: most questions can be asked only then. */
  readonly stopped: DebugTarget;
  readonly running: boolean;
  /** The call stack of the present stop. */
  readonly frames: readonly FrameView[];
  /** The guest is about to go on, or was changed by hand. */
  forgetFrames(): void;

  /** Takes on a new launch; nothing of the one before is left. */
  adopt(launched: Launched, fields: LaunchFields): void;
  /** Lets the target run on; what was known about its stop is void from here on. */
  resume(): void;
  /** Something was changed by hand, by `action`: the client hears what that made of frames, values and the memory that it shows. */
  change<T>(action: () => T, options?: ChangeOptions<T>): T;
  /** The launch's resources are let go; nothing of it sends an event from here on. */
  close(): void;
  /** The client asked to end. */
  shutdown(): void;

  /** The value of an answer, or its diagnostics as the error of this request. */
  unwrap<T>(answer: Result<T, readonly Diagnostic[]>): T;
  /** Does `action` once the response of the request in progress is sent. */
  afterResponse(action: () => void): void;
  sendEvent(event: Dap.Event): void;
  sendStopped(stop: StopInfo): void;
  sendDiagnostics(diagnostics: readonly Diagnostic[]): void;
  /** `exited` and `terminated`, once for each launch. */
  sendEnd(code: number): void;
}

export interface ChangeOptions<T> {
  /** Whether it came to a change; by default it did. */
  readonly isChange?: (result: T) => boolean;
  /** What the request itself wrote, by the client's name for it. */
  readonly written?: (result: T) => MemoryChange;
}
