import { Mnemonic } from 'iced-x86';
import type { RegisterWidth } from '../../../isa/registers';
import { SLOT } from '../../state/layout';
import { UOP } from '../uop';
import type { Emitter } from './emitter';
import { byteSwap } from './swap';
import type { Lifter, LifterTable } from './table';

const RAX = 0;
const RDX = 2;
const RBX = 3;

const LOAD: Readonly<Record<RegisterWidth, number>> = { 8: UOP.LD8, 16: UOP.LD16, 32: UOP.LD32, 64: UOP.LD64 };
const SIGN_EXTEND: Readonly<Record<8 | 16 | 32, number>> = { 8: UOP.SX8, 16: UOP.SX16, 32: UOP.SX32 };

/** Loads memory operand `i` of `width` bits zero-extended straight into register `index`; loads that fault leave their destination alone. */
function loadInto(e: Emitter, i: number, width: RegisterWidth, index: number): void {
  const o = e.operand(i);
  if (o.kind !== 'memory') return;
  const at = e.address(o.memory, width, false);
  e.op(LOAD[width], index, at.slot, at.displacement, at.stack ? 2 : 0);
}

/** MOV between registers, memory and immediates, and from segment registers. Control, debug and segment destinations are system forms. */
const mov: Lifter = (e) => {
  const to = e.operand(0);
  const from = e.operand(1);
  if (from.kind === 'segment') {
    // a register gets the selector zero-extended to the operand size; memory always gets 16 bits
    const selector = SLOT.SELECTOR + from.index;
    if (to.kind === 'gpr') e.putGpr(to.index, to.width, selector);
    else e.write(0, selector, 16);
    return;
  }
  const w = e.width(0);
  if (to.kind !== 'gpr' || w < 32) {
    e.write(0, e.readLow(1, w), w);
  } else if (from.kind === 'memory') {
    loadInto(e, 1, w, to.index);
  } else if (from.kind === 'immediate') {
    e.op(UOP.CONST, to.index, Number(from.value & 0xffff_ffffn) | 0, Number(from.value >> 32n) | 0);
  } else {
    e.putGpr(to.index, w, e.readLow(1, w));
  }
};

const movzx: Lifter = (e) => {
  const to = e.operand(0);
  const from = e.width(1);
  const w = e.width(0);
  if (to.kind === 'gpr' && w >= 32 && e.operand(1).kind === 'memory') loadInto(e, 1, from, to.index);
  else e.write(0, e.read(1, from), w);
};

/** MOVSX and MOVSXD: sign-extends the source's own width to the destination's (equal widths are a plain move). */
const movsx: Lifter = (e) => {
  const w = e.width(0);
  const from = e.width(1);
  const value = e.readLow(1, from);
  const to = e.operand(0);
  if (w === 64 && from !== 64 && to.kind === 'gpr') e.op(SIGN_EXTEND[from], to.index, value, 0);
  else e.write(0, from === 64 || from >= w ? value : e.calc(SIGN_EXTEND[from], value, 0), w);
};

const lea: Lifter = (e) => {
  const m = e.operand(1);
  if (m.kind === 'memory') e.write(0, e.effectiveAddress(m.memory));
};

/** XCHG; with memory it is always a locked read-modify-write. */
const xchg: Lifter = (e) => {
  const w = e.width(0);
  const memory = e.operand(0).kind === 'memory' ? 0 : 1;
  const other = 1 - memory;
  const target = e.modify(memory, w);
  // a 64-bit register is its own slot: keep the value across the first write
  const held = target.inMemory || w !== 64 ? target.value : e.calc(UOP.MOV, target.value, 0);
  target.write(e.read(other, w));
  e.write(other, held, w);
};

/** BSWAP of a 16-bit register is undefined; CPUs store zero (SDM vol. 2, BSWAP). */
const bswap: Lifter = (e) => {
  const w = e.width(0);
  if (w === 16) e.write(0, SLOT.ZERO, w);
  else e.write(0, byteSwap(e, e.read(0, w), w), w);
};

const movbe: Lifter = (e) => {
  const w = e.width(0);
  e.write(0, byteSwap(e, e.read(1, w), w), w);
};

/** CBW CWDE CDQE: the low half of the accumulator sign-extended. */
function extendAccumulator(from: 8 | 16 | 32, to: 16 | 32 | 64): Lifter {
  return (e) => e.putGpr(RAX, to, e.calc(SIGN_EXTEND[from], RAX, 0));
}

