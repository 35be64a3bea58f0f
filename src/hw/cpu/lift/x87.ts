import { Mnemonic } from 'iced-x86';
import type { RegisterWidth } from '../../../isa/registers';
import { SLOT } from '../../state/layout';
import { UOP } from '../uop';
import * as arithmetic from '../x87/arithmetic';
import * as compare from '../x87/compare';
import * as environment from '../x87/environment';
import * as moves from '../x87/moves';
import { available, initialize, ready, waiting } from '../x87/registers';
import type { Source } from '../x87/operands';
import type { Emitter } from './emitter';
import type { Helper } from './helpers';
import type { Lifter, LifterTable } from './table';
import type { SystemFunction } from '../system/table';

/** Number of the x87 register that operand i is. */
function st(e: Emitter, i: number): number {
  const o = e.operand(i);
  return o.kind === 'st' ? o.index : 0;
}

/** The 11 bits that FOP keeps: the low three of the first opcode byte, then ModRM. */
function opcode(e: Emitter): number {
  const { bytes } = e.insn;
  const at = bytes.findIndex((b) => b >= 0xd8 && b <= 0xdf);
  return (((bytes[at] ?? 0) & 7) << 8) | (bytes[at + 1] ?? 0);
}

/** Where this instruction is and what it touches, for the exception pointers: after everything that can fault. */
function pointers(e: Emitter): void {
  e.op(UOP.ADDI64, SLOT.FIP, SLOT.RIP, e.insn.offset);
  e.op(UOP.CONST, SLOT.FOP_NOW, opcode(e), 0);
  const o = e.insn.operands.find((x) => x.kind === 'memory');
  if (o?.kind === 'memory') e.op(UOP.MOV, SLOT.FDP_NOW, e.effectiveAddress(o.memory), 0);
}

/** An instruction between registers: `f` with its numbers. */
const plain =
  (f: Helper, a = 0, b = 0): Lifter =>
  (e) => {
    e.help(ready, SLOT.VALUE);
    pointers(e);
    e.help(f, 0, a, b);
  };
/** Likewise with the register of operand i. */
const onRegister =
  (f: Helper, i: number, b = 0): Lifter =>
  (e) => {
    e.help(ready, SLOT.VALUE);
    pointers(e);
    e.help(f, 0, st(e, i), b);
  };

/** Loads the memory operand of 16 to 64 bits. */
function loadOperand(e: Emitter, i: number, width: RegisterWidth): number {
  const o = e.operand(i);
  return o.kind === 'memory' ? e.load(e.address(o.memory, width, false), width) : SLOT.ZERO;
}

const FLOAT_SOURCE: ReadonlyMap<number, Source> = new Map([
  [4, 'm32'],
  [8, 'm64'],
]);
const INTEGER_SOURCE: ReadonlyMap<number, Source> = new Map([
  [2, 'm16int'],
  [4, 'm32int'],
  [8, 'm64int'],
]);

/** A helper for each kind of source, for instructions that take a register or a memory operand. */
type BySource = Readonly<Record<Source, Helper>>;
const bySource = (make: (source: Source) => Helper): BySource => ({
  st: make('st'),
  m32: make('m32'),
  m64: make('m64'),
  m16int: make('m16int'),
  m32int: make('m32int'),
  m64int: make('m64int'),
});

/** One operand in memory, or destination and source registers; `b` pops. */
function withSource(helpers: BySource, integer: boolean, pops: number): Lifter {
  const sources = integer ? INTEGER_SOURCE : FLOAT_SOURCE;
  return (e) => {
    e.help(ready, SLOT.VALUE);
    const first = e.insn.operands[0];
    if (first?.kind === 'memory') {
      const { size } = first.memory;
      const value = loadOperand(e, 0, (size * 8) as RegisterWidth);
      pointers(e);
      e.help(helpers[sources.get(size) ?? 'm64'], 0, value, pops);
    } else {
      pointers(e);
      e.help(helpers.st, st(e, 0), st(e, 1), pops);
    }
  };
}

const ADD = bySource((s) => arithmetic.binary('add', false, s));
const SUB = bySource((s) => arithmetic.binary('sub', false, s));
const SUBR = bySource((s) => arithmetic.binary('sub', true, s));
const MUL = bySource((s) => arithmetic.binary('mul', false, s));
const DIV = bySource((s) => arithmetic.binary('div', false, s));
const DIVR = bySource((s) => arithmetic.binary('div', true, s));
const COMPARE = bySource((s) => compare.compareTo(s, false));
const LOAD = bySource(moves.load);
const unordered = compare.compareTo('st', true);

