import type { Activity } from '../exits/activity';

/** Editors keep what they once fetched under an id: each state of a text gets an id of its own, and old ones are forgotten in time. */
const KEPT = 64;

export class Documents {
  private readonly texts = new Map<number, string>();
  private next = 1;
  private last: { readonly activity: Activity; readonly steps: number; readonly id: number } | undefined;

  /** The id of the activity's text as it is now. */
  of(activity: Activity): number {
    if (this.last?.activity === activity && this.last.steps === activity.steps) return this.last.id;
    const id = this.next++;
    this.texts.set(id, activity.text());
    this.texts.delete(id - KEPT);
    this.last = { activity, steps: activity.steps, id };
    return id;
  }
  text(id: number): string | undefined {
    return this.texts.get(id);
  }
}
