import type { DebugProtocol as Dap } from '@vscode/debugprotocol';
import { hex } from '../base/hex';
import type { DebugTarget } from '../session/api';
import type { BreakpointView } from '../session/types';
import type { ClientView } from './client';
import { compact } from './compact';

/** Sets one set of breakpoints in a target; answers in the order of the request. */
export type ApplySet = (target: DebugTarget) => readonly BreakpointView[];

interface BreakpointSet {
  readonly apply: ApplySet;
  /** The client's ids, in the order of the request. */
  readonly ids: readonly number[];
}

const NOT_DEBUGGING: BreakpointView = {
  id: 0,
  verified: false,
  message: 'the guest is running without debugging (`noDebug`): nothing stops it',
};

/**
 * The breakpoints requested by the client, kept so they can be set again in a new target after a restart. The client
 * knows each by an id that outlives the target; the target's own ids are looked up when a stop names them.
 */
export class BreakpointSets {
  private readonly sets = new Map<string, BreakpointSet>();
  private readonly clientId = new Map<number, number>();
  private next = 1;
  /** Without debugging none is set in the target. */
  enabled = true;

  /** Replaces the set called `key` (`source <file>`, `functions`, …) by one of `count`. */
  replace(key: string, count: number, apply: ApplySet, target: DebugTarget, client: ClientView): Dap.Breakpoint[] {
    const views = this.enabled ? apply(target) : Array.from({ length: count }, () => NOT_DEBUGGING);
    const ids = views.map(() => this.next++);
    this.sets.set(key, { apply, ids });
    return this.tell(views, ids, client);
  }

  /** Sets all of them in a new target. */
  applyTo(target: DebugTarget, client: ClientView): Dap.Breakpoint[] {
    this.clientId.clear();
    if (!this.enabled) return [];
    return [...this.sets.values()].flatMap(({ apply, ids }) => this.tell(apply(target), ids, client));
  }

  clientIds(ids: readonly number[]): number[] {
    return ids.map((id) => this.clientId.get(id)).filter((id) => id !== undefined);
  }

  private tell(views: readonly BreakpointView[], ids: readonly number[], client: ClientView): Dap.Breakpoint[] {
    return views.map((view, i) => {
      const id = ids[i];
      if (id !== undefined) this.clientId.set(view.id, id);
      const { location } = view;
      return compact<Dap.Breakpoint>({
        id,
        verified: view.verified,
        message: view.message,
        source: location && client.source(location.file),
        line: location && client.lineIn(location.file, location.line),
        instructionReference: view.address === undefined ? undefined : hex(view.address),
      });
    });
  }
}