/** A memory operand of 80 bits: its low 64 and its upper 16. */
function extendedParts(
  e: Emitter,
  write: boolean,
): { readonly low: ReturnType<Emitter['address']>; readonly high: ReturnType<Emitter['address']> } | undefined {
  const o = e.operand(0);
  if (o.kind !== 'memory') return undefined;
  const m = o.memory;
  return { low: e.address(m, 64, write), high: e.address({ ...m, displacement: m.displacement + 8n }, 16, write) };
}
const loadExtended =
  (f: Helper): Lifter =>
  (e) => {
    e.help(ready, SLOT.VALUE);
    const at = extendedParts(e, false);
    if (at === undefined) return;
    const low = e.load(at.low, 64);
    const high = e.load(at.high, 16);
    pointers(e);
    e.help(f, 0, low, high);
  };

const fld: Lifter = (e) => {
  const o = e.operand(0);
  if (o.kind === 'memory' && o.memory.size === 10) loadExtended(moves.loadExtended)(e);
  else if (o.kind === 'memory') withSource(LOAD, false, 0)(e);
  else onRegister(moves.loadRegister, e.insn.operands.length - 1)(e);
};

/**
 * FST, FIST and their kin: what is stored is known before the store, exceptions and the pop come after it. A value that an exception withholds is not stored, but the memory
 * must be writable all the same.
 */
function store(e: Emitter, f: Helper, size: number, pops: number): void {
  e.help(ready, SLOT.VALUE);
  const o = e.operand(0);
  if (o.kind !== 'memory') return;
  const d = e.helpMany(f, 4);
  if (size === 10) {
    const at = extendedParts(e, true);
    if (at === undefined) return;
    e.probe(at.low, 8, true);
    e.probe(at.high, 2, true);
    const withheld = e.branch(UOP.BRNZ, d + 2);
    e.store(at.low, 64, d);
    e.store(at.high, 16, d + 1);
    withheld();
  } else {
    const w = (size * 8) as RegisterWidth;
    const at = e.address(o.memory, w, true);
    const withheld = e.branch(UOP.BRNZ, d + 2);
    e.store(at, w, d);
    const stored = e.branch(UOP.BR);
    withheld();
    e.probe(at, size, true);
    stored();
  }
  pointers(e);
  e.help(moves.finishStore, 0, d, pops);
}
const STORES: ReadonlyMap<number, Helper> = new Map([
  [4, moves.storeSingle],
  [8, moves.storeDouble],
  [10, moves.storeExtended],
]);
const INTEGER_STORES: ReadonlyMap<number, Helper> = new Map([
  [2, moves.storeInteger16],
  [4, moves.storeInteger32],
  [8, moves.storeInteger64],
]);

const fst =
  (pops: number): Lifter =>
  (e) => {
    const o = e.operand(0);
    if (o.kind === 'memory') store(e, STORES.get(o.memory.size) ?? moves.storeDouble, o.memory.size, pops);
    else onRegister(moves.storeRegister, 0, pops)(e);
  };
const fist =
  (pops: number): Lifter =>
  (e) => {
    const o = e.operand(0);
    if (o.kind === 'memory') store(e, INTEGER_STORES.get(o.memory.size) ?? moves.storeInteger32, o.memory.size, pops);
  };

/** FCOM and FUCOM name ST(0) and the other register; FCOMPP and FUCOMPP are encoded with ST(1). */
const compareRegisters =
  (f: Helper, pops: number): Lifter =>
  (e) =>
    onRegister(f, e.insn.operands.length - 1, pops)(e);
const fcom =
  (pops: number): Lifter =>
  (e) =>
    e.operand(0).kind === 'memory' ? withSource(COMPARE, false, pops)(e) : compareRegisters(COMPARE.st, pops)(e);

const compareToFlags = (quiet: boolean, pops: number): Lifter => {
  const f = compare.compareToFlags(quiet);
  return (e) => {
    e.help(ready, SLOT.VALUE);
    pointers(e);
    // an unmasked exception leaves the flags as they were
    const flags = e.getFlags();
    e.help(f, flags, st(e, 1), pops);
    e.putFlags(flags);
  };
};

