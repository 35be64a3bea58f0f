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

/** What a request handler may use of the adapter. */
export interface AdapterContext {
  readonly host: AdapterHost;
  /**
   * What will be launched, if the program that started the adapter knows it: a client reads the names of filters at
   * `initialize`.
   */
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
  /** The bug of ours that ended a run: the exception that the client asks about. */
  readonly failure: string | undefined;

  /** The target, running or not. */
  readonly target: DebugTarget;
  /** The target while it is stopped: most requests need that. */
  readonly stopped: DebugTarget;
  readonly running: boolean;
  /** The call stack of the current stop. */
  readonly frames: readonly FrameView[];
  /** The guest is about to continue, or was changed by hand. */
  forgetFrames(): void;

  /** Adopts a new launch; nothing of the previous one remains. */
  adopt(launched: Launched, fields: LaunchFields): void;
  /** Resumes the target; everything known about its stop becomes invalid. */
  resume(): void;
  /**
   * Something was changed by hand, by `action`: the client is notified about frames, values and the memory it shows.
   */
  change<T>(action: () => T, options?: ChangeOptions<T>): T;
  /** Releases the launch's resources; it sends no further events. */
  close(): void;
  /** The client asked to end. */
  shutdown(): void;

  /** The value of an answer; throws its diagnostics as the error of this request. */
  unwrap<T>(answer: Result<T, readonly Diagnostic[]>): T;
  /** Does `action` once the response of the current request is sent. */
  afterResponse(action: () => void): void;
  sendEvent(event: Dap.Event): void;
  sendStopped(stop: StopInfo): void;
  sendDiagnostics(diagnostics: readonly Diagnostic[]): void;
  /** `exited` and `terminated`, once for each launch. */
  sendEnd(code: number): void;
}

export interface ChangeOptions<T> {
  /** Whether anything changed; true by default. */
  readonly isChange?: (result: T) => boolean;
  /** What the request itself wrote, by the client's name for it. */
  readonly written?: (result: T) => MemoryChange;
}
