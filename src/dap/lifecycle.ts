/** initialize, launch, configurationDone, restart, terminate, disconnect. */
import { BreakpointEvent, Event, InitializedEvent } from '@vscode/debugadapter';
import type { Diagnostic } from '../base/diagnostic';
import type { MachineEvent, Problem, ProblemsEvent } from '../protocol/messages';
import { REPORTS_PROBLEMS } from '../protocol/messages';
import { capabilities } from './capabilities';
import type { AdapterContext } from './context';
import { launchError, requestError } from './errors';
import type { LaunchFields } from './launch';
import { LAUNCH_CONFIGURATION, launch, methodOf } from './launch';
import type { Handlers } from './requests';

/** The exit code of a guest that its user ends: that of a program ended by SIGTERM, as in a shell. */
const TERMINATED = 143;

/** More problems than this are counted, not sent. */
const MAX_PROBLEMS = 500;

function problemOf({ severity, code, message, file, span }: Diagnostic): Problem {
  if (!span) return { severity, code, message, ...(file === LAUNCH_CONFIGURATION ? {} : { path: file }) };
  const { start, end } = span;
  const range = { line: start.line, column: start.column, endLine: end.line, endColumn: end.column };
  return { severity, code, message, path: span.file, range };
}

function sendProblems(adapter: AdapterContext, diagnostics: readonly Diagnostic[], launched: boolean): void {
  const errors = diagnostics.filter(({ severity }) => severity === 'error').length;
  const body: ProblemsEvent = { problems: diagnostics.slice(0, MAX_PROBLEMS).map(problemOf), errors, launched };
  adapter.sendEvent(new Event('pagewalk/problems', body));
}

/**
 * Launches into the adapter's state. Errors are reported as the error of the request, linked in the Debug Console,
 * and as data for a client that shows them in its own way: such a client gets no dialog.
 */
function launchInto(adapter: AdapterContext, fields: LaunchFields): void {
  admit(adapter, fields['secret']);
  const launched = launch(fields, adapter.host);
  const reportsItself = fields[REPORTS_PROBLEMS] === true;
  if (!launched.ok) {
    adapter.sendDiagnostics(launched.error);
    if (reportsItself) sendProblems(adapter, launched.error, false);
    throw launchError(launched.error, !reportsItself);
  }
  if (reportsItself) sendProblems(adapter, launched.value.diagnostics, true);
  adapter.adopt(launched.value, fields);
  adapter.sendDiagnostics(launched.value.diagnostics);
  const { mmu } = launched.value.target.program.settings;
  const files = adapter.client.edited.files.map((file) => adapter.client.source(file).path ?? file);
  const assembled = launched.value.sources.has(launched.value.program);
  const machine: MachineEvent = { mmu, files, assembled };
  adapter.afterResponse(() => adapter.sendEvent(new Event('pagewalk/machine', machine)));
}

/** Nothing works before a launch: a client that does not know the secret is refused there, without a second try. */
function admit(adapter: AdapterContext, secret: unknown): void {
  const { knowsSecret } = adapter.host;
  if (!knowsSecret || (typeof secret === 'string' && knowsSecret(secret))) return;
  adapter.afterResponse(() => adapter.shutdown());
  const message = `field \`secret\`${secret === undefined ? ' is missing' : ''}: this adapter serves only clients that know its secret; write the first line of its \`--secret\` file there`;
  throw requestError('badSecret', message, true);
}

/** From the entry on: stopped there, or running. */
function begin(adapter: AdapterContext): void {
  const { target } = adapter;
  const stop = target.run.stopped;
  if (adapter.launched?.stopOnEntry && !adapter.launched.noDebug && stop) {
    adapter.sendStopped(stop);
    return;
  }
  target.run.continue_();
  adapter.resume();
}

export const lifecycleRequests: Handlers<
  'initialize' | 'launch' | 'configurationDone' | 'restart' | 'terminate' | 'disconnect'
> = {
  initialize(adapter, args) {
    adapter.client.initialize(args);
    return capabilities(adapter.expected && methodOf(adapter.expected, adapter.host));
  },

  /** `initialized` is sent only now: source breakpoints are resolved against the assembled guest. */
  launch(adapter, fields) {
    launchInto(adapter, fields);
    adapter.afterResponse(() => adapter.sendEvent(new InitializedEvent()));
  },

  configurationDone(adapter) {
    // whatever is wrong is this request's error; after its response nobody would hear of it
    if (adapter.target.run.ended) throw requestError('ended', 'the guest has ended');
    if (adapter.begun)
      throw requestError('alreadyRunning', 'the session has begun already; configurationDone is sent once');
    adapter.begun = true;
    adapter.afterResponse(() => begin(adapter));
  },

  /** Reads and assembles the guest again. If that fails, the old one stays as it is. */
  restart(adapter, args) {
    launchInto(adapter, args.arguments ?? adapter.fields ?? {});
    // The client does not send its breakpoints again; they may lie elsewhere in the edited source.
    for (const each of adapter.breakpoints.applyTo(adapter.target, adapter.client)) {
      adapter.afterResponse(() => adapter.sendEvent(new BreakpointEvent('changed', each)));
    }
    adapter.begun = true;
    adapter.afterResponse(() => begin(adapter));
  },

  terminate(adapter) {
    adapter.close();
    adapter.afterResponse(() => adapter.sendEnd(TERMINATED));
  },

  disconnect(adapter) {
    adapter.close();
    adapter.afterResponse(() => {
      adapter.sendEnd(TERMINATED);
      adapter.shutdown();
    });
  },
};
