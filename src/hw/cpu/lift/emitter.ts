import { invariant } from '../../../base/assert';
import type { RegisterWidth } from '../../../isa/registers';
import { SEG, SLOT } from '../../state/layout';
import { CC } from '../../state/lazy-flags';
import type { Decoded, MemoryOperand, Operand } from '../decoded';
import { UOP, UOP_WORDS } from '../uop';
import { helperId, type Helper } from './helpers';
import { systemId, type SystemFunction } from '../system/table';

/** A linear address ready for LD/ST: slot plus displacement. `stack`: a bad address is #SS. */
export interface Address {
  readonly slot: number;
  readonly displacement: number;
  readonly stack: boolean;
}

/** Widths of memory operands: 128 bits are checked as one and moved in two halves. */
type AccessWidth = RegisterWidth | 128;
const LOG2: Readonly<Record<AccessWidth, number>> = { 8: 0, 16: 1, 32: 2, 64: 3, 128: 4 };
const GPR_RSP = 4;

/** A read-modify-write destination: its value now, and how to put the new one back. */
export interface Target {
  readonly value: number;
  /** Memory: the write can fault, and comes before flags and registers. */
  readonly inMemory: boolean;
  readonly write: (value: number) => void;
}

/** Intermediate code modes of a block: default operand size of CS and the stack's width. */
export interface CodeMode {
  readonly bits: 16 | 32 | 64;
  readonly stackBits: 16 | 32 | 64;
}

/**
 * Builds the micro-ops of a block. A lifter calls it in this order: addresses and loads, arithmetic in temporaries, stores, then registers and flags;
 * that order is what makes instructions restartable.
 * Values in temporaries are zero-extended from their width unless a method says otherwise.
 */
export class Emitter {
  readonly words: number[] = [];
  insn!: Decoded;
  /** Set when the instruction ended the block (a branch or a system function). */
  ended = false;
  /** The block has checked that SSE may be used. */
  sseChecked = false;
  private nextTemp: number = SLOT.TEMP0;

  constructor(readonly mode: CodeMode) {}

  begin(insn: Decoded): void {
    this.insn = insn;
    this.nextTemp = SLOT.TEMP0;
  }
  /** Index of the next micro-op. */
  get position(): number {
    return this.words.length / UOP_WORDS;
  }

  temp(): number {
    invariant(this.nextTemp < SLOT.TEMP_END, 'an instruction uses at most 32 temporaries');
    return this.nextTemp++;
  }
  op(op: number, d: number, a: number, b: number, modifier = 0): void {
    this.words.push(op | (modifier << 8), d, a, b);
  }
  /** A new temporary holding `op` of a and b. */
  calc(op: number, a: number, b: number): number {
    const t = this.temp();
    this.op(op, t, a, b);
    return t;
  }
  /** A slot holding the 64-bit constant. */
  constant(value: bigint | number): number {
    const v = BigInt.asUintN(64, BigInt(value));
    if (v === 0n) return SLOT.ZERO;
    const t = this.temp();
    this.op(UOP.CONST, t, Number(v & 0xffff_ffffn) | 0, Number(v >> 32n) | 0);
    return t;
  }

  // ---- arithmetic by width (operands zero-extended; result zero-extended to the width)

