import {
  DOUBLE,
  FP,
  INDEFINITE,
  ONE,
  SINGLE,
  EXTENDED,
  fromInteger,
  isNaN,
  packDouble,
  packExtended,
  packSingle,
  quieted,
  zero,
  type Float,
} from '../../fpu/float';
import { exact, round, roundToInteger, type Exact } from '../../fpu/round';
import { CONSTANTS } from '../../fpu/transcendental';
import type { CpuState } from '../../state/cpu-state';
import { condition } from '../../state/lazy-flags';
import type { Helper } from '../lift/helpers';
import { operandOf, type Source } from './operands';
import {
  STACK_FAULT,
  controlWord,
  free,
  isEmpty,
  note,
  pop,
  push,
  rawSt,
  readSt,
  roomToPush,
  rotate,
  roundingControl,
  setControlWord,
  refreshSummary,
  setStatusWord,
  statusWord,
  FSW,
  underflow,
  unmasked,
  writeRaw,
  writeSt,
} from './registers';

// ---- pushing

/**
 * FLD m32 and m64, FILD: the value in slot a. Loading a denormal single or double is a denormal-operand exception, which unlike others does not withhold the value; 80-bit
 * loads have none.
 */
export function load(source: Source): Helper {
  return (s, _d, a) => {
    if (!roomToPush(s)) return 0;
    const x = operandOf(s, source, a);
    if (x === undefined) return 0;
    const flags = x.kind === 'signaling' ? FP.INVALID : x.denormal ? FP.DENORMAL : 0;
    if ((note(s, flags, false) & FP.INVALID) === 0) push(s, quieted(x));
    return 0;
  };
}
/** FLD m80: significand in slot a, sign and exponent in slot b. */
export const loadExtended: Helper = (s, _d, a, b) => {
  if (!roomToPush(s)) return 0;
  const significand = s.get(a);
  const signExponent = s.get32(b) & 0xffff;
  note(s, 0, false);
  rotate(s, -1);
  writeRaw(s, 0, signExponent, significand);
  return 0;
};
/** FLD ST(a). */
export const loadRegister: Helper = (s, _d, a) => {
  if (isEmpty(s, a)) {
    // an empty source and a full stack at once cannot tell which came first: the source is read first
    if (underflow(s)) push(s, INDEFINITE);
    return 0;
  }
  if (!roomToPush(s)) return 0;
  const { signExponent, significand } = rawSt(s, a);
  note(s, 0, false);
  rotate(s, -1);
  writeRaw(s, 0, signExponent, significand);
  return 0;
};

/** FLD1, FLDZ and the constants that are rounded by the rounding control (no exception comes of that). */
function constant(value: (s: CpuState) => Float): Helper {
  return (s) => {
    if (!roomToPush(s)) return 0;
    note(s, 0, false);
    push(s, value(s));
    return 0;
  };
}
const irrational = (of: () => Exact): Helper => {
  let known: Exact | undefined;
  return constant((s) => round((known ??= of()), EXTENDED, roundingControl(s)).value);
};
export const loadOne = constant(() => ONE);
export const loadZero = constant(() => zero(0));
export const loadLog2of10 = irrational(CONSTANTS.log2of10);
export const loadLog2ofE = irrational(CONSTANTS.log2ofE);
export const loadPi = irrational(CONSTANTS.pi);
export const loadLog10of2 = irrational(CONSTANTS.log10of2);
export const loadLn2 = irrational(CONSTANTS.ln2);

/** FBLD: 18 decimal digits, two in a byte, sign in bit 79. Slot a holds the low 8 bytes, b the upper 2. Digits above nine are undefined and count as they are. */
export const loadDecimal: Helper = (s, _d, a, b) => {
  if (!roomToPush(s)) return 0;
  const low = s.get(a);
  const high = BigInt(s.get32(b));
  let n = 0n;
  for (let i = 17n; i >= 0n; i--) n = n * 10n + ((i < 16n ? low >> (4n * i) : high >> (4n * (i - 16n))) & 15n);
  note(s, 0, false);
  const f = fromInteger(n);
  push(s, { ...f, sign: (high & 0x8000n) !== 0n ? 1 : 0 });
  return 0;
};

// ---- storing

