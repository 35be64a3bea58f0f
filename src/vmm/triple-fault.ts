import { hex } from '../base/hex';
import { pfErrorNames, VECTOR, vectorName } from '../isa/exceptions';
import type { ChainEvent } from '../hw/cpu/event-chain';
import type { Delivery } from '../hw/cpu/system/deliver';

/** Error-code bit of #GP, #NP, #SS and #TS that says the selector index is a vector of the IDT (SDM vol. 3, 6.13). */
const ERROR_IDT = 2;

/**
 * A triple fault in words: what could not be delivered and why, from the chain that the CPU kept (`Cpu.chain`): the first event, then what came up on the way to its
 * handler, then what came up on the way to #DF's.
 */
export function explainTripleFault(chain: readonly ChainEvent[], rip: bigint): string {
  if (chain.length === 0) return `triple fault at RIP ${hex(rip)}`;
  return `triple fault at RIP ${hex(rip)}; each could not be delivered because of the next: ${chain.map((e) => describe(e.event)).join(' → ')}. Look at the IDT and at the stack its handlers run on`;
}

function describe(e: Delivery): string {
  const name = vectorName(e.vector);
  if (e.kind === 'interrupt') return `${e.source === 'nmi' ? 'NMI' : `external interrupt ${hex(e.vector)}`}`;
  if (e.vector === VECTOR.PF) {
    const code = e.errorCode ?? 0;
    const access = e.access ?? (code & 16 ? 'fetch' : code & 2 ? 'write' : 'read');
    return `#PF (${access} of ${hex(e.cr2 ?? 0n)}, error code ${hex(code)}: ${pfErrorNames(code).join(' ') || 'not present, supervisor'})`;
  }
  if (e.errorCode === undefined) return name;
  return (e.errorCode & ERROR_IDT) !== 0
    ? `${name}(${hex(e.errorCode)}: no usable gate for vector ${(e.errorCode >> 3) & 0xff})`
    : `${name}(${hex(e.errorCode)})`;
}