/** Instructions that only check for #NM, not for a pending exception. */
const unchecked =
  (f: Helper): Lifter =>
  (e) => {
    e.help(available, SLOT.VALUE);
    e.help(f, 0);
  };
/** FNSTCW and FNSTSW: a word to memory or AX. */
const storeWord =
  (f: Helper): Lifter =>
  (e) => {
    e.help(available, SLOT.VALUE);
    const t = e.temp();
    e.help(f, t);
    e.write(0, t, 16);
  };
const fldcw: Lifter = (e) => {
  e.help(ready, SLOT.VALUE);
  e.help(moves.writeControl, 0, loadOperand(e, 0, 16));
};
const fninit: Helper = (s) => {
  initialize(s);
  return 0;
};
/** An instruction that moves a whole block of state. `checked`: a pending exception comes first. */
const block =
  (f: SystemFunction, checked: boolean): Lifter =>
  (e) => {
    e.help(checked ? ready : available, SLOT.VALUE);
    e.system(f);
  };
const nothing: Helper = () => 0;

const CMOVS: readonly (readonly [Mnemonic, number])[] = [
  [Mnemonic.Fcmovb, 2],
  [Mnemonic.Fcmovnb, 3],
  [Mnemonic.Fcmove, 4],
  [Mnemonic.Fcmovne, 5],
  [Mnemonic.Fcmovbe, 6],
  [Mnemonic.Fcmovnbe, 7],
  [Mnemonic.Fcmovu, 10],
  [Mnemonic.Fcmovnu, 11],
];

