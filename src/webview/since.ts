/** What a panel saw at an earlier stop, for it to compare with: the stop before, or the last one at which it was looked at. */
import type { Moment } from '../protocol/panels';

interface Seen {
  readonly stop: number;
  readonly value: unknown;
}

/** What is kept of one panel: the values of the stop that is shown, and of the one before. */
export interface Sightings {
  readonly session: string;
  readonly now: Seen;
  readonly before?: Seen;
}

/** What stands now beside what stood then. */
export interface Compared<T> {
  /** undefined: it is the first look at this session. */
  readonly before: T | undefined;
  /** Completes `Since …`. */
  readonly since: string;
}

/** An edit by hand belongs to the stop at which it is made; another session has nothing to be compared with. */
export function sight(kept: Sightings | undefined, { session, stop }: Moment, value: unknown): Sightings {
  if (kept?.session !== session) return { session, now: { stop, value } };
  if (kept.now.stop === stop) return { ...kept, now: { stop, value } };
  return { session, now: { stop, value }, before: kept.now };
}

export const comparedBy = <T>(kept: Sightings | undefined): Compared<T> => ({
  before: kept?.before?.value as T | undefined,
  since: sinceText(kept?.before ? kept.now.stop - kept.before.stop : 1),
});

/** @param ago stops between what is compared; more than one where nobody looked at those between */
export const sinceText = (ago: number): string =>
  ago <= 1 ? 'the last stop' : `the last look, ${ago.toLocaleString('en')} stops ago`;
