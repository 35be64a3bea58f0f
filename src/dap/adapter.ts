/**
 * The debug adapter: one per client. It dispatches requests to the groups of handlers, carries out run control, and
 * turns what the debug target reports into events. It is the only place where errors become responses: bad input is
 * answered and the session continues; a bug of ours is caught here, once per request, and reported, and the session
 * continues as well.
 */
import {
  DebugSession,
  ExitedEvent,
  InvalidatedEvent,
  MemoryEvent,
  OutputEvent,
  Response,
  StoppedEvent,
  TerminatedEvent,
} from '@vscode/debugadapter';
import type { DebugProtocol as Dap } from '@vscode/debugprotocol';
import type { Writable } from 'node:stream';
import { PassThrough } from 'node:stream';
import type { Diagnostic } from '../base/diagnostic';
import { formatDiagnostic } from '../base/diagnostic';
import type { Result } from '../base/result';
import type { DebugTarget } from '../session/api';
import { outputBytes } from '../session/launch/output-files';
import type { EndInfo, FrameView, Location, Output, StopInfo } from '../session/types';
import { checkArguments } from './arguments';
import { breakpointRequests } from './breakpoints';
import { BreakpointSets } from './breakpoint-sets';
import { ClientView } from './client';
import { compact } from './compact';
import type { AdapterContext, ChangeOptions } from './context';
import { customRequests } from './custom';
import { RequestError, dapDiagnostic, inputError, requestError } from './errors';
import { evaluateRequests } from './evaluate';
import { executionRequests } from './execution';
import { MessageReader } from './framing';
import type { AdapterHost } from './host';
import { imageLineRequests } from './image-lines';
import type { LaunchFields, Launched } from './launch';
import { lifecycleRequests } from './lifecycle';
import { memoryRequests } from './memory';
import { MemoryWatch } from './memory-watch';
import { memoryViewRequests } from './memory-views';
import { panelRequests } from './panels';
import { Documents, References } from './references';
import type { AllRequests, Command, Handlers } from './requests';
import { RunLoop } from './run-loop';
import { THREAD_ID, stackRequests } from './stack';
import { stopReason } from './stops';
import { variableRequests } from './variables';

const HANDLERS: Handlers<Command> = {
  ...lifecycleRequests,
  ...breakpointRequests,
  ...executionRequests,
  ...stackRequests,
  ...variableRequests,
  ...evaluateRequests,
  ...memoryRequests,
  ...customRequests,
  ...imageLineRequests,
  ...memoryViewRequests,
  ...panelRequests,
};
const isCommand = (name: string): name is Command => Object.hasOwn(HANDLERS, name);

export class Adapter extends DebugSession implements AdapterContext {
  readonly client = new ClientView();
  readonly references = new References();
  readonly documents = new Documents();
  readonly breakpoints = new BreakpointSets();
  /** What the client has read of memory at this stop. */
  readonly memory = new MemoryWatch();
  private readonly loop: RunLoop;
  /** The target of the session, once it is launched. */
  launched: Launched | undefined;
  /** The configuration of the last launch, for a restart that brings none. */
  fields: LaunchFields | undefined;
  /** The bug of ours that ended a run: the exception that the client asks about. */
  failure: string | undefined;

  /** configurationDone was answered for this launch. */
  begun = false;
  /** The client was notified that the session is over. */
  private terminated = false;
  private out: Writable | undefined;
  private knownFrames: readonly FrameView[] | undefined;
  private readonly afterwards: (() => void)[] = [];

  constructor(
    readonly host: AdapterHost,
    readonly expected?: LaunchFields,
  ) {
    super();
    this.loop = new RunLoop(host, {
      progress: () => this.sendOutput(),
      stopped: (stop) => this.stoppedRunning(stop),
      ended: (end) => this.sendEnded(end),
      failed: (error) => this.sendFailure(error),
      whenWritable: (callback) => {
        if (this.out?.writableNeedDrain) this.out.once('drain', callback);
        else callback();
      },
    });
  }

  /** Serves these streams until the client is gone or sends something outside the protocol. */
  override start(input: NodeJS.ReadableStream, output: NodeJS.WritableStream): void {
    this.out = output as Writable;
    // the base class is only used for writing: its reader accepts any header, and a malformed message ends the
    // session silently
    super.start(new PassThrough(), output);
    const reader = new MessageReader({
      message: (value) => this.received(value),
      notJson: (why) => this.complain(`the message is not JSON: ${why}`),
      refused: (why) => {
        process.stderr.write(`pagewalk: ${requestError('badMessage', `not a debug client: ${why}`).message}\n`);
        this.refusedClient();
      },
    });
    input.on('data', (data: Buffer) => reader.push(data));
    for (const end of ['end', 'close', 'error']) input.on(end, () => this.shutdown());
    output.on('error', () => this.shutdown());
    input.resume();
  }

  /** The input violates the protocol: the session is over, and its process fails. */
  refusedClient: () => void = () => process.exit(2);