/** CWD CDQ CQO: (R/E)DX filled with the accumulator's sign. */
function signToData(width: 16 | 32 | 64): Lifter {
  return (e) => {
    const wide = width === 64 ? RAX : e.calc(SIGN_EXTEND[width], RAX, 0);
    e.putGpr(RDX, width, e.calc(UOP.SARI64, wide, 63));
  };
}

/** CMOVcc loads its source whatever the condition says, and a 32-bit destination is zero-extended either way. */
function cmov(cc: number): Lifter {
  return (e) => {
    const w = e.width(0);
    const to = e.operand(0);
    if (to.kind !== 'gpr') return;
    const from = e.readLow(1, w);
    e.putGpr(to.index, w, e.select(cc, from, to.index));
  };
}

function setcc(cc: number): Lifter {
  return (e) => e.write(0, e.setcc(cc), 8);
}

/** XLAT: AL ← [segment:(E/R)BX + AL]. */
const xlat: Lifter = (e) => {
  const bits = e.insn.addressBits;
  const at = e.calc(UOP.ADD64, RBX, e.getGpr(RAX, 8));
  const offset = bits === 64 ? at : e.zeroExtend(at, bits);
  const segment = e.insn.segmentPrefix >= 0 ? e.insn.segmentPrefix : 3;
  e.putGpr(RAX, 8, e.load(e.addressAt(segment, offset, bits, 8, false), 8));
};

/** AH ← SF ZF 0 AF 0 PF 1 CF. */
const lahf: Lifter = (e) => e.putGpr(RAX, 8, e.calc(UOP.OR32, e.getFlags(), e.constant(2)), 8);

/** The reverse; OF stays. */
const sahf: Lifter = (e) => {
  const overflow = e.calc(UOP.AND32, e.getFlags(), e.constant(0x800));
  const low = e.calc(UOP.AND32, e.getGpr(RAX, 8, 8), e.constant(0xd5));
  e.putFlags(e.calc(UOP.OR32, overflow, low));
};

const CMOV = [
  Mnemonic.Cmovo,
  Mnemonic.Cmovno,
  Mnemonic.Cmovb,
  Mnemonic.Cmovae,
  Mnemonic.Cmove,
  Mnemonic.Cmovne,
  Mnemonic.Cmovbe,
  Mnemonic.Cmova,
  Mnemonic.Cmovs,
  Mnemonic.Cmovns,
  Mnemonic.Cmovp,
  Mnemonic.Cmovnp,
  Mnemonic.Cmovl,
  Mnemonic.Cmovge,
  Mnemonic.Cmovle,
  Mnemonic.Cmovg,
] as const;
const SETCC = [
  Mnemonic.Seto,
  Mnemonic.Setno,
  Mnemonic.Setb,
  Mnemonic.Setae,
  Mnemonic.Sete,
  Mnemonic.Setne,
  Mnemonic.Setbe,
  Mnemonic.Seta,
  Mnemonic.Sets,
  Mnemonic.Setns,
  Mnemonic.Setp,
  Mnemonic.Setnp,
  Mnemonic.Setl,
  Mnemonic.Setge,
  Mnemonic.Setle,
  Mnemonic.Setg,
] as const;

/** MOV MOVZX MOVSX MOVSXD LEA XCHG BSWAP MOVBE CBW CWDE CDQE CWD CDQ CQO CMOVcc SETcc XLAT LAHF SAHF (SDM vol. 2). */
export const MOV: LifterTable = new Map<number, Lifter>([
  [Mnemonic.Mov, mov],
  [Mnemonic.Movzx, movzx],
  [Mnemonic.Movsx, movsx],
  [Mnemonic.Movsxd, movsx],
  [Mnemonic.Lea, lea],
  [Mnemonic.Xchg, xchg],
  [Mnemonic.Bswap, bswap],
  [Mnemonic.Movbe, movbe],
  [Mnemonic.Cbw, extendAccumulator(8, 16)],
  [Mnemonic.Cwde, extendAccumulator(16, 32)],
  [Mnemonic.Cdqe, extendAccumulator(32, 64)],
  [Mnemonic.Cwd, signToData(16)],
  [Mnemonic.Cdq, signToData(32)],
  [Mnemonic.Cqo, signToData(64)],
  [Mnemonic.Xlatb, xlat],
  [Mnemonic.Lahf, lahf],
  [Mnemonic.Sahf, sahf],
  ...CMOV.map((m, cc): [number, Lifter] => [m, cmov(cc)]),
  ...SETCC.map((m, cc): [number, Lifter] => [m, setcc(cc)]),
]);
