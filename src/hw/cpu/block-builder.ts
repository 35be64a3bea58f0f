import type { Block } from './block';
import { removeDeadFlags } from './dead-flags';
import { InstructionDecoder } from './decode';
import type { Decoded } from './decoded';
import { Emitter, type CodeMode } from './lift/emitter';
import { lift } from './lift/index';
import { UOP } from './uop';
import { SLOT } from '../state/layout';

/** Longest run of instructions in one block: what a stop request may have to wait for. */
export const MAX_BLOCK_INSTRUCTIONS = 64;

const decoder = new InstructionDecoder();

export interface BuildRequest {
  /** Code bytes from the first instruction on, as far as the page goes (or 15 bytes over two pages). */
  readonly bytes: Uint8Array;
  readonly mode: CodeMode;
  readonly maxInstructions: number;
  readonly offset: number;
  readonly secondPage: number;
  readonly key: number;
}

/** Decodes and lifts a block; undefined when the bytes end inside its first instruction. */
export function buildBlock(q: BuildRequest): Block | undefined {
  const e = new Emitter(q.mode);
  const insns: Decoded[] = [];
  const starts: number[] = [];
  let at = 0;
  while (insns.length < q.maxInstructions && !e.ended) {
    const insn = decoder.decode(q.bytes.subarray(at), q.mode.bits, at);
    if (insn === undefined) break;
    starts.push(e.position);
    e.insnIndex = insns.length;
    insns.push(insn);
    lift(e, insn);
    at += insn.length;
  }
  if (insns.length === 0) return undefined;
  if (!e.ended) e.op(UOP.END, SLOT.ZERO, at, 0);
  if (insns.length > 1) removeDeadFlags(e.words, starts);
  return {
    words: Int32Array.from(e.words),
    insns,
    starts,
    mode: q.mode,
    offset: q.offset,
    length: at,
    secondPage: q.secondPage,
    key: q.key,
    valid: true,
  };
}
