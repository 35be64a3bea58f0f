/**
 * Messages between a panel (browser code, src/webview) and the extension: two discriminated unions, JSON-safe both
 * ways. A
 * panel requests its data itself through the adapter's custom requests (messages.ts); the extension forwards them and
 * returns the replies.
 */
import type { Space } from '../../base/address';
import type { RequestName, Requests } from '../messages';
import type { Hex } from '../translation';
import type { TableSet } from './page-tables';

/** The panels, in side-bar order. `view` is the id of the view, and of the editor tab's type. */
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

/** The state of the debug session. A panel always shows a single moment. */
export interface Moment {
  readonly standing: Standing;
  /**
   * Counts what changed the machine: stops and edits by hand. When it differs, everything must be requested again.
   * Requests that compare with the previous moment carry it.
   */
  readonly number: number;
  /** Which session, and how often it has stopped: edits by hand belong to the stop at which they are made. */
  readonly session: string;
  readonly stop: number;
  /** The frame that the Call Stack view has selected: expressions are evaluated in it. */
  readonly frameId?: number;
}

/** The user's settings that affect panels. */
export interface PanelSettings {
  /** `pagewalk.panels.updateAtStop`: whether this panel refreshes automatically at each stop. */
  readonly updateAtStop: boolean;
  /** `pagewalk.translation.followCursor`. */
  readonly followCursor: boolean;
}

/** The source line under the cursor, and the 1-based columns to look at, likeliest first. */
export interface Cursor {
  readonly lineText: string;
  readonly columns: readonly number[];
  readonly path: string;
  readonly line: number;
}

/** What a tree node, a command or another panel asks this panel to show. */
export type PanelCommand =
  | { readonly kind: 'focus' }
  | { readonly kind: 'reveal-entry'; readonly set: TableSet; readonly address: Hex }
  | {
      readonly kind: 'translate';
      readonly expression: string;
      readonly space: Space;
      readonly access: 'r' | 'w' | 'x';
    };

/** What a panel asks the extension to do. */
export type Action =
  /** F5 on the open file, as offered by empty states. */
  | { readonly kind: 'debug' }
  | { readonly kind: 'copy'; readonly text: string }
  /** `keepFocus`: keyboard focus stays in the panel. */
  | { readonly kind: 'open-source'; readonly path: string; readonly line: number; readonly keepFocus?: true }
  /** VS Code's memory view (the Hex Editor extension) at an address. */
  | { readonly kind: 'open-memory'; readonly space: Space; readonly address: Hex }
  | { readonly kind: 'open-panel'; readonly panel: PanelId; readonly command?: PanelCommand }
  /** A file for the user to save: the extension asks where. */
  | { readonly kind: 'save'; readonly name: string; readonly text: string }
  | { readonly kind: 'follow-cursor'; readonly on: boolean };

export type ToPanel =
  | { readonly kind: 'moment'; readonly moment: Moment }
  | { readonly kind: 'settings'; readonly settings: PanelSettings }
  | { readonly kind: 'reply'; readonly id: number; readonly body: unknown }
  | { readonly kind: 'refused'; readonly id: number; readonly message: string }
  | { readonly kind: 'cursor'; readonly cursor: Cursor }
  | { readonly kind: 'command'; readonly command: PanelCommand };

/** A request to the debug adapter, forwarded by the extension. */
export type PanelRequest = {
  [N in RequestName]: {
    readonly kind: 'request';
    readonly id: number;
    readonly name: N;
    readonly arguments: Requests[N]['arguments'];
  };
}[RequestName];

export type FromPanel = { readonly kind: 'loaded' } | PanelRequest | { readonly kind: 'act'; readonly action: Action };
