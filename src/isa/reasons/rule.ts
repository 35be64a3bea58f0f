import type { EntryRules } from '../reserved-bits';

/**
 * Why an exception was raised: the rule of a manual that the program broke. A rule has a name, the section it stands in, and a sentence over the values that the check looked
 * at. What travels with an exception is the name and the values; the sentence is made when somebody asks.
 */

/** What a check looked at, as it was then. Addresses, registers and entries are bigint, everything else number; texts are constants. */
export type ReasonValue = number | bigint | string | boolean | EntryRules;

export interface Rule<V extends readonly ReasonValue[]> {
  /** Where the rule stands: `SDM vol. 3, 5.3`, `APM vol. 2, 15.25`, or the function of Linux that decides. */
  readonly section: string;
  /** What was broken, without full stop. */
  readonly say: (...values: V) => string;
}

export const rule = <V extends readonly ReasonValue[]>(section: string, say: (...values: V) => string): Rule<V> => ({
  section,
  say,
});
