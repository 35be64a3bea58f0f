import { Mnemonic } from 'iced-x86';
import { SEG, SLOT } from '../../state/layout';
import { UOP } from '../uop';
import type { Address, Emitter } from './emitter';
import type { Lifter, LifterTable } from './table';

const RSP = 4;
const RBP = 5;

/** The stack pointer less `bytes`, truncated to the stack's width, in a temporary. */
function below(e: Emitter, bytes: number): number {
  return e.addImmediate(e.stackBits, e.getGpr(RSP, e.stackBits), -bytes);
}

function stackAddress(e: Emitter, pointer: number, width: 16 | 32 | 64, write: boolean): Address {
  return e.addressAt(SEG.SS, pointer, e.stackBits, width, write);
}

/** Several stores that must all be possible before the first is made. */
function storeAll(
  e: Emitter,
  stores: readonly { readonly at: Address; readonly value: number }[],
  width: 16 | 32 | 64,
): void {
  for (const s of stores) e.probe(s.at, width / 8, true);
  for (const s of stores) e.store(s.at, width, s.value);
}

/** PUSH of a register, memory operand, immediate or segment register. PUSH (E/R)SP stores the old value (SDM vol. 2, PUSH). */
const push: Lifter = (e) => {
  const w = e.insn.operandBits;
  const o = e.operand(0);
  if (o.kind === 'segment') {
    // recent Intel CPUs write 16 bits and leave the rest of a wider slot as it was (SDM vol. 2, PUSH)
    const sp = below(e, w / 8);
    e.store(stackAddress(e, sp, 16, true), 16, SLOT.SELECTOR + o.index);
    e.putGpr(RSP, e.stackBits, sp);
    return;
  }
  e.push(e.readLow(0, w), w);
};

/** POP: a memory destination based on (E/R)SP uses its value after the pop, and the store comes before RSP changes (SDM vol. 2, POP). */
const pop: Lifter = (e) => {
  const w = e.insn.operandBits;
  const o = e.operand(0);
  const value = e.peek(w);
  if (o.kind === 'memory') {
    const sp = e.addImmediate(e.stackBits, e.getGpr(RSP, e.stackBits), w / 8);
    let memory = o.memory;
    if (memory.base === RSP) {
      // the address is computed as if RSP already held its new value
      const moved = e.calc(UOP.MOV, RSP, 0);
      e.putGpr(moved, e.stackBits, sp);
      memory = { ...memory, base: moved };
    }
    e.store(e.address(memory, w, true), w, value);
    e.putGpr(RSP, e.stackBits, sp);
    return;
  }
  e.dropStack(w / 8);
  e.write(0, value, w);
};

/** PUSHA and PUSHAD: AX CX DX BX, the old SP, BP SI DI. */
function pushAll(width: 16 | 32): Lifter {
  return (e) => {
    const bytes = width / 8;
    const stores = [];
    let sp: number = SLOT.ZERO;
    for (let i = 0; i < 8; i++) {
      sp = below(e, bytes * (i + 1));
      stores.push({ at: stackAddress(e, sp, width, true), value: i });
    }
    storeAll(e, stores, width);
    e.putGpr(RSP, e.stackBits, sp);
  };
}

/** POPA and POPAD: the reverse; the stored SP is skipped. */
function popAll(width: 16 | 32): Lifter {
  return (e) => {
    const bytes = width / 8;
    const values = [];
    for (let i = 0; i < 8; i++) values.push(i === 3 ? SLOT.ZERO : e.peek(width, i * bytes));
    values.forEach((value, i) => {
      if (i !== 3) e.putGpr(7 - i, width, value);
    });
    e.dropStack(8 * bytes);
  };
}

/**
 * ENTER size, level (SDM vol. 2): pushes (E/R)BP, copies level − 1 frame pointers, pushes the new frame pointer, and makes room for `size` bytes.
 * The final stack pointer is checked by a write probe before anything is stored.
 */
const enter: Lifter = (e) => {
  const w = e.insn.operandBits;
  const bytes = w / 8;
  const bits = e.stackBits;
  const sizeOperand = e.operand(0);
  const levelOperand = e.operand(1);
  if (sizeOperand.kind !== 'immediate' || levelOperand.kind !== 'immediate') return;
  const size = Number(sizeOperand.value);
  const level = Number(levelOperand.value) & 31;
  const frame = below(e, bytes);
  // a 32-bit frame pointer over a 16-bit stack gets the whole of ESP, whose upper half pushes do not touch
  const framePointer = w > bits ? e.logic(UOP.OR64, e.logic(UOP.AND64, RSP, e.constant(0xffff_0000n)), frame) : frame;
  const top = e.addImmediate(bits, frame, -(level * bytes) - size);
  e.probe(stackAddress(e, top, w, true), bytes, true);
  // level temporaries would not fit in the 32 an instruction has: each copy reuses the same three
  const scratch: Scratch = { pointer: e.temp(), linear: e.temp(), value: e.temp() };
  const slotBelow = (n: number): Address => scratchAddress(e, scratch, frame, -n * bytes, w, true);
  for (let n = 0; n <= level; n++) e.probe(slotBelow(n), bytes, true);
  for (let n = 1; n < level; n++) e.probe(scratchAddress(e, scratch, RBP, -n * bytes, w, false), bytes, false);
  e.store(slotBelow(0), w, RBP);
  for (let n = 1; n < level; n++) {
    e.load(scratchAddress(e, scratch, RBP, -n * bytes, w, false), w, false, scratch.value);
    e.store(slotBelow(n), w, scratch.value);
  }
  if (level > 0) e.store(slotBelow(level), w, framePointer);
  e.putGpr(RBP, w, framePointer);
  e.putGpr(RSP, bits, top);
};

interface Scratch {
  readonly pointer: number;
  readonly linear: number;
  readonly value: number;
}

/** The stack address `offset` bytes from a register, in temporaries that are used again for the next one. */
function scratchAddress(
  e: Emitter,
  scratch: Scratch,
  from: number,
  offset: number,
  width: 16 | 32 | 64,
  write: boolean,
): Address {
  e.op(e.stackBits === 64 ? UOP.ADDI64 : UOP.ADDI32, scratch.pointer, from, offset);
  if (e.stackBits === 16) e.op(UOP.ZX16, scratch.pointer, scratch.pointer, 0);
  return e.addressAt(SEG.SS, scratch.pointer, e.stackBits, width, write, scratch.linear);
}

/** LEAVE: (E/R)SP ← (E/R)BP, then POP (E/R)BP. */
const leave: Lifter = (e) => {
  const w = e.insn.operandBits;
  const bp = e.getGpr(RBP, e.stackBits);
  const value = e.load(stackAddress(e, bp, w, false), w);
  const sp = e.addImmediate(e.stackBits, bp, w / 8);
  e.putGpr(RSP, e.stackBits, sp);
  e.putGpr(RBP, w, value);
};

/** PUSH POP PUSHA POPA ENTER LEAVE (SDM vol. 2); POP to a segment register, PUSHF and POPF are system forms. */
export const STACK: LifterTable = new Map<number, Lifter>([
  [Mnemonic.Push, push],
  [Mnemonic.Pop, pop],
  [Mnemonic.Pusha, pushAll(16)],
  [Mnemonic.Pushad, pushAll(32)],
  [Mnemonic.Popa, popAll(16)],
  [Mnemonic.Popad, popAll(32)],
  [Mnemonic.Enter, enter],
  [Mnemonic.Leave, leave],
]);