/**
 * What a store to memory will do, found before the store that may fault: the value in slot d (an 80-bit one's upper part in d + 1), 1 in d + 2 if nothing is to be stored,
 * and in d + 3 the exceptions (bits 7:0) and C1 (bit 8) for `finishStore` to note.
 */
interface Stored {
  readonly value: bigint;
  readonly high?: number;
  readonly flags: number;
  readonly up: boolean;
}
const WITHHOLDING = FP.INVALID | FP.OVERFLOW | FP.UNDERFLOW;

function storing(convert: (s: CpuState, x: Float) => Stored, ofEmpty: Stored): Helper {
  return (s, d) => {
    const r = isEmpty(s, 0) ? ofEmpty : convert(s, readSt(s, 0));
    s.set(d, r.value);
    s.set32(d + 1, r.high ?? 0);
    s.set32(d + 2, (unmasked(s, r.flags) & WITHHOLDING) !== 0 ? 1 : 0);
    s.set32(d + 3, r.flags | (r.up ? 0x100 : 0));
    return 0;
  };
}
/** After the store: exceptions into the status word, and b pops unless the value was withheld (slot a: the first of `storing`'s results). */
export const finishStore: Helper = (s, _d, a, b) => {
  const noted = s.get32(a + 3);
  note(s, noted & 0xff, (noted & 0x100) !== 0);
  if (s.get32(a + 2) === 0) pop(s, b);
  return 0;
};

const floatStore = (width: 32 | 64): Helper => {
  const pack = (f: Float): bigint => (width === 32 ? BigInt(packSingle(f) >>> 0) : packDouble(f));
  const indefinite = pack(INDEFINITE);
  return storing(
    (s, x) => {
      if (x.kind === 'unsupported') return { value: indefinite, flags: FP.INVALID, up: false };
      if (isNaN(x)) return { value: pack(quieted(x)), flags: x.kind === 'signaling' ? FP.INVALID : 0, up: false };
      if (x.kind !== 'finite') return { value: pack(x), flags: 0, up: false };
      const r = round(exact(x.sign, x.significand, x.exponent), width === 32 ? SINGLE : DOUBLE, roundingControl(s));
      // a value withheld is not rounded: no precision exception, C1 clear
      if ((unmasked(s, r.flags) & WITHHOLDING) !== 0) return { value: 0n, flags: r.flags & ~FP.PRECISION, up: false };
      return { value: pack(r.value), flags: r.flags, up: r.up };
    },
    { value: indefinite, flags: STACK_FAULT, up: false },
  );
};
export const storeSingle = floatStore(32);
export const storeDouble = floatStore(64);

/** FSTP m80: any encoding as it is. */
export const storeExtended: Helper = (s, d) => {
  const empty = isEmpty(s, 0);
  const { signExponent, significand } = empty ? packExtended(INDEFINITE) : rawSt(s, 0);
  s.set(d, significand);
  s.set32(d + 1, signExponent);
  s.set32(d + 2, empty && unmasked(s, STACK_FAULT) !== 0 ? 1 : 0);
  s.set32(d + 3, empty ? STACK_FAULT : 0);
  return 0;
};

/** The integer that FIST and FBSTP take; undefined where it is none. */
function integerOf(
  s: CpuState,
  x: Float,
): { readonly n: bigint; readonly inexact: boolean; readonly up: boolean } | undefined {
  if (x.kind === 'zero') return { n: 0n, inexact: false, up: false };
  if (x.kind !== 'finite' || x.exponent > 64) return undefined;
  const r = roundToInteger(exact(x.sign, x.significand, x.exponent), roundingControl(s).rounding);
  return { n: x.sign === 1 ? -r.significand : r.significand, inexact: r.inexact, up: r.up };
}

const integerStore = (width: 16 | 32 | 64): Helper => {
  const indefinite: Stored = { value: 1n << BigInt(width - 1), flags: FP.INVALID, up: false };
  return storing(
    (s, x) => {
      const r = integerOf(s, x);
      if (r === undefined || BigInt.asIntN(width, r.n) !== r.n) return indefinite;
      return { value: BigInt.asUintN(width, r.n), flags: r.inexact ? FP.PRECISION : 0, up: r.up };
    },
    { ...indefinite, flags: STACK_FAULT },
  );
};
export const storeInteger16 = integerStore(16);
export const storeInteger32 = integerStore(32);
export const storeInteger64 = integerStore(64);

