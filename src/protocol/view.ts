/** Messages between the extension and its Translation view (the browser side), JSON-safe both ways. */
import type { Space } from '../base/address';
import type { TranslateReply } from './messages';

export type ViewState =
  /** No session: the view says what to do. */
  | { readonly kind: 'idle' }
  /** The guest runs: the last chain stays, marked as past. */
  | { readonly kind: 'running' }
  /** Stopped, nothing asked yet. */
  | { readonly kind: 'ready' }
  | { readonly kind: 'translation'; readonly asked: string; readonly reply: TranslateReply }
  /** What was typed is no address: said beside the box, the last chain stays. */
  | { readonly kind: 'error'; readonly asked: string; readonly message: string };

export type ToView =
  | { readonly kind: 'state'; readonly state: ViewState }
  /** The setting `pagewalk.translation.followCursor`, at the start and whenever it changes. */
  | { readonly kind: 'follow'; readonly on: boolean }
  | { readonly kind: 'focus' };

export type FromView =
  | { readonly kind: 'loaded' }
  | { readonly kind: 'translate'; readonly expression: string; readonly space: Space; readonly access: 'r' | 'w' | 'x' }
  | { readonly kind: 'follow'; readonly on: boolean }
  | { readonly kind: 'debug' };