  add(width: RegisterWidth, a: number, b: number): number {
    return this.truncate(width, this.calc(width === 64 ? UOP.ADD64 : UOP.ADD32, a, b));
  }
  sub(width: RegisterWidth, a: number, b: number): number {
    return this.truncate(width, this.calc(width === 64 ? UOP.SUB64 : UOP.SUB32, a, b));
  }
  addImmediate(width: RegisterWidth, a: number, n: number): number {
    return this.truncate(width, this.calc(width === 64 ? UOP.ADDI64 : UOP.ADDI32, a, n));
  }
  /** AND64, OR64 or XOR64: for zero-extended operands they serve every width. */
  logic(op: typeof UOP.AND64 | typeof UOP.OR64 | typeof UOP.XOR64, a: number, b: number): number {
    return this.calc(op, a, b);
  }
  /** ~a at the width. */
  not(width: RegisterWidth, a: number): number {
    const ones = this.constant((1n << BigInt(width)) - 1n);
    return this.calc(UOP.XOR64, a, ones);
  }
  /** Zero-extends an 8- or 16-bit result that was computed in 32 bits; 32 and 64 are already in form. */
  truncate(width: RegisterWidth, a: number): number {
    if (width === 8) this.op(UOP.ZX8, a, a, 0);
    else if (width === 16) this.op(UOP.ZX16, a, a, 0);
    return a;
  }
  zeroExtend(a: number, from: RegisterWidth): number {
    return from === 64 ? a : this.calc(from === 8 ? UOP.ZX8 : from === 16 ? UOP.ZX16 : UOP.ZX32, a, 0);
  }
  /** Sign-extends from `from` bits, result zero-extended from `to` bits. */
  signExtend(a: number, from: RegisterWidth, to: RegisterWidth): number {
    if (from === to) return a;
    const t = this.calc(from === 8 ? UOP.SX8 : from === 16 ? UOP.SX16 : UOP.SX32, a, 0);
    return to === 64 ? t : this.zeroExtend(t, to);
  }

  // ---- flags

  /** Lazy flags of an operation at `width`; `kind` from CC. For INC and DEC pass the result alone. */
  flags(
    kind: (typeof CC)['ADD' | 'SUB' | 'LOGIC' | 'INC' | 'DEC'],
    width: RegisterWidth,
    result: number,
    a: number = SLOT.ZERO,
    b: number = SLOT.ZERO,
  ): void {
    const op = kind === CC.INC || kind === CC.DEC ? UOP.FLAGS_INCDEC : kind === CC.LOGIC ? UOP.FLAGS_RESULT : UOP.FLAGS;
    this.op(op, result, a, b, (kind << 2) | LOG2[width]);
  }
  /** The six arithmetic flags from a slot in RFLAGS positions. */
  putFlags(a: number): void {
    this.op(UOP.PUTFLAGS, 0, a, 0);
  }
  getFlags(): number {
    const t = this.temp();
    this.op(UOP.GETFLAGS, t, 0, 0);
    return t;
  }
  carry(): number {
    const t = this.temp();
    this.op(UOP.GETCF, t, 0, 0);
    return t;
  }
  setcc(cc: number): number {
    const t = this.temp();
    this.op(UOP.SETCC, t, 0, 0, cc);
    return t;
  }
  /** cc ? a : b */
  select(cc: number, a: number, b: number): number {
    const t = this.temp();
    this.op(UOP.CSEL, t, a, b, cc);
    return t;
  }

  // ---- registers

  /** The value of a general register part, zero-extended (the slot itself for 64-bit registers). */
  getGpr(index: number, width: RegisterWidth, shift: 0 | 8 = 0): number {
    if (width === 64) return index;
    const t = this.temp();
    this.op(width === 32 ? UOP.ZX32 : width === 16 ? UOP.ZX16 : shift ? UOP.ZX8H : UOP.ZX8, t, index, 0);
    return t;
  }
  /** Writes a register part: 32-bit writes zero the upper half, narrower ones keep the rest. */
  putGpr(index: number, width: RegisterWidth, a: number, shift: 0 | 8 = 0): void {
    this.op(
      width === 64 ? UOP.MOV : width === 32 ? UOP.ZX32 : width === 16 ? UOP.PUT16 : shift ? UOP.PUT8H : UOP.PUT8,
      index,
      a,
      0,
    );
  }

  // ---- addresses

  /** Effective address (no segment), truncated to the address size: for LEA and as part of `address`. */
  effectiveAddress(m: MemoryOperand): number {
    const { slot, displacement } = this.split(m);
    if (displacement === 0) return slot;
    return m.addressBits === 64
      ? this.calc(UOP.ADDI64, slot, displacement)
      : this.addImmediate(m.addressBits, slot, displacement);
  }

