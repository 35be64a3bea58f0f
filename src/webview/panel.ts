/** What a panel is. A new one copies panels/statistics and is named in registry.ts; README.md in this folder says the rest. */
import type { RequestName, Requests } from '../protocol/messages';
import type { Compared } from './since';
import type { Action, Cursor, Moment, PanelCommand, PanelId, PanelSettings } from '../protocol/panels';

export interface PanelDefinition {
  readonly id: PanelId;
  /** Said where there is nothing to show yet: what the panel shows, and how to get there. */
  readonly empty: readonly string[];
  /** Whether the panel evaluates in the selected stack frame: then another frame is another moment to it. */
  readonly usesFrame?: boolean;
  create(context: PanelContext): Panel;
}

export interface Panel {
  readonly element: HTMLElement;
  /**
   * The moment changed, or the panel was just created: ask (`context.request`) for what is shown now, and draw it. Called only
   * while the panel can be seen. After the session's end and after a reload the same requests get the replies that were recorded.
   */
  update(): Promise<void>;
  /** Where the keyboard goes when the panel is brought to the front; default: the first thing that can be focused. */
  focus?(): void;
  command?(command: PanelCommand): void;
  cursor?(cursor: Cursor): void;
  settings?(settings: PanelSettings): void;
}

export interface PanelContext {
  /**
   * Asks the debug adapter, through the extension. Rejects with the adapter's message for a reader; with `Superseded` where the
   * moment changed meanwhile: the answer is of no use, and `run` and `update` drop it silently.
   */
  request<N extends RequestName>(name: N, args: Requests[N]['arguments']): Promise<Requests[N]['reply']>;
  /** Has the extension do something outside the panel. */
  act(action: Action): void;
  /** Runs an event handler's work: what it rejects with is shown below the panel's head. */
  run(work: () => Promise<void>): void;
  /** What the panel keeps over reload: plain JSON, small. */
  kept<T>(): T | undefined;
  keep(state: unknown): void;
  /**
   * Remembers what is seen now (plain JSON) and gives what was seen at the stop before, or at the last one that was looked at. To
   * be called at each update; over a reload and after the end it is compared as it was.
   */
  compare<T>(now: T): Compared<T>;
  /** Says a sentence to screen readers, politely. */
  announce(text: string): void;
  readonly moment: Moment;
  readonly settings: PanelSettings;
  /** Whether the panel stands in an editor tab (room to the sides) or in the side bar. */
  readonly place: 'editor' | 'sidebar';
}

/** The machine moved on before the answer came. */
export class Superseded extends Error {}

/** Neither the machine can be asked now nor was the answer recorded. */
export class NotRecorded extends Error {
  constructor() {
    super('This was not opened while the guest was stopped.');
  }
}
