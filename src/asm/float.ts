/**
 * IEEE 754 encodings of decimal constants, rounded to nearest even, exactly (by integer arithmetic): half, single, double and the
 * x87's double extended.
 *
 *   width  2: 1 sign, 5 exponent, 10 fraction        4: 1, 8, 23
 *          8: 1, 11, 52                             10: 1, 15, explicit 1, 63
 */
interface Format {
  readonly exponent: number;
  readonly fraction: number;
  readonly explicit: boolean;
}
const FORMATS: Readonly<Record<number, Format>> = {
  2: { exponent: 5, fraction: 10, explicit: false },
  4: { exponent: 8, fraction: 23, explicit: false },
  8: { exponent: 11, fraction: 52, explicit: false },
  10: { exponent: 15, fraction: 63, explicit: true },
};
const NUMBER = /^([0-9][0-9_]*)(?:\.([0-9_]*))?(?:[eE]([+-]?[0-9]+))?$/;
/** Beyond this every format is infinite or zero. */
const MAX_EXPONENT = 10_000;

const bitLength = (n: bigint): number => n.toString(2).length;

/** Little-endian bytes, or undefined where the text is no number or the width has no format. */
export function floatBytes(text: string, negative: boolean, width: number): Uint8Array | undefined {
  const format = FORMATS[width];
  if (format === undefined || text.length > 1000) return undefined;
  const bits = encode(text.toLowerCase(), format);
  if (bits === undefined) return undefined;
  const sign = negative ? 1n << BigInt(width * 8 - 1) : 0n;
  const out = new Uint8Array(width);
  for (let i = 0, rest = bits | sign; i < width; i++, rest >>= 8n) out[i] = Number(rest & 255n);
  return out;
}

function encode(text: string, f: Format): bigint | undefined {
  const top = (1n << BigInt(f.exponent)) - 1n;
  const explicitOne = f.explicit ? 1n << BigInt(f.fraction) : 0n;
  const shift = BigInt(f.fraction + (f.explicit ? 1 : 0));
  const infinity = (top << shift) | explicitOne;
  const quiet = 1n << BigInt(f.fraction - 1);
  const name = text.replace(/[_?]/g, '');
  if (name === 'infinity') return infinity;
  if (name === 'nan' || name === 'qnan') return infinity | quiet;
  if (name === 'snan') return infinity | (quiet >> 1n);
  const m = NUMBER.exec(text);
  if (!m) return undefined;
  const fractionDigits = (m[2] ?? '').replace(/_/g, '');
  const digits = BigInt((m[1] ?? '0').replace(/_/g, '') + fractionDigits);
  const exponent10 = Number(m[3] ?? '0') - fractionDigits.length;
  if (digits === 0n) return 0n;
  if (exponent10 > MAX_EXPONENT) return infinity;
  if (exponent10 < -2 * MAX_EXPONENT) return 0n;
  const numerator = exponent10 >= 0 ? digits * 10n ** BigInt(exponent10) : digits;
  const denominator = exponent10 >= 0 ? 1n : 10n ** BigInt(-exponent10);
  const bias = (1 << (f.exponent - 1)) - 1;
  let exponent = bitLength(numerator) - bitLength(denominator);
  // 2^exponent <= value < 2^(exponent+1) after this correction.
  const atLeast = exponent >= 0 ? numerator >= denominator << BigInt(exponent) : numerator << BigInt(-exponent) >= denominator;
  if (!atLeast) exponent--;
  const minimum = 1 - bias;
  const scaled = Math.max(exponent, minimum);
  // significand = value × 2^(fraction − scaled), rounded to nearest even.
  const power = f.fraction - scaled;
  const n = power >= 0 ? numerator << BigInt(power) : numerator;
  const d = power >= 0 ? denominator : denominator << BigInt(-power);
  let significand = n / d;
  const twice = (n % d) * 2n;
  if (twice > d || (twice === d && (significand & 1n) === 1n)) significand++;
  let biased = BigInt(scaled + bias);
  const hidden = 1n << BigInt(f.fraction);
  if (significand >= hidden << 1n) {
    significand >>= 1n;
    biased++;
  }
  if (significand < hidden) biased = 0n;
  if (biased >= top) return infinity;
  return f.explicit ? (biased << shift) | significand : (biased << shift) | (significand & (hidden - 1n));
}
