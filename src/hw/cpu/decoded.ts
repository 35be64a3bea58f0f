import type { RegisterWidth, SegmentName } from '../../isa/registers';

/** A memory operand as decoded. Registers by encoding; −1 for none. RIP-relative addresses have `ripRelative` and an absolute displacement from the instruction's start. */
export interface MemoryOperand {
  readonly base: number;
  readonly index: number;
  readonly scale: 1 | 2 | 4 | 8;
  /** Sign-extended; for RIP-relative operands relative to the start of the instruction (length already added). */
  readonly displacement: bigint;
  readonly ripRelative: boolean;
  /** 16, 32 or 64. */
  readonly addressBits: 16 | 32 | 64;
  /** Effective segment, override applied (0–5 = ES CS SS DS FS GS). */
  readonly segment: number;
  /** Bytes accessed; 0 where the instruction defines it itself. */
  readonly size: number;
}

export type Operand =
  | { readonly kind: 'gpr'; readonly index: number; readonly width: RegisterWidth; readonly shift: 0 | 8 }
  | { readonly kind: 'segment'; readonly index: number; readonly name: SegmentName }
  | { readonly kind: 'control'; readonly index: number }
  | { readonly kind: 'debug'; readonly index: number }
  | { readonly kind: 'xmm'; readonly index: number }
  | { readonly kind: 'mm'; readonly index: number }
  /** x87 register ST(index), relative to the top of the stack. */
  | { readonly kind: 'st'; readonly index: number }
  /** Value sign- or zero-extended to the operand size as the instruction defines, then to 64 bits, unsigned. */
  | { readonly kind: 'immediate'; readonly value: bigint; readonly width: RegisterWidth }
  | { readonly kind: 'memory'; readonly memory: MemoryOperand }
  /** Near branch target relative to the start of the instruction. */
  | { readonly kind: 'near'; readonly offset: number }
  | { readonly kind: 'far'; readonly selector: number; readonly offset: bigint }
  /** A register that this CPU does not have (bounds, masks, wider vectors): the instruction is #UD. */
  | { readonly kind: 'other'; readonly register: number };

/** One decoded instruction in our own plain form (copied once out of iced-x86's object, then cached). */
export interface Decoded {
  /** iced-x86's Mnemonic and Code numbers. */
  readonly mnemonic: number;
  readonly code: number;
  readonly length: number;
  /** Offset of the instruction from the start of its block. */
  readonly offset: number;
  readonly bits: 16 | 32 | 64;
  /** Effective operand and address size in bits (prefixes and REX.W applied; the default 64-bit forms of near branches and stack operations count as 64). */
  readonly operandBits: 16 | 32 | 64;
  readonly addressBits: 16 | 32 | 64;
  readonly operands: readonly Operand[];
  readonly rep: boolean;
  readonly repne: boolean;
  readonly lock: boolean;
  /** Segment override prefix (0–5) or −1. */
  readonly segmentPrefix: number;
  readonly bytes: Uint8Array;
}

/** What `core.insn` is while no instruction could be fetched: faults of the fetch have no length. */
export const NO_INSTRUCTION: Decoded = {
  mnemonic: 0,
  code: 0,
  length: 0,
  offset: 0,
  bits: 64,
  operandBits: 64,
  addressBits: 64,
  operands: [],
  rep: false,
  repne: false,
  lock: false,
  segmentPrefix: -1,
  bytes: new Uint8Array(0),
};
