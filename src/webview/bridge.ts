/** The panel's end of the messages: requests with their answers, and VS Code's store for what survives a reload. */
import type { RequestName, Requests } from '../protocol/messages';
import type { FromPanel, ToPanel } from '../protocol/panels';
import type { Remembered } from './recall';
import type { Sightings } from './since';

/**
 * Everything that VS Code stores for one view: the panel's own state, the replies of the last moment, and the
 * baseline for comparisons.
 */
export interface Stored {
  readonly panel?: unknown;
  readonly recall?: Remembered;
  readonly sightings?: Sightings | undefined;
}

declare function acquireVsCodeApi(): {
  postMessage(message: FromPanel): void;
  getState(): Stored | undefined;
  setState(state: Stored): void;
};

interface Waiting {
  readonly resolve: (body: unknown) => void;
  readonly reject: (why: Error) => void;
}

/** Replies arrive in a burst at each stop: they are stored when it is over. */
const STORE_AFTER_MS = 200;

export class Bridge {
  private readonly api = acquireVsCodeApi();
  private readonly waiting = new Map<number, Waiting>();
  private lastId = 0;
  private timer: ReturnType<typeof setTimeout> | undefined;

  /** `receive` gets every message except replies. */
  constructor(receive: (message: Exclude<ToPanel, { kind: 'reply' | 'refused' }>) => void) {
    window.addEventListener('message', ({ data }: MessageEvent<ToPanel>) => {
      switch (data.kind) {
        case 'reply':
          return this.take(data.id)?.resolve(data.body);
        case 'refused':
          return this.take(data.id)?.reject(new Error(data.message));
        default:
          receive(data);
      }
    });
  }

  get stored(): Stored {
    return this.api.getState() ?? {};
  }

  /** Stores the result of `state` shortly afterwards, or at the latest when the page closes. */
  store(state: () => Stored): void {
    clearTimeout(this.timer);
    const now = (): void => this.api.setState(state());
    this.timer = setTimeout(now, STORE_AFTER_MS);
    window.onpagehide = now;
  }

  post(message: FromPanel): void {
    this.api.postMessage(message);
  }

  ask<N extends RequestName>(name: N, args: Requests[N]['arguments']): Promise<Requests[N]['reply']> {
    const id = ++this.lastId;
    return new Promise((resolve, reject) => {
      this.waiting.set(id, { resolve: resolve as (body: unknown) => void, reject });
      this.post({ kind: 'request', id, name, arguments: args } as FromPanel);
    });
  }

  private take(id: number): Waiting | undefined {
    const found = this.waiting.get(id);
    this.waiting.delete(id);
    return found;
  }
}