  /** Base + index×scale as a slot, and a displacement that fits 32 bits. For 16- and 32-bit addressing the sum is still to be truncated. */
  private split(m: MemoryOperand): { slot: number; displacement: number } {
    if (m.ripRelative) {
      const d = BigInt(this.insn.offset) + m.displacement;
      const slot = this.addLarge(SLOT.RIP, d);
      return { slot: m.addressBits === 32 ? this.zeroExtend(slot, 32) : slot, displacement: 0 };
    }
    let slot = m.base < 0 ? SLOT.ZERO : m.addressBits === 64 ? m.base : this.getGpr(m.base, m.addressBits);
    if (m.index >= 0) {
      const scale = Math.log2(m.scale);
      const index = scale === 0 ? m.index : this.calc(UOP.SHLI64, m.index, scale);
      slot = slot === SLOT.ZERO && m.addressBits === 64 ? index : this.calc(UOP.ADD64, slot, index);
      if (m.addressBits !== 64) slot = this.zeroExtend(slot, m.addressBits);
    }
    const d = BigInt.asIntN(64, m.displacement);
    if (d !== BigInt.asIntN(32, d)) {
      if (m.addressBits === 64) return { slot: this.addLarge(slot, d), displacement: 0 };
      return { slot, displacement: Number(BigInt.asIntN(32, d)) };
    }
    return { slot, displacement: Number(d) };
  }
  private addLarge(slot: number, d: bigint): number {
    if (d === BigInt.asIntN(32, d)) return this.calc(UOP.ADDI64, slot, Number(d));
    return this.calc(UOP.ADD64, slot, this.constant(d));
  }

  /** The linear address of a memory operand, segment applied and checked for an access of `width`; `write` says whether the access writes. */
  address(m: MemoryOperand, width: AccessWidth, write: boolean): Address {
    return this.linear(m.segment, this.split(m), m.addressBits, width, write);
  }
  /** Like `address`, for a segment offset already in a slot (string and stack operations). `addressBits`: width of the offset; `into`: a temporary to use again. */
  addressAt(
    segment: number,
    slot: number,
    addressBits: 16 | 32 | 64,
    width: RegisterWidth,
    write: boolean,
    into?: number,
  ): Address {
    return this.linear(segment, { slot, displacement: 0 }, addressBits, width, write, into);
  }
  private linear(
    segment: number,
    ea: { slot: number; displacement: number },
    addressBits: 16 | 32 | 64,
    width: AccessWidth,
    write: boolean,
    into?: number,
  ): Address {
    const stack = segment === SEG.SS;
    if (this.mode.bits !== 64) {
      const t = into ?? this.temp();
      const modifier = segment | (LOG2[width] << 4) | (write ? 0x100 : 0) | (Math.log2(addressBits / 16) << 12);
      this.op(UOP.LIN, t, ea.slot, ea.displacement, modifier);
      return { slot: t, displacement: 0, stack };
    }
    let { slot, displacement } = ea;
    if (addressBits === 32) {
      slot = displacement === 0 ? this.zeroExtend(slot, 32) : this.calc(UOP.ADDI32, slot, displacement);
      displacement = 0;
    }
    if (segment >= SEG.FS) slot = this.calc(UOP.ADD64, slot, SLOT.SEG_BASE + segment);
    return { slot, displacement, stack };
  }

  // ---- memory

  /** `intent`: the location will be written by the same instruction. */
  load(a: Address, width: RegisterWidth, intent = false, into?: number): number {
    const t = into ?? this.temp();
    this.op(UOP.LD8 + LOG2[width], t, a.slot, a.displacement, (intent ? 1 : 0) | (a.stack ? 2 : 0));
    return t;
  }
  store(a: Address, width: RegisterWidth, value: number): void {
    this.op(UOP.ST8 + LOG2[width], value, a.slot, a.displacement, a.stack ? 2 : 0);
  }
  /** Checks `bytes` at the address without moving data, before the first of several stores. */
  probe(a: Address, bytes: number, write: boolean): void {
    this.op(UOP.PROBE, bytes, a.slot, a.displacement, (write ? 1 : 0) | (a.stack ? 2 : 0));
  }