/** The x87 instructions (SDM vol. 1, 8.3; vol. 2). FISTTP belongs to SSE3, which the processor does not have. */
export const X87: LifterTable = new Map<number, Lifter>([
  [Mnemonic.Fadd, withSource(ADD, false, 0)],
  [Mnemonic.Faddp, withSource(ADD, false, 1)],
  [Mnemonic.Fiadd, withSource(ADD, true, 0)],
  [Mnemonic.Fsub, withSource(SUB, false, 0)],
  [Mnemonic.Fsubp, withSource(SUB, false, 1)],
  [Mnemonic.Fisub, withSource(SUB, true, 0)],
  [Mnemonic.Fsubr, withSource(SUBR, false, 0)],
  [Mnemonic.Fsubrp, withSource(SUBR, false, 1)],
  [Mnemonic.Fisubr, withSource(SUBR, true, 0)],
  [Mnemonic.Fmul, withSource(MUL, false, 0)],
  [Mnemonic.Fmulp, withSource(MUL, false, 1)],
  [Mnemonic.Fimul, withSource(MUL, true, 0)],
  [Mnemonic.Fdiv, withSource(DIV, false, 0)],
  [Mnemonic.Fdivp, withSource(DIV, false, 1)],
  [Mnemonic.Fidiv, withSource(DIV, true, 0)],
  [Mnemonic.Fdivr, withSource(DIVR, false, 0)],
  [Mnemonic.Fdivrp, withSource(DIVR, false, 1)],
  [Mnemonic.Fidivr, withSource(DIVR, true, 0)],
  [Mnemonic.Fsqrt, plain(arithmetic.sqrt)],
  [Mnemonic.Fscale, plain(arithmetic.scale)],
  [Mnemonic.Frndint, plain(arithmetic.roundToIntegral)],
  [Mnemonic.Fprem, plain(arithmetic.partialRemainder(false))],
  [Mnemonic.Fprem1, plain(arithmetic.partialRemainder(true))],
  [Mnemonic.Fxtract, plain(arithmetic.extract)],
  [Mnemonic.Fabs, plain(arithmetic.changeSign((w) => w & 0x7fff))],
  [Mnemonic.Fchs, plain(arithmetic.changeSign((w) => w ^ 0x8000))],
  [Mnemonic.Fsin, plain(arithmetic.sine)],
  [Mnemonic.Fcos, plain(arithmetic.cosine)],
  [Mnemonic.Fsincos, plain(arithmetic.sineAndCosine)],
  [Mnemonic.Fptan, plain(arithmetic.tangent)],
  [Mnemonic.Fpatan, plain(arithmetic.arctangent)],
  [Mnemonic.F2xm1, plain(arithmetic.exponential)],
  [Mnemonic.Fyl2x, plain(arithmetic.logarithm)],
  [Mnemonic.Fyl2xp1, plain(arithmetic.logarithmPlusOne)],
  [Mnemonic.Fcom, fcom(0)],
  [Mnemonic.Fcomp, fcom(1)],
  [Mnemonic.Fcompp, plain(COMPARE.st, 1, 2)],
  [Mnemonic.Ficom, withSource(COMPARE, true, 0)],
  [Mnemonic.Ficomp, withSource(COMPARE, true, 1)],
  [Mnemonic.Fucom, compareRegisters(unordered, 0)],
  [Mnemonic.Fucomp, compareRegisters(unordered, 1)],
  [Mnemonic.Fucompp, plain(unordered, 1, 2)],
  [Mnemonic.Fcomi, compareToFlags(false, 0)],
  [Mnemonic.Fcomip, compareToFlags(false, 1)],
  [Mnemonic.Fucomi, compareToFlags(true, 0)],
  [Mnemonic.Fucomip, compareToFlags(true, 1)],
  [Mnemonic.Ftst, plain(compare.compareTo('zero', false))],
  [Mnemonic.Fxam, plain(compare.examine)],
  [Mnemonic.Fld, fld],
  [Mnemonic.Fild, withSource(LOAD, true, 0)],
  [Mnemonic.Fbld, loadExtended(moves.loadDecimal)],
  [Mnemonic.Fld1, plain(moves.loadOne)],
  [Mnemonic.Fldz, plain(moves.loadZero)],
  [Mnemonic.Fldl2t, plain(moves.loadLog2of10)],
  [Mnemonic.Fldl2e, plain(moves.loadLog2ofE)],
  [Mnemonic.Fldpi, plain(moves.loadPi)],
  [Mnemonic.Fldlg2, plain(moves.loadLog10of2)],
  [Mnemonic.Fldln2, plain(moves.loadLn2)],
  [Mnemonic.Fst, fst(0)],
  [Mnemonic.Fstp, fst(1)],
  [Mnemonic.Fstpnce, onRegister(moves.storeUnchecked, 0)],
  [Mnemonic.Fist, fist(0)],
  [Mnemonic.Fistp, fist(1)],
  [Mnemonic.Fbstp, (e) => store(e, moves.storeDecimal, 10, 1)],
  [Mnemonic.Fxch, (e) => onRegister(moves.exchange, e.insn.operands.length - 1)(e)],
  ...CMOVS.map(([m, cc]): [number, Lifter] => [m, onRegister(moves.moveIf, 1, cc)]),
  [Mnemonic.Fincstp, plain(moves.turn, 1)],
  [Mnemonic.Fdecstp, plain(moves.turn, -1)],
  [Mnemonic.Ffree, onRegister(moves.release, 0)],
  [Mnemonic.Ffreep, onRegister(moves.release, 0, 1)],
  [Mnemonic.Fnop, plain(nothing)],
  [Mnemonic.Fldcw, fldcw],
  [Mnemonic.Fnstcw, storeWord(moves.readControl)],
  [Mnemonic.Fnstsw, storeWord(moves.readStatus)],
  [Mnemonic.Fnclex, unchecked(moves.clearExceptions)],
  [Mnemonic.Fninit, unchecked(fninit)],
  // what the 8087 and 80287 had of their own does nothing since the 80387
  [Mnemonic.Fneni, unchecked(nothing)],
  [Mnemonic.Fndisi, unchecked(nothing)],
  [Mnemonic.Fnsetpm, unchecked(nothing)],
  [Mnemonic.Fnstenv, block(environment.fnstenv, false)],
  [Mnemonic.Fldenv, block(environment.fldenv, true)],
  [Mnemonic.Fnsave, block(environment.fnsave, false)],
  [Mnemonic.Frstor, block(environment.frstor, true)],
  [Mnemonic.Fxsave, block(environment.fxsave, false)],
  [Mnemonic.Fxsave64, block(environment.fxsave, false)],
  [Mnemonic.Fxrstor, block(environment.fxrstor, false)],
  [Mnemonic.Fxrstor64, block(environment.fxrstor, false)],
  [Mnemonic.Xsave, (e) => e.system(environment.xsave)],
  [Mnemonic.Xsave64, (e) => e.system(environment.xsave)],
  [Mnemonic.Xrstor, (e) => e.system(environment.xrstor)],
  [Mnemonic.Xrstor64, (e) => e.system(environment.xrstor)],
  [Mnemonic.Wait, (e) => e.help(waiting, SLOT.VALUE)],
]);
