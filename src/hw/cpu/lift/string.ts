import { Mnemonic } from 'iced-x86';
import { RFLAGS } from '../../../isa/flags';
import type { RegisterWidth } from '../../../isa/registers';
import { SEG, SLOT } from '../../state/layout';
import { CC } from '../../state/lazy-flags';
import { UOP } from '../uop';
import type { Emitter } from './emitter';
import type { Lifter, LifterTable } from './table';

const RAX = 0;
const RCX = 1;
const RSI = 6;
const RDI = 7;
const CC_E = 4;
const CC_NE = 5;

/** ±bytes, by DF: bytes − (DF ? 2·bytes : 0). */
function step(e: Emitter, width: RegisterWidth): number {
  const bytes = width / 8;
  const twice = Math.log2(bytes) + 1;
  const moved = e.calc(UOP.SHRI32, SLOT.RFLAGS, RFLAGS.DF - twice);
  const back = e.calc(UOP.AND32, moved, e.constant(bytes * 2));
  return e.calc(UOP.SUB64, e.constant(bytes), back);
}

function sourceSegment(e: Emitter): number {
  return e.insn.segmentPrefix >= 0 ? e.insn.segmentPrefix : SEG.DS;
}

function loadAt(e: Emitter, segment: number, register: number, width: RegisterWidth): number {
  const bits = e.insn.addressBits;
  return e.load(e.addressAt(segment, e.getGpr(register, bits), bits, width, false), width);
}
function storeAt(e: Emitter, register: number, width: RegisterWidth, value: number): void {
  const bits = e.insn.addressBits;
  e.store(e.addressAt(SEG.ES, e.getGpr(register, bits), bits, width, true), width, value);
}
function advance(e: Emitter, registers: readonly number[], width: RegisterWidth): void {
  const bits = e.insn.addressBits;
  const by = step(e, width);
  for (const r of registers) e.putGpr(r, bits, e.calc(UOP.ADD64, r, by));
}

/**
 * One iteration of a repeated string instruction, as a block that branches to itself: registers are committed after every element, so that a fault or an
 * interrupt finds (E/R)CX, (E/R)SI and (E/R)DI as the manual says (SDM vol. 2, REP). The loop goes by the code's width, whatever the operand size.
 * `until`: the condition code that goes on, for CMPS and SCAS.
 */
function repeat(e: Emitter, body: () => void, goesOn?: number): void {
  const bits = e.insn.addressBits;
  const done = e.branch(UOP.BRZ, e.getGpr(RCX, bits));
  body();
  const left = e.addImmediate(bits, e.getGpr(RCX, bits), -1);
  e.putGpr(RCX, bits, left);
  if (goesOn === undefined) {
    again(e, UOP.JNZ, 0, left);
    done();
  } else {
    const last = e.branch(UOP.BRZ, left);
    again(e, UOP.JCC, goesOn, SLOT.ZERO);
    done();
    last();
  }
  e.end();
}

/** Back to this instruction if the condition holds, else on to the next. */
function again(e: Emitter, op: typeof UOP.JNZ | typeof UOP.JCC, cc: number, slot: number): void {
  const width = Math.log2(e.mode.bits / 16);
  e.op(op, -e.insn.length, e.insn.offset + e.insn.length, slot, cc | (width << 4));
}

function lift(body: (e: Emitter) => void): Lifter {
  return (e) => {
    if (e.insn.rep || e.insn.repne) repeat(e, () => body(e));
    else body(e);
  };
}
/** CMPS and SCAS: REPE goes on while equal, REPNE while not. */
function liftCompare(body: (e: Emitter) => void): Lifter {
  return (e) => {
    if (e.insn.rep) repeat(e, () => body(e), CC_E);
    else if (e.insn.repne) repeat(e, () => body(e), CC_NE);
    else body(e);
  };
}

const movs = (width: RegisterWidth): Lifter =>
  lift((e) => {
    const value = loadAt(e, sourceSegment(e), RSI, width);
    storeAt(e, RDI, width, value);
    advance(e, [RSI, RDI], width);
  });

const stos = (width: RegisterWidth): Lifter =>
  lift((e) => {
    storeAt(e, RDI, width, RAX);
    advance(e, [RDI], width);
  });

const lods = (width: RegisterWidth): Lifter =>
  lift((e) => {
    const value = loadAt(e, sourceSegment(e), RSI, width);
    advance(e, [RSI], width);
    e.putGpr(RAX, width, value);
  });

function compare(e: Emitter, width: RegisterWidth, a: number, b: number): void {
  const r = e.calc(width === 64 ? UOP.SUB64 : UOP.SUB32, a, b);
  e.flags(CC.SUB, width, r, a, b);
}

const cmps = (width: RegisterWidth): Lifter =>
  liftCompare((e) => {
    const a = loadAt(e, sourceSegment(e), RSI, width);
    const b = loadAt(e, SEG.ES, RDI, width);
    compare(e, width, a, b);
    advance(e, [RSI, RDI], width);
  });

const scas = (width: RegisterWidth): Lifter =>
  liftCompare((e) => {
    const b = loadAt(e, SEG.ES, RDI, width);
    compare(e, width, RAX, b);
    advance(e, [RDI], width);
  });

/** MOVS STOS LODS CMPS SCAS with their prefixes (SDM vol. 2). INS and OUTS are system forms. */
export const STRING: LifterTable = new Map<number, Lifter>([
  [Mnemonic.Movsb, movs(8)],
  [Mnemonic.Movsw, movs(16)],
  [Mnemonic.Movsd, movs(32)],
  [Mnemonic.Movsq, movs(64)],
  [Mnemonic.Stosb, stos(8)],
  [Mnemonic.Stosw, stos(16)],
  [Mnemonic.Stosd, stos(32)],
  [Mnemonic.Stosq, stos(64)],
  [Mnemonic.Lodsb, lods(8)],
  [Mnemonic.Lodsw, lods(16)],
  [Mnemonic.Lodsd, lods(32)],
  [Mnemonic.Lodsq, lods(64)],
  [Mnemonic.Cmpsb, cmps(8)],
  [Mnemonic.Cmpsw, cmps(16)],
  [Mnemonic.Cmpsd, cmps(32)],
  [Mnemonic.Cmpsq, cmps(64)],
  [Mnemonic.Scasb, scas(8)],
  [Mnemonic.Scasw, scas(16)],
  [Mnemonic.Scasd, scas(32)],
  [Mnemonic.Scasq, scas(64)],
]);