  // ---- operands

  operand(i: number): Operand {
    const o = this.insn.operands[i];
    invariant(o !== undefined, 'the instruction has this operand');
    return o;
  }
  /** Width of operand i: the register's, the immediate's, or the memory operand's. */
  width(i: number): RegisterWidth {
    const o = this.operand(i);
    if (o.kind === 'gpr' || o.kind === 'immediate') return o.width;
    if (
      o.kind === 'memory' &&
      (o.memory.size === 1 || o.memory.size === 2 || o.memory.size === 4 || o.memory.size === 8)
    )
      return (o.memory.size * 8) as RegisterWidth;
    return this.insn.operandBits;
  }
  /** Reads a register, memory or immediate operand, zero-extended from `width`. */
  read(i: number, width: RegisterWidth = this.width(i)): number {
    const o = this.operand(i);
    switch (o.kind) {
      case 'gpr':
        return this.getGpr(o.index, width, o.shift);
      case 'immediate':
        return this.constant(BigInt.asUintN(width, o.value));
      case 'memory':
        return this.load(this.address(o.memory, width, false), width);
      default:
        invariant(false, `operand kind ${o.kind} has no plain value`);
    }
  }
  /** Like `read`, but bits above `width` may be anything: for arithmetic whose result, stores and flags look at the low `width` bits alone. */
  readLow(i: number, width: RegisterWidth = this.width(i)): number {
    const o = this.operand(i);
    return o.kind === 'gpr' && o.shift === 0 ? o.index : this.read(i, width);
  }
  /** Writes a register or memory operand that is not read. */
  write(i: number, value: number, width: RegisterWidth = this.width(i)): void {
    const o = this.operand(i);
    if (o.kind === 'gpr') this.putGpr(o.index, width, value, o.shift);
    else if (o.kind === 'memory') this.store(this.address(o.memory, width, true), width, value);
    else invariant(false, `operand kind ${o.kind} cannot be written`);
  }
  /** Read-modify-write: the value now, zero-extended, and how to put the new one back (before registers and flags are committed). */
  modify(i: number, width: RegisterWidth = this.width(i)): Target {
    const o = this.operand(i);
    if (o.kind === 'memory') {
      const at = this.address(o.memory, width, true);
      return { value: this.load(at, width, true), inMemory: true, write: (v) => this.store(at, width, v) };
    }
    invariant(o.kind === 'gpr', 'a read-modify-write operand is register or memory');
    return {
      value: this.getGpr(o.index, width, o.shift),
      inMemory: false,
      write: (v) => this.putGpr(o.index, width, v, o.shift),
    };
  }
  /** Like `modify`, with a value whose bits above `width` may be anything. */
  modifyLow(i: number, width: RegisterWidth = this.width(i)): Target {
    const o = this.operand(i);
    if (o.kind !== 'gpr' || o.shift !== 0) return this.modify(i, width);
    return { value: o.index, inMemory: false, write: (v) => this.putGpr(o.index, width, v) };
  }
  /** Commits a result and its flags: memory first (it can fault); a register last (the flags may still read its old value). */
  commit(target: Target, result: number, flags: () => void): void {
    if (target.inMemory) target.write(result);
    flags();
    if (!target.inMemory) target.write(result);
  }

  // ---- stack

