import { hex } from '../base/hex';
import type { ChainEvent, EventPlace } from '../hw/cpu/event-chain';
import { mnemonicName } from '../hw/cpu/decode';
import type { FaultEvent } from '../hw/state/event';
import { vectorName } from '../isa/exceptions';
import { explainReason } from '../isa/reasons/index';

/** One event that led to the end, as shown to the user. */
export interface FaultInChain {
  /** `#GP`, `NMI`, `INT 0x30`, `interrupt 0x20`. */
  readonly event: string;
  /** The error code, if the event has one. */
  readonly error?: bigint;
  /** The guest's RIP, an offset in CS. */
  readonly rip: bigint;
  /** #PF: the linear address. */
  readonly address?: bigint;
  /** The check that failed and its rule, one sentence without a full stop. */
  readonly why: string;
}

/** `WRMSR: EFER.LME cannot change while CR0.PG = 1 (SDM vol. 3, 4.1.2)`. `mnemonic`: the instruction's, 0 for none. */
function reasonWords({ why }: FaultEvent, mnemonic: number): string {
  const { why: sentence, section, ofInstruction } = explainReason(why);
  return `${ofInstruction && mnemonic !== 0 ? `${mnemonicName(mnemonic)}: ` : ''}${sentence} (${section})`;
}

/** A single exception. */
export const reasonOfFault = (event: FaultEvent, at: EventPlace): FaultInChain =>
  one({ event, ...at, injected: false });

function one({ event: e, rip, mnemonic }: ChainEvent): FaultInChain {
  if (e.kind === 'interrupt')
    return e.source === 'nmi'
      ? { event: 'NMI', rip, why: 'a non-maskable interrupt' }
      : { event: `interrupt ${hex(e.vector)}`, rip, why: 'an external interrupt' };
  return {
    event: vectorName(e.vector),
    ...(e.errorCode === undefined ? {} : { error: BigInt(e.errorCode) }),
    rip,
    ...(e.cr2 === undefined ? {} : { address: e.cr2 }),
    why: reasonWords(e, mnemonic),
  };
}

/** A sentence for a chain of events, each of which could not be delivered because of the next. */
export const reasonsOf = (chain: readonly ChainEvent[]): FaultInChain[] => chain.map(one);
