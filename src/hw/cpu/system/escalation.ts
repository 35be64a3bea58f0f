import { VECTOR } from '../../../isa/exceptions';
import { because } from '../../../isa/reasons/index';
import type { FaultEvent } from '../../state/event';

/** Exceptions whose delivery can turn a second one into a double fault (SDM vol. 3, table 6-4). */
const CONTRIBUTORY: ReadonlySet<number> = new Set([VECTOR.DE, VECTOR.TS, VECTOR.NP, VECTOR.SS, VECTOR.GP, VECTOR.CP]);
const isPageFault = (vector: number): boolean => vector === VECTOR.PF || vector === VECTOR.VE;

/** What was being delivered when another exception came: an exception's vector, or `benign` for external interrupts, NMI and software interrupts. */
export type FirstEvent = { readonly kind: 'exception'; readonly vector: number } | { readonly kind: 'benign' };

/**
 * Table 6-5: a second exception while delivering a first. `serial`: deliver the second. `double`: #DF(0) takes the place of both. `triple`: shutdown.
 */
export function combine(first: FirstEvent, second: FaultEvent): 'serial' | 'double' | 'triple' {
  if (first.kind === 'benign') return 'serial';
  const serious = CONTRIBUTORY.has(second.vector) || isPageFault(second.vector);
  if (first.vector === VECTOR.DF) return serious ? 'triple' : 'serial';
  if (CONTRIBUTORY.has(first.vector)) return CONTRIBUTORY.has(second.vector) ? 'double' : 'serial';
  return isPageFault(first.vector) && serious ? 'double' : 'serial';
}

/** #DF(0), for `second` while `first` was being delivered. Vectors. */
export const doubleFault = (first: number, second: number): FaultEvent => ({
  kind: 'fault',
  vector: VECTOR.DF,
  errorCode: 0,
  why: because('double-fault', first, second),
});

/** How an event counts as the first of two: software interrupts (ICEBP too), external interrupts and NMI are benign. */
export const firstOf = (e: FaultEvent | { readonly kind: 'interrupt' }): FirstEvent =>
  e.kind === 'fault' && e.software === undefined ? { kind: 'exception', vector: e.vector } : { kind: 'benign' };
