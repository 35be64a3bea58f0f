import type { Emitter } from './emitter';

/** Emits one instruction's micro-ops. */
export type Lifter = (e: Emitter) => void;
/** Lifters by iced-x86 Mnemonic number. */
export type LifterTable = ReadonlyMap<number, Lifter>;
