/** initialize, launch, configurationDone, restart, terminate, disconnect. */
import { BreakpointEvent, Event, InitializedEvent, TerminatedEvent } from '@vscode/debugadapter';
import type { MachineEvent } from '../protocol/messages';
import type { Adapter } from './adapter';
import { CAPABILITIES } from './capabilities';
import { launchError } from './errors';
import type { LaunchFields } from './launch';
import { launch } from './launch';
import type { Handlers } from './requests';

/** Launches into the adapter's state. What is wrong is told twice: as the error of the request, and linked in the Debug Console. */
function launchInto(adapter: Adapter, fields: LaunchFields): void {
  const launched = launch(fields, adapter.host);
  if (!launched.ok) {
    adapter.sendDiagnostics(launched.error);
    throw launchError(launched.error);
  }
  adapter.close();
  adapter.fields = fields;
  adapter.launched = launched.value;
  adapter.failure = undefined;
  adapter.references.clear();
  adapter.sendDiagnostics(launched.value.diagnostics);
  const machine: MachineEvent = { mmu: launched.value.target.program.settings.mmu };
  adapter.afterResponse(() => adapter.sendEvent(new Event('pagewalk/machine', machine)));
}

/** From the entry on: stopped there, or running. */
function begin(adapter: Adapter): void {
  const { target } = adapter;
  const stop = target.stopped;
  if (adapter.launched?.stopOnEntry && !adapter.launched.noDebug && stop) {
    adapter.sendStopped(stop);
    return;
  }
  target.continue_();
  adapter.resume();
}

export const lifecycleRequests: Handlers<
  'initialize' | 'launch' | 'configurationDone' | 'restart' | 'terminate' | 'disconnect'
> = {
  initialize(adapter, args) {
    adapter.client.initialize(args);
    return CAPABILITIES;
  },

  /** `initialized` comes only now: source breakpoints are settled against the assembled guest. */
  launch(adapter, fields) {
    launchInto(adapter, fields);
    adapter.afterResponse(() => adapter.sendEvent(new InitializedEvent()));
  },

  configurationDone(adapter) {
    adapter.afterResponse(() => begin(adapter));
  },

  /** The guest is read and assembled anew. Where that fails the old one stays as it is. */
  restart(adapter, args) {
    launchInto(adapter, args.arguments ?? adapter.fields ?? {});
    // The client does not send its breakpoints again; they may lie elsewhere in the edited source.
    for (const each of adapter.breakpoints.applyTo(adapter.target, adapter.client)) {
      adapter.afterResponse(() => adapter.sendEvent(new BreakpointEvent('changed', each)));
    }
    adapter.afterResponse(() => begin(adapter));
  },

  terminate(adapter) {
    adapter.close();
    adapter.afterResponse(() => adapter.sendEvent(new TerminatedEvent()));
  },

  disconnect(adapter) {
    adapter.close();
    adapter.afterResponse(() => adapter.shutdown());
  },
};
