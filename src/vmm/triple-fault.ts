import { hex } from '../base/hex';
import { pfErrorNames, VECTOR } from '../isa/exceptions';
import type { ChainEvent } from '../hw/cpu/event-chain';
import { reasonsOf, type FaultInChain } from './fault-reasons';

/** How a triple fault ends a run: the events that led to it, innermost last, and a sentence for all of them. */
export interface TripleFault {
  readonly why: string;
  readonly reason: readonly FaultInChain[];
}

/**
 * A triple fault: what could not be delivered and why, from the CPU's chain (`Cpu.chain`): the first event, the one
 * raised on the way to its handler, then the one raised on the way to #DF's.
 */
export function explainTripleFault(chain: readonly ChainEvent[], rip: bigint): TripleFault {
  const reason = reasonsOf(chain);
  if (reason.length === 0) return { reason, why: `triple fault at RIP ${hex(rip)}` };
  const described = reason.map((r, i) => describe(r, chain[i]));
  return {
    reason,
    why: `triple fault at RIP ${hex(rip)}; each could not be delivered because of the next: ${described.join(' → ')}. Look at the IDT and at the stack its handlers run on`,
  };
}

function describe({ event, error, address, why }: FaultInChain, at: ChainEvent | undefined): string {
  const e = at?.event;
  if (e?.kind === 'fault' && e.vector === VECTOR.PF) {
    const code = e.errorCode ?? 0;
    const access = e.access ?? (code & 16 ? 'fetch' : code & 2 ? 'write' : 'read');
    return `${event} (${access} of ${hex(address ?? 0n)}, error code ${hex(code)}: ${pfErrorNames(code).join(' ') || 'not present, supervisor'}): ${why}`;
  }
  return `${event}${error === undefined ? '' : `(${hex(error)})`}: ${why}`;
}
