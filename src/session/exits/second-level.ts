/** What the second level makes of a guest physical address now, as a handler of the exit finds it. */
import type { Access } from '../../hw/paging/access';
import { translateSecondLevel } from '../../hw/paging/second-level';
import type { WalkFailure } from '../../hw/paging/trace';
import { decidingWords, decisionWords } from '../translate/failure-words';
import type { GuestView } from '../guest/view';

/** Why the access fails; undefined: it does not (any more), or there is no second level. */
function secondLevelFailure(g: GuestView, gpa: bigint, op: Access['op']): WalkFailure | undefined {
  if (!g.nested) return undefined;
  const { memory } = g.physical;
  const { ok, out } = translateSecondLevel({ memory, tables: g.nested, physicalBits: g.physicalBits }, gpa, op);
  return ok ? undefined : out.failure();
}

/** The level of the entry that stopped the access; 1 where the walk now succeeds, 0 without a second level. */
export const failingLevel = (g: GuestView, gpa: bigint, op: Access['op']): number =>
  g.nested ? (secondLevelFailure(g, gpa, op)?.level ?? 1) : 0;

/** `the EPT PTE (0x…): W is set without R`: the entry that is misconfigured, and how. Undefined where none is (any more). */
export function misconfigurationWords(g: GuestView, gpa: bigint): string | undefined {
  const failure = secondLevelFailure(g, gpa, 'read');
  return failure?.reason === 'misconfiguration' ? decidingWords(failure) : undefined;
}

/** ` The EPT PDE (0x…) has W = 0: …`: the entry that denied the access. '' where the tables allow it now. */
export function denialWords(g: GuestView, gpa: bigint, op: Access['op']): string {
  const failure = secondLevelFailure(g, gpa, op);
  if (!failure || failure.lacking.length === 0) return '';
  const words = decidingWords(failure);
  return ` ${[`T${words.slice(1)}.`, decisionWords(failure)].filter((w) => w !== '').join(' ')}`;
}
