/** The panel interface. To add one, copy panels/statistics and name it in registry.ts; see README.md in this folder. */
import type { RequestName, Requests } from '../protocol/messages';
import type { Compared } from './since';
import type { Action, Cursor, Moment, PanelCommand, PanelId, PanelSettings } from '../protocol/panels';

export interface PanelDefinition {
  readonly id: PanelId;
  /** Shown when there is no data yet: what the panel shows, and how to get there. */
  readonly empty: readonly string[];
  /** Whether the panel evaluates in the selected stack frame: then another frame is another moment to it. */
  readonly usesFrame?: boolean;
  create(context: PanelContext): Panel;
}

export interface Panel {
  readonly element: HTMLElement;
  /**
   * The moment changed, or the panel was just created: request (`context.request`) what is shown now, and draw it.
   * Called only while the panel is visible. After the session's end and after a reload the same requests get the
   * recorded replies.
   */
  update(): Promise<void>;
  /** Where keyboard focus goes when the panel is brought to the front; default: the first focusable element. */
  focus?(): void;
  command?(command: PanelCommand): void;
  cursor?(cursor: Cursor): void;
  settings?(settings: PanelSettings): void;
}

export interface PanelContext {
  /**
   * Sends a request to the debug adapter, through the extension. Rejects with the adapter's message for the user, or
   * with `Superseded` if the moment changed meanwhile: the answer is obsolete, and `run` and `update` drop it
   * silently.
   */
  request<N extends RequestName>(name: N, args: Requests[N]['arguments']): Promise<Requests[N]['reply']>;
  /** Has the extension do something outside the panel. */
  act(action: Action): void;
  /** Runs an event handler's work: a rejection is shown below the panel's head. */
  run(work: () => Promise<void>): void;
  /** What the panel keeps over reload: plain JSON, small. */
  kept<T>(): T | undefined;
  keep(state: unknown): void;
  /**
   * Remembers what is shown now (plain JSON) and returns what was shown at the previous stop, or at the last one that
   * was viewed. Call it at each update; over a reload and after the end it is compared as it was.
   */
  compare<T>(now: T): Compared<T>;
  /** Announces a sentence to screen readers, politely. */
  announce(text: string): void;
  readonly moment: Moment;
  readonly settings: PanelSettings;
  /** Whether the panel stands in an editor tab (room to the sides) or in the side bar. */
  readonly place: 'editor' | 'sidebar';
}

/** The machine moved on before the answer came. */
export class Superseded extends Error {}

/** The machine is unavailable now, and the answer was not recorded. */
export class NotRecorded extends Error {
  constructor() {
    super('This was not opened while the guest was stopped.');
  }
}
