/** The debug session that the views show: its state, and typed custom requests to its adapter. */
import * as vscode from 'vscode';
import type { MachineEvent, ProblemsEvent, RequestName, Requests } from '../protocol/messages';
import type { Moment, Standing } from '../protocol/panels';
import { DEBUG_TYPE } from './configuration';

/** The DAP messages that change what the views show. */
interface AdapterMessage {
  readonly type?: string;
  readonly event?: string;
  readonly command?: string;
  readonly success?: boolean;
  readonly body?: unknown;
}

const RESUMING = new Set(['continue', 'next', 'stepIn', 'stepOut', 'stepBack', 'reverseContinue', 'goto', 'restart']);
const EDITING = new Set(['setVariable', 'setExpression', 'writeMemory']);

interface Launch {
  readonly session: vscode.DebugSession;
  readonly machine: MachineEvent;
}

/**
 * Follows every Pagewalk session through its messages, and exposes the active one. `onDidChange` fires when another
 * session becomes active, at stops and resumptions, and when the user edited a value or the adapter reports changed
 * values.
 */
export class SessionTracker implements vscode.DebugAdapterTrackerFactory, vscode.Disposable {
  private readonly standings = new Map<string, Standing>();
  /** How each session's guest memory is virtualized. */
  private readonly machines = new Map<string, MachineEvent['mmu']>();
  private readonly changed = new vscode.EventEmitter<void>();
  private readonly problems = new vscode.EventEmitter<ProblemsEvent>();
  private readonly launches = new vscode.EventEmitter<Launch>();
  private readonly stops = new Map<string, number>();
  /** Counts what changed a machine, or which machine is shown. */
  private moments = 0;
  private shownMmu: MachineEvent['mmu'] | undefined;
  private readonly subscriptions: vscode.Disposable[];
  readonly onDidChange = this.changed.event;
  /** A guest was launched or refused: what is wrong with it. */
  readonly onDidReportProblems = this.problems.event;
  /** A guest is ready: at its first start, or at a restart. */
  readonly onDidLaunch = this.launches.event;

  constructor() {
    this.subscriptions = [
      this.changed,
      this.problems,
      this.launches,
      vscode.debug.registerDebugAdapterTrackerFactory(DEBUG_TYPE, this),
      vscode.debug.onDidChangeActiveDebugSession(() => {
        this.tellMmu();
        this.machineChanged();
      }),
      vscode.debug.onDidChangeActiveStackItem(() => this.changed.fire()),
      vscode.debug.onDidTerminateDebugSession((session) => {
        this.machines.delete(session.id);
        this.set(session.id, undefined);
      }),
    ];
  }

  dispose(): void {
    for (const each of this.subscriptions) each.dispose();
  }

  /** The active session, if it is one of ours. */
  get session(): vscode.DebugSession | undefined {
    const session = vscode.debug.activeDebugSession;
    return session?.type === DEBUG_TYPE ? session : undefined;
  }

  get standing(): Standing {
    const { session } = this;
    return session ? (this.standings.get(session.id) ?? 'running') : 'none';
  }

  get moment(): Moment {
    const { standing, frameId } = this;
    const id = this.session?.id ?? '';
    const stop = this.stops.get(id) ?? 0;
    return { standing, number: this.moments, session: id, stop, ...(frameId === undefined ? {} : { frameId }) };
  }

  /** How the memory of the guest shown now, or last, is virtualized. */
  get mmu(): MachineEvent['mmu'] | undefined {
    return this.shownMmu;
  }

  /** The frame that the Call Stack view has selected. */
  get frameId(): number | undefined {
    const item = vscode.debug.activeStackItem;
    return item instanceof vscode.DebugStackFrame && item.session.id === this.session?.id ? item.frameId : undefined;
  }

  /** Sends a request to the adapter. Rejects with the adapter's message: bad user input, or no stopped session. */
  async request<N extends RequestName>(name: N, args: Requests[N]['arguments']): Promise<Requests[N]['reply']> {
    const { session } = this;
    if (!session || this.standing !== 'stopped') throw new Error('No guest is stopped.');
    return (await session.customRequest(name, args)) as Requests[N]['reply'];
  }

  /**
   * What is wrong with a function breakpoint, for the current guest, running or not; undefined if there is none, or
   * nothing is wrong.
   */
  async problemOf(args: Requests['pagewalk/checkBreakpoint']['arguments']): Promise<string | undefined> {
    const { session } = this;
    if (!session || this.standing === 'none') return undefined;
    const reply: unknown = await session.customRequest('pagewalk/checkBreakpoint', args);
    return (reply as Requests['pagewalk/checkBreakpoint']['reply']).problem ?? undefined;
  }

  createDebugAdapterTracker(session: vscode.DebugSession): vscode.DebugAdapterTracker {
    return {
      // Resumed from the request on: the adapter's next `stopped` event may come before its response.
      onWillReceiveMessage: ({ command = '' }: AdapterMessage) => {
        if (RESUMING.has(command)) this.set(session.id, 'running');
      },
      onDidSendMessage: (message: AdapterMessage) => this.follow(session, message),
      onExit: () => this.set(session.id, undefined),
    };
  }

  private follow(session: vscode.DebugSession, { type, event, command = '', success, body }: AdapterMessage): void {
    const { id } = session;
    if (type === 'event') {
      if (event === 'stopped') {
        this.stops.set(id, (this.stops.get(id) ?? 0) + 1);
        this.set(id, 'stopped');
      } else if (event === 'continued') this.set(id, 'running');
      else if (event === 'terminated' || event === 'exited') this.set(id, undefined);
      else if (event === 'pagewalk/machine') {
        const machine = body as MachineEvent;
        this.machines.set(id, machine.mmu);
        this.launches.fire({ session, machine });
        this.tellMmu();
      } else if (event === 'pagewalk/problems') this.problems.fire(body as ProblemsEvent);
      else if (event === 'invalidated' || event === 'memory') this.machineChanged();
    } else if (type === 'response' && !success) {
      if (RESUMING.has(command)) this.set(id, 'stopped');
    } else if (type === 'response') {
      if (EDITING.has(command)) this.machineChanged();
    }
  }

  /** Views that only one method has are shown by the context key `pagewalk.mmu`; after the session's end they stay as they were. */
  private tellMmu(): void {
    const mmu = this.machines.get(this.session?.id ?? '');
    if (mmu === undefined || this.shownMmu === mmu) return;
    this.shownMmu = mmu;
    void vscode.commands.executeCommand('setContext', 'pagewalk.mmu', mmu);
    this.changed.fire();
  }

  private set(id: string, standing: Standing | undefined): void {
    if (standing === undefined) {
      this.standings.delete(id);
      this.stops.delete(id);
    } else this.standings.set(id, standing);
    if (standing === 'stopped') this.machineChanged();
    else this.changed.fire();
  }

  private machineChanged(): void {
    this.moments++;
    this.changed.fire();
  }
}
