/**
 * The replies of the last moment, so a panel can be drawn again after a reload and viewed while the guest is running
 * or gone. Bounded: the oldest are dropped first.
 */
export interface Remembered {
  readonly moment: number;
  readonly replies: readonly (readonly [key: string, reply: unknown])[];
}

/** Characters of JSON kept in all. */
const LIMIT = 400_000;

/** The numbers of the frame and the moment are of one stop; the question is the same without them. */
export const keyOf = (name: string, args: object): string =>
  `${name} ${JSON.stringify({ ...args, frameId: undefined, moment: undefined })}`;

export class Recall {
  private readonly replies = new Map<string, string>();
  private size = 0;
  private moment: number;

  constructor(remembered: Remembered | undefined) {
    this.moment = remembered?.moment ?? -1;
    for (const [key, reply] of remembered?.replies ?? []) this.put(key, reply);
  }

  get isEmpty(): boolean {
    return this.replies.size === 0;
  }

  /** Remembers a reply; the first of a new moment drops the older ones. */
  add(moment: number, key: string, reply: unknown): void {
    if (moment !== this.moment) {
      this.replies.clear();
      this.size = 0;
      this.moment = moment;
    }
    this.put(key, reply);
  }

  find(key: string): { readonly reply: unknown } | undefined {
    const text = this.replies.get(key);
    return text === undefined ? undefined : { reply: JSON.parse(text) as unknown };
  }

  save(): Remembered {
    return {
      moment: this.moment,
      replies: [...this.replies].map(([key, text]) => [key, JSON.parse(text) as unknown] as const),
    };
  }

  private put(key: string, reply: unknown): void {
    const text = JSON.stringify(reply);
    this.size += text.length - (this.replies.get(key)?.length ?? 0);
    this.replies.delete(key);
    this.replies.set(key, text);
    for (const [oldest, { length }] of this.replies) {
      if (this.size <= LIMIT) break;
      this.replies.delete(oldest);
      this.size -= length;
    }
  }
}
