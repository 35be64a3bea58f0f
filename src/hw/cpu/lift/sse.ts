import { Mnemonic } from 'iced-x86';
import type { Operation } from '../../fpu/arithmetic';
import * as arithmetic from '../sse/arithmetic';
import type { Lane } from '../sse/arithmetic';
import * as convert from '../sse/convert';
import * as integer from '../sse/integer';
import * as shuffle from '../sse/shuffle';
import { UOP } from '../uop';
import type { Helper } from './helpers';
import { LANES, PACKS, SHIFTS } from './packed-integers';
import { SSE_MOVES } from './sse-moves';
import { bitwise, immediate, requireSse, source, vector, vectorImmediate, xmm } from './sse-operands';
import type { Lifter, LifterTable } from './table';

type Row = [number, Lifter];

/** PS SS PD SD forms of an operation, in that order. */
type Forms = readonly [Mnemonic, Mnemonic, Mnemonic, Mnemonic];
const SHAPES = [
  [32, true],
  [32, false],
  [64, true],
  [64, false],
] as const;
const bytesOf = (width: Lane, packed: boolean): 4 | 8 | 16 => (packed ? 16 : width === 32 ? 4 : 8);
const forms = (mnemonics: Forms, make: (width: Lane, packed: boolean) => Helper): Row[] =>
  SHAPES.map(([width, packed], i): Row => [
    mnemonics[i] as number,
    vector(make(width, packed), bytesOf(width, packed)),
  ]);
const binary = (op: Operation, mnemonics: Forms): Row[] =>
  forms(mnemonics, (width, packed) => arithmetic.binary(op, width, packed));

/** CMPccPS and its kin; a predicate above 7 is for AVX only: the upper bits of the immediate are reserved, and ignored. */
const compare = (mnemonics: Forms): Row[] =>
  SHAPES.map(([width, packed], i): Row => {
    const helpers = Array.from({ length: 8 }, (_, predicate) => arithmetic.compareLanes(predicate, width, packed));
    return [
      mnemonics[i] as number,
      (e) => {
        const helper = helpers[immediate(e, 2) & 7];
        if (helper !== undefined) vector(helper, bytesOf(width, packed))(e);
      },
    ];
  });

const compareToFlags = (signaling: boolean, width: Lane): Lifter => {
  const f = arithmetic.compareToFlags(signaling, width);
  return (e) => {
    requireSse(e);
    const b = source(e, 1, width === 32 ? 4 : 8);
    const flags = e.temp();
    e.help(f, flags, xmm(e, 0), b);
    e.putFlags(flags);
  };
};

/** Into a general register of 32 or 64 bits. */
const toGeneral = (from: Lane, truncate: boolean): Lifter => {
  const helpers = { 32: convert.toInteger(from, 32, truncate), 64: convert.toInteger(from, 64, truncate) };
  return (e) => {
    requireSse(e);
    const b = source(e, 1, from === 32 ? 4 : 8);
    const w = e.width(0) === 64 ? 64 : 32;
    const t = e.temp();
    e.help(helpers[w], t, t, b);
    e.write(0, t, w);
  };
};
const fromGeneral = (to: Lane): Lifter => {
  const helpers = { 32: convert.scalarFromInteger(32, to), 64: convert.scalarFromInteger(64, to) };
  return (e) => {
    requireSse(e);
    const w = e.width(1) === 64 ? 64 : 32;
    const d = xmm(e, 0);
    e.help(helpers[w], d, d, e.readLow(1, w));
  };
};

/** Shifts of all lanes by an immediate or by the low half of a register or memory operand. */
const shift = (f: (typeof integer.SHIFTS)[keyof typeof integer.SHIFTS]): Lifter => {
  const byNumber = integer.shiftByNumber(f);
  const bySlot = vector(integer.shiftBySlot(f));
  return (e) => {
    if (e.operand(1).kind !== 'immediate') {
      bySlot(e);
      return;
    }
    requireSse(e);
    e.help(byNumber, xmm(e, 0), 0, immediate(e, 1));
  };
};
const shiftBytes = (left: boolean): Lifter => {
  const f = integer.shiftBytes(left);
  return (e) => {
    requireSse(e);
    e.help(f, xmm(e, 0), 0, immediate(e, 1));
  };
};

const pextrw: Lifter = (e) => {
  requireSse(e);
  const t = e.temp();
  e.help(shuffle.pextrw, t, xmm(e, 1), immediate(e, 2));
  e.write(0, t);
};
const pinsrw: Lifter = (e) => {
  requireSse(e);
  const a = e.readLow(1, 16);
  e.help(shuffle.pinsrw, xmm(e, 0), a, immediate(e, 2));
};
/** Instructions of one form only: xmm, xmm/m128. */
const plain = (rows: readonly (readonly [Mnemonic, Helper])[]): Row[] => rows.map(([m, f]): Row => [m, vector(f)]);

const AND = bitwise(UOP.AND64);
const ANDN = bitwise(UOP.AND64, true);
const OR = bitwise(UOP.OR64);
const XOR = bitwise(UOP.XOR64);

