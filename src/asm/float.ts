/**
 * IEEE 754 encodings of decimal constants, rounded to nearest even, exactly (by integer arithmetic): half, single, double and the
 * x87's double extended.
 *
 *   width  1: 1 sign, 4 exponent, 3 fraction         2: 1, 5, 10         4: 1, 8, 23
 *          8: 1, 11, 52                             10: 1, 15, explicit 1, 63
 *         16: 1, 15, 112
 *
 * A number with `p` before or after its decimal digits is packed decimal, 18 digits in 10 bytes (SDM vol. 1, 4.7).
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
  1: { exponent: 4, fraction: 3, explicit: false },
  16: { exponent: 15, fraction: 112, explicit: false },
};
/** The upper half of a single: what Intel calls BF16. */
const BFLOAT16: Format = { exponent: 8, fraction: 7, explicit: false };
const NUMBER = /^(?:0[dt])?([0-9][0-9_]*)(?:\.([0-9_]*))?(?:e([+-]?[0-9][0-9_]*))?$/;
/** Another base: digits with a point, and a power of two. */
const BASED = /^(?:0(?=[a-z])|(?=\$))([xhoqby$])([0-9a-f_]*)(?:\.([0-9a-f_]*))?(?:p([+-]?[0-9][0-9_]*))?$/;
const BITS_PER_DIGIT: Readonly<Record<string, number>> = { $: 4, x: 4, h: 4, o: 3, q: 3, b: 1, y: 1 };
/** Beyond this every format is infinite or zero. */
const MAX_EXPONENT = 10_000;

const bitLength = (n: bigint): number => n.toString(2).length;

/** Little-endian bytes, or undefined if the text is not a number or the width has no format. */
export function floatBytes(text: string, negative: boolean, width: number): Uint8Array | undefined {
  const format = FORMATS[width];
  if (format === undefined || text.length > 1000) return undefined;
  const bits =
    width === 10 ? (packedDecimal(text) ?? encode(text.toLowerCase(), format)) : encode(text.toLowerCase(), format);
  if (bits === undefined) return undefined;
  const sign = negative ? 1n << BigInt(width * 8 - 1) : 0n;
  const out = new Uint8Array(width);
  for (let i = 0, rest = bits | sign; i < width; i++, rest >>= 8n) out[i] = Number(rest & 255n);
  return out;
}

/** The kind of number that the bytes encode. */
export function floatClass(bytes: Uint8Array): 'zero' | 'denormal' | 'normal' | 'infinite' {
  const format = FORMATS[bytes.length];
  if (format === undefined) return 'normal';
  const bits = bytes.reduceRight((n, b) => (n << 8n) | BigInt(b), 0n);
  const stored = BigInt(format.fraction + (format.explicit ? 1 : 0));
  const exponent = (bits >> stored) & ((1n << BigInt(format.exponent)) - 1n);
  const fraction = bits & ((1n << BigInt(format.fraction)) - 1n);
  if (exponent === 0n) return fraction === 0n ? 'zero' : 'denormal';
  return exponent === (1n << BigInt(format.exponent)) - 1n && fraction === 0n ? 'infinite' : 'normal';
}

/** Two decimal digits to a byte; the sign bit stands apart in the tenth. */
function packedDecimal(text: string): bigint | undefined {
  const digits = /^(?:0p([0-9_]+)|([0-9][0-9_]*)p)$/i.exec(text);
  if (!digits) return undefined;
  return BigInt(`0x0${(digits[1] ?? digits[2] ?? '').replace(/_/g, '').slice(-18)}`);
}

/** The functions that give a constant's bits as a number (NASM manual, 3.4.6): width and which bits of it. */
const CONVERSIONS: Readonly<
  Record<string, { readonly format: Format; readonly shift: number; readonly width: number }>
> = {
  float8: { format: FORMATS[1] ?? BFLOAT16, shift: 0, width: 8 },
  float16: { format: FORMATS[2] ?? BFLOAT16, shift: 0, width: 16 },
  bfloat16: { format: BFLOAT16, shift: 0, width: 16 },
  float32: { format: FORMATS[4] ?? BFLOAT16, shift: 0, width: 32 },
  float64: { format: FORMATS[8] ?? BFLOAT16, shift: 0, width: 64 },
  float80m: { format: FORMATS[10] ?? BFLOAT16, shift: 0, width: 80 },
  float80e: { format: FORMATS[10] ?? BFLOAT16, shift: 64, width: 80 },
  float128l: { format: FORMATS[16] ?? BFLOAT16, shift: 0, width: 128 },
  float128h: { format: FORMATS[16] ?? BFLOAT16, shift: 64, width: 128 },
};

/** `__?float32?__` and its kin: the name of the format, or undefined for other words. */
export const conversionWord = (word: string): string | undefined => {
  const name = /^__\??(b?float[0-9]+[mehl]?)\??__$/i.exec(word)?.[1]?.toLowerCase();
  return name !== undefined && CONVERSIONS[name] ? name : undefined;
};

/** The bits of a constant in a format, as `__?float64?__(1.5)` returns them; undefined if it is not a number. */
export function floatBits(name: string, text: string, negative: boolean): bigint | undefined {
  const c = CONVERSIONS[name];
  const bits = c && encode(text.toLowerCase(), c.format);
  if (c === undefined || bits === undefined) return undefined;
  return BigInt.asIntN(64, (bits | (negative ? 1n << BigInt(c.width - 1) : 0n)) >> BigInt(c.shift));
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
  if (name === 'snan') return infinity | 1n;
  const fraction = ratio(text);
  if (fraction === undefined || typeof fraction === 'string')
    return fraction === 'huge' ? infinity : fraction === 'zero' ? 0n : undefined;
  const { numerator, denominator } = fraction;
  const bias = (1 << (f.exponent - 1)) - 1;
  let exponent = bitLength(numerator) - bitLength(denominator);
  // 2^exponent <= value < 2^(exponent+1) after this correction.
  const atLeast =
    exponent >= 0 ? numerator >= denominator << BigInt(exponent) : numerator << BigInt(-exponent) >= denominator;
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

/** The number as a fraction; outside all formats just in which direction. */
function ratio(
  text: string,
): { readonly numerator: bigint; readonly denominator: bigint } | 'huge' | 'zero' | undefined {
  const based = BASED.exec(text);
  const m = based ? null : NUMBER.exec(text);
  if (!m && !based) return undefined;
  const [whole = '', part = '', power = '0'] = (based ? based.slice(2) : (m ?? []).slice(1)).map((x) =>
    (x ?? '0').replace(/_/g, ''),
  );
  const fraction = (based ? based[3] : m?.[2]) === undefined ? '' : part;
  const bits = based ? (BITS_PER_DIGIT[based[1] ?? 'x'] ?? 4) : 0;
  const prefix = bits === 4 ? '0x' : bits === 3 ? '0o' : bits === 1 ? '0b' : '';
  if ((bits === 3 && /[^0-7]/.test(whole + fraction)) || (bits === 1 && /[^01]/.test(whole + fraction)))
    return undefined;
  const digits = BigInt(`${prefix}0${whole}${fraction}`);
  if (digits === 0n) return 'zero';
  const exponent = Number(power) - fraction.length * (based ? bits : 1);
  if (exponent > 2 * MAX_EXPONENT) return 'huge';
  if (exponent < -4 * MAX_EXPONENT) return 'zero';
  const scale = based ? 1n << BigInt(Math.abs(exponent)) : 10n ** BigInt(Math.abs(exponent));
  return exponent >= 0 ? { numerator: digits * scale, denominator: 1n } : { numerator: digits, denominator: scale };
}
