import type { EntryRules } from '../reserved-bits';

/**
 * Why an exception was raised: the manual's rule that the program broke. A rule has a name, the section that states
 * it, and a sentence over the values the check looked at. An exception carries the name and the values; the sentence
 * is made on request.
 */

/**
 * What a check looked at, as it was then. Addresses, registers and entries are bigint, everything else number;
 * strings are constants.
 */
export type ReasonValue = number | bigint | string | boolean | EntryRules;

export interface Rule<V extends readonly ReasonValue[]> {
  /** The source of the rule: `SDM vol. 3, 5.3`, `APM vol. 2, 15.25`, or the Linux function that decides. */
  readonly section: string;
  /** What was broken, without a full stop. */
  readonly say: (...values: V) => string;
}

export const rule = <V extends readonly ReasonValue[]>(section: string, say: (...values: V) => string): Rule<V> => ({
  section,
  say,
});