  private received(value: unknown): void {
    const request = isRecord(value) ? value : {};
    if (request['type'] === 'response' || request['type'] === 'event') return;
    if (
      request['type'] !== 'request' ||
      typeof request['command'] !== 'string' ||
      !Number.isSafeInteger(request['seq'])
    ) {
      this.complain(
        'a message is an object with `seq`, a whole number, `type`, which is "request", and `command`, a string',
      );
      return;
    }
    this.dispatchRequest(value as Dap.Request);
  }

  /** Reports what was wrong with a message that cannot be answered with a response. */
  private complain(why: string): void {
    this.sendText('stderr', `${requestError('badMessage', why).message}\n`);
  }

  /** The client is gone, or asked to end. A dedicated process exits; a server or a test continues. */
  override shutdown(): void {
    this.close();
    super.shutdown();
  }

  /** Does `action` once the response of the current request is sent. */
  afterResponse(action: () => void): void {
    this.afterwards.push(action);
  }

  get running(): boolean {
    return this.loop.running;
  }

  adopt(launched: Launched, fields: LaunchFields): void {
    this.close();
    this.fields = fields;
    this.launched = launched;
    this.client.edited.launched(launched.sources);
    this.breakpoints.enabled = !launched.noDebug;
    this.failure = undefined;
    this.terminated = false;
    this.begun = false;
    this.references.clear();
    this.memory.clear();
    this.forgetFrames();
  }

  /** The target, running or not. */
  get target(): DebugTarget {
    if (!this.launched) throw requestError('notLaunched', 'no guest is launched');
    return this.launched.target;
  }

  /** The target while it is stopped: most requests need that. */
  get stopped(): DebugTarget {
    const { target } = this;
    if (this.loop.running) throw requestError('running', 'the guest is running; pause it first');
    if (target.run.ended) throw requestError('ended', 'the guest has ended');
    return target;
  }

  /** The call stack of the current stop. */
  get frames(): readonly FrameView[] {
    return (this.knownFrames ??= this.stopped.stack.frames());
  }
  /** The guest is about to continue, or was changed by hand. */
  forgetFrames(): void {
    this.knownFrames = undefined;
  }

  /** The value of an answer; throws its diagnostics as the error of this request. */
  unwrap<T>(answer: Result<T, readonly Diagnostic[]>): T {
    if (!answer.ok) throw inputError(answer.error);
    return answer.value;
  }

  /** Resumes the target; everything known about its stop becomes invalid. */
  resume(): void {
    this.references.clear();
    this.memory.clear();
    this.forgetFrames();
    this.failure = undefined;
    this.loop.start(this.target);
  }

  /**
   * Something was changed by hand, by `action`: the client is notified about frames, values and the memory it shows.
   * Only frames and values are ever invalidated: for anything else VS Code handles the stop again, which takes the
   * user from the current view to Run and Debug.
   */
  change<T>(action: () => T, { isChange, written }: ChangeOptions<T> = {}): T {
    const before = this.client.supportsInvalidatedEvent ? keyOf(this.frames) : '';
    const result = action();
    if (isChange && !isChange(result)) return result;
    this.forgetFrames();
    this.afterResponse(() => {
      this.sendOutput();
      if (this.client.supportsInvalidatedEvent) {
        const moved = keyOf(this.frames) !== before;
        this.sendEvent(new InvalidatedEvent(moved ? ['stacks', 'variables'] : ['variables']));
      }
      if (!this.client.supportsMemoryEvent) return;
      const own = written?.(result);
      for (const { memoryReference, offset, count } of [
        ...(own ? [own] : []),
        ...this.memory.changes(this.target, own),
      ])
        this.sendEvent(new MemoryEvent(memoryReference, offset, count));
    });
    return result;
  }

  /** Text in the Debug Console, linked to a location in the client's source if there is one. */
  sendText(category: 'console' | 'stdout' | 'stderr' | 'important', text: string, at?: Location): void {
    const event: Dap.OutputEvent = new OutputEvent(text, category);
    if (at) {
      event.body.source = this.client.source(at.file);
      event.body.line = this.client.line(at.line);
      if (at.column !== undefined) event.body.column = this.client.column(at.column);
    }
    this.sendEvent(event);
  }

  /** Where a location of the running image is in the current text. */
  private placeNow({ line, ...at }: Location): Location {
    return { ...at, line: this.client.edited.toCurrent(at.file, line).line };
  }

  /** Of what has just been read: nothing has been edited since. */
  sendDiagnostics(diagnostics: readonly Diagnostic[]): void {
    for (const d of diagnostics) {
      const at = d.span && { file: d.span.file, line: d.span.start.line, column: d.span.start.column };
      this.sendText(d.severity === 'error' ? 'stderr' : 'console', `${formatDiagnostic(d)}\n`, at);
    }
  }

  /** Forwards what the guest and the breakpoints have written since the last call. */
  sendOutput(): void {
    if (!this.launched) return;
    const { target, files } = this.launched;
    for (const { channel, text, location } of joined(target.output.take())) {
      const open = channel === 'log' ? undefined : files.get(channel);
      const why = open?.file.write(outputBytes(text));
      if (open && why === undefined) continue;
      if (open && channel !== 'log') {
        files.delete(channel);
        open.file.close();
        const what = `field \`${channel}\`: the file cannot be written: ${why}; the rest goes to the Debug Console`;
        this.sendDiagnostics([dapDiagnostic('unwritable', what, open.path)]);
      }
      this.sendText(channel === 'log' ? 'console' : 'stdout', text, location && this.placeNow(location));
    }
  }