  get stackBits(): 16 | 32 | 64 {
    return this.mode.stackBits;
  }
  /** Stores `value` below the stack pointer and then moves it: one push. */
  push(value: number, width: 16 | 32 | 64): void {
    const sp = this.addImmediate(this.stackBits, this.getGpr(GPR_RSP, this.stackBits), -(width / 8));
    this.store(this.addressAt(SEG.SS, sp, this.stackBits, width, true), width, value);
    this.putGpr(GPR_RSP, this.stackBits, sp);
  }
  /** Loads the top of the stack; call `dropStack` after everything that can fault. */
  peek(width: 16 | 32 | 64, offset = 0): number {
    let sp = this.getGpr(GPR_RSP, this.stackBits);
    if (offset !== 0) sp = this.addImmediate(this.stackBits, sp, offset);
    return this.load(this.addressAt(SEG.SS, sp, this.stackBits, width, false), width);
  }
  dropStack(bytes: number): void {
    const sp = this.addImmediate(this.stackBits, this.getGpr(GPR_RSP, this.stackBits), bytes);
    this.putGpr(GPR_RSP, this.stackBits, sp);
  }

  // ---- control flow

  /** A forward branch inside the instruction; call the result where it should land. */
  branch(
    op: typeof UOP.BR | typeof UOP.BRZ | typeof UOP.BRNZ | typeof UOP.BRCC,
    a: number = SLOT.ZERO,
    cc = 0,
  ): () => void {
    const at = this.words.length;
    this.op(op, 0, a, 0, cc);
    return () => {
      this.words[at + 3] = this.position;
    };
  }
  private get next(): number {
    return this.insn.offset + this.insn.length;
  }
  /** `displacement`: from the next instruction. */
  jump(displacement: number): void {
    this.op(UOP.JMP, displacement, this.next, 0, Math.log2(this.insn.operandBits / 16) << 4);
    this.ended = true;
  }
  jumpIf(cc: number, displacement: number): void {
    this.op(UOP.JCC, displacement, this.next, 0, cc | (Math.log2(this.insn.operandBits / 16) << 4));
    this.ended = true;
  }
  /** Taken when the slot is not zero (or zero, with `zero`). */
  jumpIfSlot(slot: number, zero: boolean, displacement: number): void {
    this.op(zero ? UOP.JZ : UOP.JNZ, displacement, this.next, slot, Math.log2(this.insn.operandBits / 16) << 4);
    this.ended = true;
  }
  /** Checks an absolute near-branch target (canonical, or within CS's limit), before the stack pointer or anything else is committed. */
  checkTarget(slot: number): void {
    this.op(UOP.TARGET, 0, slot, 0, Math.log2(this.insn.operandBits / 16));
  }
  /** To an absolute offset in CS, already truncated to the operand size and checked by `checkTarget`. The last micro-op of its instruction. */
  jumpTo(slot: number): void {
    this.op(UOP.JMPR, 0, slot, 0);
    this.ended = true;
  }
  /** Ends the block after this instruction, without a branch. */
  end(): void {
    this.op(UOP.END, 0, this.next, 0);
    this.ended = true;
  }

  /** Calls a helper with (state, d, a, b): a pure computation on slots that may fault with #DE and the like. */
  help(f: Helper, d: number, a: number = SLOT.ZERO, b: number = SLOT.ZERO): void {
    this.op(UOP.HELP, d, a, b, helperId(f));
  }
  /** Calls a helper that has `count` results: they lie in consecutive temporaries, of which the first is returned. `first`: a third input, given in that first one. */
  helpMany(f: Helper, count: number, a: number = SLOT.ZERO, b: number = SLOT.ZERO, first?: number): number {
    const d = this.temp();
    for (let i = 1; i < count; i++) this.temp();
    if (first !== undefined) this.op(UOP.MOV, d, first, 0);
    this.help(f, d, a, b);
    return d;
  }
  /** Calls a system function as the instruction's last act; it ends the block. `a` and `b` are slots it may read. */
  system(f: SystemFunction, a: number = SLOT.ZERO, b: number = SLOT.ZERO): void {
    this.op(UOP.SYS, this.insnIndex, a, b, systemId(f));
    this.op(UOP.END, 0, this.next, 0);
    this.ended = true;
  }
  /** Index of the current instruction in its block, kept by the block builder. */
  insnIndex = 0;
}
