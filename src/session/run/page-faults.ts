/** An exception on its way to the guest: as facts for conditions, and in words. */
import { hex } from '../../base/hex';
import type { ExprValue } from '../../expr/index';
import type { FaultEvent } from '../../hw/state/event';
import type { Access } from '../../hw/paging/access';
import { PF_ERROR, VECTOR, pfErrorNames, vectorName } from '../../isa/exceptions';
import type { FaultInChain } from '../../vmm/fault-reasons';
import { translateGva } from '../translate/translate';
import type { Translator } from '../translate/translator';

const codeOf = (event: FaultEvent): number => event.errorCode ?? 0;
const has = (event: FaultEvent, bit: number): boolean => ((codeOf(event) >> bit) & 1) === 1;
const address = (event: FaultEvent): bigint => event.cr2 ?? 0n;

/** An exception without an error code has 0 for it; what only a page fault has, no other one has. */
export function faultFacts(event: FaultEvent, instructions: number): ReadonlyMap<string, ExprValue> {
  const error = BigInt(codeOf(event));
  return new Map<string, ExprValue>([
    ['error', error],
    ['error_code', error],
    ['vector', BigInt(event.vector)],
    ['instructions', BigInt(instructions)],
    ...(event.vector === VECTOR.PF ? pageFaultFacts(event) : []),
  ]);
}
function pageFaultFacts(event: FaultEvent): [string, ExprValue][] {
  const op = opOf(event);
  return [
    ['address', address(event)],
    ['present', has(event, PF_ERROR.P)],
    ['write', op === 'write'],
    ['fetch', op === 'fetch'],
    ['read', op === 'read'],
    ['user', has(event, PF_ERROR.U)],
    ['reserved', has(event, PF_ERROR.RSVD)],
  ];
}

/** What faulted, as the processor knew it: bit 4 of the error code stays clear for fetches while neither NXE nor SMEP is set. */
const opOf = (event: FaultEvent): NonNullable<FaultEvent['access']> =>
  event.access ?? (has(event, PF_ERROR.I) ? 'fetch' : has(event, PF_ERROR.W) ? 'write' : 'read');
const accessOf = (event: FaultEvent): string =>
  ({ fetch: 'an instruction fetch', write: 'a write', read: 'a read' })[opOf(event)];

/** `#GP(0x18) at 0x100020`. */
export const exceptionTitle = (event: FaultEvent, rip: bigint): string =>
  `${vectorName(event.vector)}${event.errorCode === undefined ? '' : `(${hex(event.errorCode)})`} at ${hex(rip)}`;

/** Any exception but #PF, as the stop before its delivery tells it. */
export function exceptionWords(event: FaultEvent, { why }: FaultInChain): string {
  const code = event.errorCode === undefined ? '' : ` Error code ${hex(event.errorCode)}.`;
  return `The guest's own ${vectorName(event.vector)}: ${why}.${code} It is about to be delivered through the guest's IDT.`;
}

export const pageFaultTitle = (event: FaultEvent): string => `#PF at ${hex(address(event))}, ${accessOf(event)}`;

/**
 * The guest's tables decide: what they refuse is said by the walk's own failure. `injected`: under shadow paging it came to KVM first. Where the tables have changed since, or the fault
 * is not theirs, the error code is all that is known.
 */
export function pageFaultWhy(event: FaultEvent, t: Translator): string {
  const access = accessOfFault(event, t.cpl);
  const { failure } = translateGva(t, address(event), access);
  const same = failure?.event === vectorName(VECTOR.PF) && failure.errorCode === BigInt(codeOf(event));
  return same && failure.explanation !== undefined ? failure.explanation : byErrorCode(event, t.shadow !== undefined);
}

/** The access that the error code tells of; hardware's own accesses to system structures from CPL 3 are a supervisor's. */
const accessOfFault = (event: FaultEvent, cpl: number): Access => ({
  op: has(event, PF_ERROR.I) ? 'fetch' : has(event, PF_ERROR.W) ? 'write' : 'read',
  user: has(event, PF_ERROR.U),
  implicit: !has(event, PF_ERROR.U) && cpl === 3,
});

function byErrorCode(event: FaultEvent, injected: boolean): string {
  const reason = has(event, PF_ERROR.RSVD)
    ? 'an entry has a reserved bit set'
    : has(event, PF_ERROR.P)
      ? 'the page is present, but its rights do not allow that'
      : 'an entry is not present';
  const cpl = has(event, PF_ERROR.U) ? '3' : 'below 3';
  const code = codeOf(event);
  return [
    `The guest's own page fault: ${accessOf(event)} of ${hex(address(event))} from CPL ${cpl}; ${reason}.`,
    `Error code ${hex(code)} (${pfErrorNames(code).join(' ') || 'no bit set'}).`,
    injected
      ? "It exited, KVM found in the guest's tables that it is the guest's, and the VM entry injects it: it is about to be delivered through the guest's IDT."
      : "It is about to be delivered through the guest's IDT, without a VM exit.",
  ].join(' ');
}