/** FBSTP's packed decimal indefinite: FFFF C000 0000 0000 0000. */
const DECIMAL_INDEFINITE: Stored = { value: 0xc000_0000_0000_0000n, high: 0xffff, flags: FP.INVALID, up: false };
export const storeDecimal: Helper = storing(
  (s, x) => {
    const r = integerOf(s, x);
    let left = r === undefined ? 0n : r.n < 0n ? -r.n : r.n;
    if (r === undefined || left >= 1_000_000_000_000_000_000n) return DECIMAL_INDEFINITE;
    let packed = 0n;
    for (let i = 0n; left !== 0n; i += 4n, left /= 10n) packed |= (left % 10n) << i;
    return {
      value: packed & 0xffff_ffff_ffff_ffffn,
      high: Number(packed >> 64n) | (x.sign === 1 ? 0x8000 : 0),
      flags: r.inexact ? FP.PRECISION : 0,
      up: r.up,
    };
  },
  { ...DECIMAL_INDEFINITE, flags: STACK_FAULT },
);

/** FST and FSTP to ST(a), b pops. */
export const storeRegister: Helper = (s, _d, a, b) => {
  if (isEmpty(s, 0)) {
    if (!underflow(s)) return 0;
    writeSt(s, a, INDEFINITE);
  } else {
    const { signExponent, significand } = rawSt(s, 0);
    note(s, 0, false);
    writeRaw(s, a, signExponent, significand);
  }
  pop(s, b);
  return 0;
};

/** FSTPNCE ST(a): FSTP without a check; an empty register is popped and not stored. */
export const storeUnchecked: Helper = (s, _d, a) => {
  note(s, 0, false);
  if (!isEmpty(s, 0)) {
    const { signExponent, significand } = rawSt(s, 0);
    writeRaw(s, a, signExponent, significand);
  }
  pop(s, 1);
  return 0;
};

// ---- between registers

/** FXCH ST(a): an empty register counts as the default NaN, if that is masked. */
export const exchange: Helper = (s, _d, a) => {
  if ((isEmpty(s, 0) || isEmpty(s, a)) && !underflow(s)) return 0;
  const absent = packExtended(INDEFINITE);
  const x = isEmpty(s, 0) ? absent : rawSt(s, 0);
  const y = isEmpty(s, a) ? absent : rawSt(s, a);
  if (!isEmpty(s, 0) && !isEmpty(s, a)) note(s, 0, false);
  writeRaw(s, 0, y.signExponent, y.significand);
  writeRaw(s, a, x.signExponent, x.significand);
  return 0;
};

/** FCMOVcc ST(0), ST(a) with condition b. Both registers must be there whatever the condition says. */
export const moveIf: Helper = (s, _d, a, b) => {
  if (isEmpty(s, 0) || isEmpty(s, a)) {
    if (underflow(s)) writeSt(s, 0, INDEFINITE);
    return 0;
  }
  if (!condition(s.r32, b)) return 0;
  const { signExponent, significand } = rawSt(s, a);
  writeRaw(s, 0, signExponent, significand);
  return 0;
};

/** FINCSTP and FDECSTP: TOP + a, tags and contents stay. */
export const turn: Helper = (s, _d, a) => {
  note(s, 0, false);
  rotate(s, a);
  return 0;
};
/** FFREE ST(a), and FFREEP with b pops. */
export const release: Helper = (s, _d, a, b) => {
  note(s, 0, false);
  free(s, a);
  pop(s, b);
  return 0;
};

// ---- control and status words

/** FNSTCW and FNSTSW: into slot d. */
export const readControl: Helper = (s, d) => {
  s.set32(d, controlWord(s));
  return 0;
};
export const readStatus: Helper = (s, d) => {
  s.set32(d, statusWord(s));
  return 0;
};
/** FLDCW: slot a. Unmasking a flagged exception makes it pending. */
export const writeControl: Helper = (s, _d, a) => {
  setControlWord(s, s.get32(a) & 0xffff);
  refreshSummary(s);
  return 0;
};
/** FNCLEX. */
export const clearExceptions: Helper = (s) => {
  setStatusWord(s, statusWord(s) & (FSW.TOP | FSW.CONDITIONS));
  return 0;
};