  /** Without debugging nothing stops: what a stop would explain is printed, and the run continues to its end. */
  private stoppedRunning(stop: StopInfo): void {
    if (!this.launched?.noDebug) return this.sendStopped(stop);
    this.target.run.continue_();
    this.resume();
  }

  sendStopped(stop: StopInfo): void {
    if (stop.problem !== undefined) this.sendText('stderr', `A condition cannot be evaluated. ${stop.problem}\n`);
    const hits = this.breakpoints.clientIds(stop.breakpoints);
    const event: Dap.StoppedEvent = new StoppedEvent(stopReason(stop), THREAD_ID);
    event.body = compact<Dap.StoppedEvent['body']>({
      reason: stopReason(stop),
      description: stop.problem === undefined ? stop.title : 'condition cannot be evaluated',
      text: stop.problem ?? (stopReason(stop) === 'exception' ? stop.title : undefined),
      threadId: THREAD_ID,
      allThreadsStopped: true,
      hitBreakpointIds: hits.length > 0 ? hits : undefined,
    });
    this.sendEvent(event);
  }

  /** Releases the launch's resources; it sends no further events. */
  close(): void {
    this.loop.halt();
    for (const { file } of this.launched?.files.values() ?? []) file.close();
  }

  protected override dispatchRequest(request: Dap.Request): void {
    const response: Dap.Response = new Response(request);
    try {
      if (!isCommand(request.command))
        throw requestError('unknownRequest', `the request ${request.command} is not supported`);
      checkArguments(request.command, request.arguments);
      const body = this.answer(request.command, request.arguments);
      if (body !== undefined) response.body = body;
      this.sendResponse(response);
    } catch (error) {
      this.sendError(response, error);
    }
    for (const action of this.afterwards.splice(0)) this.attempt(action);
  }

  /** Failures after a response are reported in the Debug Console; they end nothing. */
  private attempt(action: () => void): void {
    try {
      action();
    } catch (error) {
      if (error instanceof RequestError) this.sendText('stderr', `${error.message}\n`);
      else this.report(error);
    }
  }

  private answer<C extends Command>(command: C, args: unknown): AllRequests[C]['reply'] {
    return HANDLERS[command](this, args ?? {});
  }

  private sendError(response: Dap.Response, error: unknown): void {
    const known = error instanceof RequestError ? error : this.report(error);
    response.success = false;
    response.message = known.message;
    response.body = { error: { id: known.id, format: escapeFormat(known.message), showUser: known.showUser } };
    this.sendResponse(response);
  }

  /** Reports a bug of ours in the Debug Console, with what is needed to find it. */
  private report(error: unknown): RequestError {
    const details = error instanceof Error ? (error.stack ?? error.message) : String(error);
    this.sendText('stderr', `Internal error in Pagewalk (not in your guest). The session continues.\n${details}\n`);
    return requestError('internal', error instanceof Error ? error.message : String(error));
  }

  private sendEnded(end: EndInfo): void {
    this.sendText('console', `${end.why}\n`);
    this.close();
    this.sendEnd(end.code);
  }
  /** `exited` and `terminated`, once for each launch. */
  sendEnd(code: number): void {
    if (this.terminated || !this.launched) return;
    this.terminated = true;
    this.sendEvent(new ExitedEvent(code));
    this.sendEvent(new TerminatedEvent());
  }

  private sendFailure(error: unknown): void {
    this.failure = this.report(error).message;
    const event: Dap.StoppedEvent = new StoppedEvent('exception', THREAD_ID, this.failure);
    event.body.allThreadsStopped = true;
    this.sendEvent(event);
  }
}

/** What the client shows of a call stack. */
const keyOf = (frames: readonly FrameView[]): string =>
  frames.map((f) => `${f.name} ${f.address} ${f.location?.line} ${f.document?.line}`).join('\n');

/**
 * One text for consecutive outputs of the same kind and location: a log point in a loop writes thousands between two
 * slices.
 */
function joined(outputs: readonly Output[]): Output[] {
  const runs: { readonly first: Output; readonly texts: string[] }[] = [];
  for (const each of outputs) {
    const { channel, location } = each;
    const text = channel === 'log' && !each.text.endsWith('\n') ? `${each.text}\n` : each.text;
    const last = runs.at(-1);
    const same = last?.first.channel === channel && last.first.location?.file === location?.file;
    if (last && same && last.first.location?.line === location?.line) last.texts.push(text);
    else runs.push({ first: each, texts: [text] });
  }
  return runs.map(({ first, texts }) => ({ ...first, text: texts.join('') }));
}

/** DAP error formats expand placeholders in braces; our texts are final. */
function escapeFormat(text: string): string {
  return text.replace(/\{/g, '(').replace(/\}/g, ')');
}

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
