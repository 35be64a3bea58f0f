/**
 * What a panel (browser code, src/webview) and the extension say to each other: two discriminated unions, JSON-safe both ways. A
 * panel asks for its data itself, by the adapter's custom requests (messages.ts); the extension hands them on and answers.
 */
import type { Space } from '../../base/address';
import type { RequestName, Requests } from '../messages';
import type { Hex } from '../translation';
import type { TableSet } from './page-tables';

/** The panels, in the order of the side bar. `view` is the id of the view, and of the editor tab's type. */
export const PANELS = [
  { id: 'translation', title: 'Translation', view: 'pagewalk.translation' },
  { id: 'page-tables', title: 'Page Tables', view: 'pagewalk.pageTables' },
  { id: 'statistics', title: 'KVM Statistics', view: 'pagewalk.statistics' },
  { id: 'tlb', title: 'TLB', view: 'pagewalk.tlb' },
  { id: 'vmcs', title: 'VMCS / VMCB', view: 'pagewalk.vmcs' },
  { id: 'memoryMap', title: 'Memory Map', view: 'pagewalk.memoryMap' },
  { id: 'exits', title: 'VM Exits', view: 'pagewalk.exits' },
  { id: 'compare', title: 'Compare', view: 'pagewalk.compare' },
] as const;
export type PanelId = (typeof PANELS)[number]['id'];

export type Standing = 'none' | 'running' | 'stopped';

/** Where the debug session stands. What a panel shows is of one moment. */
export interface Moment {
  readonly standing: Standing;
  /** Counts what changed the machine: stops, edits by hand. Another number: everything is to be asked again. Requests that compare with the moment before carry it. */
  readonly number: number;
  /** Which session, and how often it has stopped: edits by hand belong to the stop at which they are made. */
  readonly session: string;
  readonly stop: number;
  /** The frame that the Call Stack view has selected: expressions are evaluated in it. */
  readonly frameId?: number;
}

/** The user's settings that panels heed. */
export interface PanelSettings {
  /** `pagewalk.panels.updateAtStop`: whether this panel asks again at each stop by itself. */
  readonly updateAtStop: boolean;
  /** `pagewalk.translation.followCursor`. */
  readonly followCursor: boolean;
}

/** The line under the cursor of a guest's source, and the 1-based columns to look at, the likeliest first. */
export interface Cursor {
  readonly lineText: string;
  readonly columns: readonly number[];
  readonly path: string;
  readonly line: number;
}

/** What another place (a tree node, a command, another panel) wants a panel to show. */
export type PanelCommand =
  | { readonly kind: 'focus' }
  | { readonly kind: 'reveal-entry'; readonly set: TableSet; readonly address: Hex }
  | {
      readonly kind: 'translate';
      readonly expression: string;
      readonly space: Space;
      readonly access: 'r' | 'w' | 'x';
    };

/** What a panel wants done outside itself. */
export type Action =
  /** F5 on the open file: what empty states offer. */
  | { readonly kind: 'debug' }
  | { readonly kind: 'copy'; readonly text: string }
  /** `keepFocus`: the keyboard stays in the panel. */
  | { readonly kind: 'open-source'; readonly path: string; readonly line: number; readonly keepFocus?: true }
  /** VS Code's memory view (the Hex Editor extension) at an address. */
  | { readonly kind: 'open-memory'; readonly space: Space; readonly address: Hex }
  | { readonly kind: 'open-panel'; readonly panel: PanelId; readonly command?: PanelCommand }
  /** A file for the user to keep: the extension asks where. */
  | { readonly kind: 'save'; readonly name: string; readonly text: string }
  | { readonly kind: 'follow-cursor'; readonly on: boolean };

export type ToPanel =
  | { readonly kind: 'moment'; readonly moment: Moment }
  | { readonly kind: 'settings'; readonly settings: PanelSettings }
  | { readonly kind: 'reply'; readonly id: number; readonly body: unknown }
  | { readonly kind: 'refused'; readonly id: number; readonly message: string }
  | { readonly kind: 'cursor'; readonly cursor: Cursor }
  | { readonly kind: 'command'; readonly command: PanelCommand };

/** A request to the debug adapter, on its way through the extension. */
export type PanelRequest = {
  [N in RequestName]: {
    readonly kind: 'request';
    readonly id: number;
    readonly name: N;
    readonly arguments: Requests[N]['arguments'];
  };
}[RequestName];

export type FromPanel = { readonly kind: 'loaded' } | PanelRequest | { readonly kind: 'act'; readonly action: Action };