/** Instructions of SSE and SSE2 on XMM registers (SDM vol. 1, 10 and 11), by mnemonic; MOVSD and CMPSD are string instructions too, which have other operands. */
export const SSE: LifterTable = new Map<number, Lifter>([
  ...SSE_MOVES,
  ...binary('add', [Mnemonic.Addps, Mnemonic.Addss, Mnemonic.Addpd, Mnemonic.Addsd]),
  ...binary('sub', [Mnemonic.Subps, Mnemonic.Subss, Mnemonic.Subpd, Mnemonic.Subsd]),
  ...binary('mul', [Mnemonic.Mulps, Mnemonic.Mulss, Mnemonic.Mulpd, Mnemonic.Mulsd]),
  ...binary('div', [Mnemonic.Divps, Mnemonic.Divss, Mnemonic.Divpd, Mnemonic.Divsd]),
  ...forms([Mnemonic.Sqrtps, Mnemonic.Sqrtss, Mnemonic.Sqrtpd, Mnemonic.Sqrtsd], arithmetic.sqrt),
  ...forms([Mnemonic.Minps, Mnemonic.Minss, Mnemonic.Minpd, Mnemonic.Minsd], (w, p) => arithmetic.extreme(false, w, p)),
  ...forms([Mnemonic.Maxps, Mnemonic.Maxss, Mnemonic.Maxpd, Mnemonic.Maxsd], (w, p) => arithmetic.extreme(true, w, p)),
  ...compare([Mnemonic.Cmpps, Mnemonic.Cmpss, Mnemonic.Cmppd, Mnemonic.Cmpsd]),
  [Mnemonic.Comiss, compareToFlags(true, 32)],
  [Mnemonic.Comisd, compareToFlags(true, 64)],
  [Mnemonic.Ucomiss, compareToFlags(false, 32)],
  [Mnemonic.Ucomisd, compareToFlags(false, 64)],
  [Mnemonic.Rcpps, vector(arithmetic.approximate(false, true))],
  [Mnemonic.Rcpss, vector(arithmetic.approximate(false, false), 4)],
  [Mnemonic.Rsqrtps, vector(arithmetic.approximate(true, true))],
  [Mnemonic.Rsqrtss, vector(arithmetic.approximate(true, false), 4)],

  [Mnemonic.Cvtss2sd, vector(convert.scalarResize(32), 4)],
  [Mnemonic.Cvtsd2ss, vector(convert.scalarResize(64), 8)],
  [Mnemonic.Cvtps2pd, vector(convert.widen, 8)],
  [Mnemonic.Cvtpd2ps, vector(convert.narrow)],
  [Mnemonic.Cvtss2si, toGeneral(32, false)],
  [Mnemonic.Cvttss2si, toGeneral(32, true)],
  [Mnemonic.Cvtsd2si, toGeneral(64, false)],
  [Mnemonic.Cvttsd2si, toGeneral(64, true)],
  [Mnemonic.Cvtsi2ss, fromGeneral(32)],
  [Mnemonic.Cvtsi2sd, fromGeneral(64)],
  [Mnemonic.Cvtdq2ps, vector(convert.integersToSingles)],
  [Mnemonic.Cvtdq2pd, vector(convert.integersToDoubles, 8)],
  [Mnemonic.Cvtps2dq, vector(convert.singlesToIntegers(false))],
  [Mnemonic.Cvttps2dq, vector(convert.singlesToIntegers(true))],
  [Mnemonic.Cvtpd2dq, vector(convert.doublesToIntegers(false))],
  [Mnemonic.Cvttpd2dq, vector(convert.doublesToIntegers(true))],

  [Mnemonic.Andps, AND],
  [Mnemonic.Andpd, AND],
  [Mnemonic.Pand, AND],
  [Mnemonic.Andnps, ANDN],
  [Mnemonic.Andnpd, ANDN],
  [Mnemonic.Pandn, ANDN],
  [Mnemonic.Orps, OR],
  [Mnemonic.Orpd, OR],
  [Mnemonic.Por, OR],
  [Mnemonic.Xorps, XOR],
  [Mnemonic.Xorpd, XOR],
  [Mnemonic.Pxor, XOR],
  [Mnemonic.Paddq, bitwise(UOP.ADD64)],
  [Mnemonic.Psubq, bitwise(UOP.SUB64)],
  ...plain([
    ...LANES,
    [Mnemonic.Punpcklbw, shuffle.interleave(1, false)],
    [Mnemonic.Punpcklwd, shuffle.interleave(2, false)],
    [Mnemonic.Punpckldq, shuffle.interleave(4, false)],
    [Mnemonic.Punpcklqdq, shuffle.interleave(8, false)],
    [Mnemonic.Punpckhbw, shuffle.interleave(1, true)],
    [Mnemonic.Punpckhwd, shuffle.interleave(2, true)],
    [Mnemonic.Punpckhdq, shuffle.interleave(4, true)],
    [Mnemonic.Punpckhqdq, shuffle.interleave(8, true)],
    [Mnemonic.Unpcklps, shuffle.interleave(4, false)],
    [Mnemonic.Unpckhps, shuffle.interleave(4, true)],
    [Mnemonic.Unpcklpd, shuffle.interleave(8, false)],
    [Mnemonic.Unpckhpd, shuffle.interleave(8, true)],
    ...PACKS,
  ]),
  ...SHIFTS.map(([m, f]): Row => [m, shift(f)]),
  [Mnemonic.Pslldq, shiftBytes(true)],
  [Mnemonic.Psrldq, shiftBytes(false)],
  [Mnemonic.Pshufd, vectorImmediate(shuffle.pshufd)],
  [Mnemonic.Pshuflw, vectorImmediate(shuffle.pshufw(false))],
  [Mnemonic.Pshufhw, vectorImmediate(shuffle.pshufw(true))],
  [Mnemonic.Shufps, vectorImmediate(shuffle.shufps)],
  [Mnemonic.Shufpd, vectorImmediate(shuffle.shufpd)],
  [Mnemonic.Pextrw, pextrw],
  [Mnemonic.Pinsrw, pinsrw],
]);
