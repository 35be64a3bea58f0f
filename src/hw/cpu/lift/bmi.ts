import { Mnemonic } from 'iced-x86';
import type { RegisterWidth } from '../../../isa/registers';
import type { Helper } from './helpers';
import { FLAG, currentFlags, setFlagResult, signZeroParity } from './result-flags';
import type { Lifter, LifterTable } from './table';

/** A computation on one or two sources at width w; `cf` is given where the instruction sets it, else CF is cleared. */
interface Computed {
  readonly value: bigint;
  readonly cf?: boolean;
}
type Compute = (w: number, a: bigint, b: bigint) => Computed;

const ones = (n: number): bigint => (1n << BigInt(n)) - 1n;

/** Scatters the low bits of `a` to the set positions of `mask`. */
function deposit(w: number, a: bigint, mask: bigint): bigint {
  let value = 0n;
  let next = 0n;
  for (let i = 0n; i < BigInt(w); i++) {
    if (((mask >> i) & 1n) === 0n) continue;
    value |= ((a >> next) & 1n) << i;
    next++;
  }
  return value;
}
/** Gathers the bits of `a` at the set positions of `mask`. */
function extract(w: number, a: bigint, mask: bigint): bigint {
  let value = 0n;
  let next = 0n;
  for (let i = 0n; i < BigInt(w); i++) {
    if (((mask >> i) & 1n) === 0n) continue;
    value |= ((a >> i) & 1n) << next;
    next++;
  }
  return value;
}

function bitFieldExtract(w: number, a: bigint, control: bigint): Computed {
  const start = Number(control & 0xffn);
  const length = Number((control >> 8n) & 0xffn);
  return { value: start >= w ? 0n : (a >> BigInt(start)) & ones(Math.min(length, w)) };
}
function zeroHigh(w: number, a: bigint, control: bigint): Computed {
  const n = Number(control & 0xffn);
  return { value: n < w ? a & ones(n) : a, cf: n > w - 1 };
}

/** SF and ZF by the result, OF cleared, CF as computed; AF and PF are undefined: cleared and by the result. */
function helper(compute: Compute, w: RegisterWidth): Helper {
  return (s, d, a, b) => {
    const { value, cf } = compute(w, BigInt.asUintN(w, s.get(a)), BigInt.asUintN(w, s.get(b)));
    s.set(d, BigInt.asUintN(w, value));
    setFlagResult(s, d + 1, signZeroParity(s, d, w) | (cf === true ? FLAG.CF : 0));
    return 0;
  };
}

function lifter(compute: Compute, flags: boolean): Lifter {
  const narrow = helper(compute, 32);
  const wide = helper(compute, 64);
  return (e) => {
    const w = e.width(0);
    const a = e.readLow(1, w);
    const b = e.insn.operands.length > 2 ? e.readLow(2, w) : a;
    const d = e.helpMany(w === 64 ? wide : narrow, 2, a, b);
    e.write(0, d, w);
    if (flags) e.putFlags(d + 1);
  };
}

/** ADCX and ADOX: an addition that takes and gives one flag alone. */
function addWith(flag: number, w: RegisterWidth): Helper {
  return (s, d, a, b) => {
    const old = currentFlags(s);
    const sum = BigInt.asUintN(w, s.get(a)) + BigInt.asUintN(w, s.get(b)) + ((old & flag) !== 0 ? 1n : 0n);
    s.set(d, BigInt.asUintN(w, sum));
    setFlagResult(s, d + 1, sum >> BigInt(w) !== 0n ? old | flag : old & ~flag);
    return 0;
  };
}
function singleFlagAdd(flag: number): Lifter {
  const narrow = addWith(flag, 32);
  const wide = addWith(flag, 64);
  return (e) => {
    const w = e.width(0);
    const d = e.helpMany(w === 64 ? wide : narrow, 2, e.readLow(0, w), e.readLow(1, w));
    e.write(0, d, w);
    e.putFlags(d + 1);
  };
}

/** CRC-32C, reflected polynomial 0x82F63B78 (SDM vol. 2, CRC32). */
function crc32c(crc: number, bytes: number, data: bigint): number {
  let c = crc;
  for (let i = 0; i < bytes; i++) {
    c ^= Number((data >> BigInt(8 * i)) & 0xffn);
    for (let bit = 0; bit < 8; bit++) c = (c >>> 1) ^ ((c & 1) !== 0 ? 0x82f6_3b78 : 0);
  }
  return c;
}
const CRC_HELPERS: ReadonlyMap<RegisterWidth, Helper> = new Map(
  ([8, 16, 32, 64] as const).map((w): [RegisterWidth, Helper] => [
    w,
    (s, d, a, b) => {
      s.set32(d, crc32c(s.get32(a), w / 8, s.get(b)));
      return 0;
    },
  ]),
);
const crc32: Lifter = (e) => {
  const w = e.width(1);
  const f = CRC_HELPERS.get(w);
  if (f !== undefined) e.write(0, e.helpMany(f, 1, e.readLow(0, 32), e.read(1, w)));
};

/** BMI1 and BMI2 beside the shifts, ADX, CRC32 (SDM vol. 2). */
export const BMI: LifterTable = new Map<number, Lifter>([
  [Mnemonic.Andn, lifter((_w, a, b) => ({ value: ~a & b }), true)],
  [Mnemonic.Blsi, lifter((_w, a) => ({ value: a & -a, cf: a !== 0n }), true)],
  [Mnemonic.Blsmsk, lifter((_w, a) => ({ value: a ^ (a - 1n), cf: a === 0n }), true)],
  [Mnemonic.Blsr, lifter((_w, a) => ({ value: a & (a - 1n), cf: a === 0n }), true)],
  [Mnemonic.Bextr, lifter(bitFieldExtract, true)],
  [Mnemonic.Bzhi, lifter(zeroHigh, true)],
  [Mnemonic.Pdep, lifter((w, a, b) => ({ value: deposit(w, a, b) }), false)],
  [Mnemonic.Pext, lifter((w, a, b) => ({ value: extract(w, a, b) }), false)],
  [Mnemonic.Adcx, singleFlagAdd(FLAG.CF)],
  [Mnemonic.Adox, singleFlagAdd(FLAG.OF)],
  [Mnemonic.Crc32, crc32],
]);
