import { Mnemonic } from 'iced-x86';
import { RFLAGS } from '../../../isa/flags';
import { VECTOR } from '../../../isa/exceptions';
import { invalidReason } from './invalid';
import { HELPER_FAULT } from '../helper-faults';
import { because } from '../../../isa/reasons/index';
import { SLOT } from '../../state/layout';
import type { SystemFunction } from '../system/table';
import { UOP } from '../uop';
import type { Address } from './emitter';
import type { Helper } from './helpers';
import { FLAG } from './result-flags';
import type { Lifter, LifterTable } from './table';

/** #UD: the bytes are not an instruction. */
export const raiseInvalidOpcode: SystemFunction = (core) => core.raise(VECTOR.UD, invalidReason(core.insn));
/** #UD: the CPU model does not have the instruction. */
export const raiseMissingInstruction: SystemFunction = (core) => core.raise(VECTOR.UD, because('opcode-not-in-model'));
/** #GP(0): longer than 15 bytes. */
export const raiseOverlong: SystemFunction = (core) => core.raise(VECTOR.GP, because('instruction-length'), 0);
const raiseUd: SystemFunction = (core) => core.raise(VECTOR.UD, because('opcode-ud'));

const nop: Lifter = () => undefined;
const undefinedOpcode: Lifter = (e) => e.system(raiseUd);

const clc: Lifter = (e) => e.putFlags(e.calc(UOP.AND32, e.getFlags(), e.constant(~FLAG.CF)));
const stc: Lifter = (e) => e.putFlags(e.calc(UOP.OR32, e.getFlags(), e.constant(FLAG.CF)));
const cmc: Lifter = (e) => e.putFlags(e.calc(UOP.XOR32, e.getFlags(), e.constant(FLAG.CF)));

/** DF lies in the RFLAGS slot itself, not among the lazy flags. */
const cld: Lifter = (e) => e.op(UOP.AND64, SLOT.RFLAGS, SLOT.RFLAGS, e.constant(~(1n << BigInt(RFLAGS.DF))));
const std: Lifter = (e) => e.op(UOP.OR64, SLOT.RFLAGS, SLOT.RFLAGS, e.constant(1n << BigInt(RFLAGS.DF)));

/** SALC: AL ← CF ? 0xff : 0 (AMD APM vol. 3 does not list it, every CPU has it; not in 64-bit mode). */
const salc: Lifter = (e) => e.putGpr(0, 8, e.calc(UOP.SUB32, SLOT.ZERO, e.carry()));

/** #BR unless lower (slot d) ≤ a ≤ upper (b), signed, already sign-extended to 64 bits. */
const outsideBounds: Helper = (s, d, a, b) => {
  const index = BigInt.asIntN(64, s.get(a));
  return index < BigInt.asIntN(64, s.get(d)) || index > BigInt.asIntN(64, s.get(b)) ? HELPER_FAULT.BOUND : 0;
};

const bound: Lifter = (e) => {
  const w = e.width(0);
  const o = e.operand(1);
  if (o.kind !== 'memory') return;
  const at = e.address(o.memory, w === 16 ? 32 : 64, false);
  const second: Address = { ...at, displacement: at.displacement + w / 8 };
  const lower = e.signExtend(e.load(at, w), w, 64);
  const upper = e.signExtend(e.load(second, w), w, 64);
  const index = e.signExtend(e.readLow(0, w), w, 64);
  e.help(outsideBounds, lower, index, upper);
};

/** Cache-line flushes touch memory as a load of one byte does, and change nothing that is modelled (SDM vol. 2, CLFLUSH). */
const flushLine: Lifter = (e) => {
  const o = e.operand(0);
  if (o.kind === 'memory') e.probe(e.address(o.memory, 8, false), 1, false);
};

/** Without CET, its hint-space instructions are the NOPs they were. RDSSP leaves its destination alone (SDM vol. 2, RDSSPD). */
const NOPS = [
  Mnemonic.Nop,
  Mnemonic.Reservednop,
  Mnemonic.Endbr32,
  Mnemonic.Endbr64,
  Mnemonic.Rdsspd,
  Mnemonic.Rdsspq,
  Mnemonic.Prefetch,
  Mnemonic.Prefetchw,
  Mnemonic.Prefetchwt1,
  Mnemonic.Prefetchnta,
  Mnemonic.Prefetcht0,
  Mnemonic.Prefetcht1,
  Mnemonic.Prefetcht2,
  Mnemonic.Lfence,
  Mnemonic.Mfence,
  Mnemonic.Sfence,
  Mnemonic.Cldemote,
] as const;

/** Flag instructions, NOPs, fences, BOUND, and what always raises #UD. */
export const MISC: LifterTable = new Map<number, Lifter>([
  ...NOPS.map((m): [number, Lifter] => [m, nop]),
  [Mnemonic.Clc, clc],
  [Mnemonic.Stc, stc],
  [Mnemonic.Cmc, cmc],
  [Mnemonic.Cld, cld],
  [Mnemonic.Std, std],
  [Mnemonic.Salc, salc],
  [Mnemonic.Bound, bound],
  [Mnemonic.Clflush, flushLine],
  [Mnemonic.Clflushopt, flushLine],
  [Mnemonic.Clwb, flushLine],
  [Mnemonic.Ud0, undefinedOpcode],
  [Mnemonic.Ud1, undefinedOpcode],
  [Mnemonic.Ud2, undefinedOpcode],
]);
