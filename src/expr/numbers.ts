/**
 * Numbers and quoted strings as NASM and C write them; shared by the assembler and the debugger's expressions.
 *
 *   hex      0x1f 0h1f 1fh $1f (the $ form needs a digit first)      octal  0o17 0q17 17o 17q
 *   binary   0b101 0y101 101b 101y                                   decimal 12 0d12 12d 12t
 *
 * Underscores may stand between digits (NASM manual, 3.4.1).
 */
const PREFIX: Readonly<Record<string, number>> = { x: 16, h: 16, o: 8, q: 8, b: 2, y: 2, d: 10, t: 10 };

const VALID: Readonly<Record<number, RegExp>> = { 2: /^[01]+$/, 8: /^[0-7]+$/, 10: /^[0-9]+$/, 16: /^[0-9a-f]+$/ };
const BIGINT_PREFIX: Readonly<Record<number, string>> = { 2: '0b', 8: '0o', 10: '', 16: '0x' };

/** A longer literal is not a number: this keeps BigInt conversion cheap on hostile input. */
const MAX_DIGITS = 512;

function digits(text: string, radix: number): bigint | undefined {
  const pattern = VALID[radix];
  if (text.length > MAX_DIGITS || pattern === undefined || !pattern.test(text)) return undefined;
  return BigInt((BIGINT_PREFIX[radix] ?? '') + text);
}

/** The value of a number literal, or undefined if the text is not one. Not truncated to any width. */
export function parseNumber(literal: string): bigint | undefined {
  const text = literal.toLowerCase().replace(/_/g, '');
  if (text.startsWith('$')) return /^\$[0-9]/.test(text) ? digits(text.slice(1), 16) : undefined;
  if (!/^[0-9]/.test(text)) return undefined;
  const plain = digits(text, 10);
  if (plain !== undefined) return plain;
  if (text.startsWith('0x')) return digits(text.slice(2), 16);
  const last = text[text.length - 1] ?? '';
  if (last === 'h') return digits(text.slice(0, -1), 16);
  const prefixRadix = text.startsWith('0') ? PREFIX[text[1] ?? ''] : undefined;
  if (prefixRadix !== undefined && text.length > 2) {
    const value = digits(text.slice(2), prefixRadix);
    if (value !== undefined) return value;
  }
  const suffixRadix = PREFIX[last];
  return suffixRadix === undefined ? undefined : digits(text.slice(0, -1), suffixRadix);
}

const ESCAPES: Readonly<Record<string, number>> = {
  a: 7,
  b: 8,
  t: 9,
  n: 10,
  v: 11,
  f: 12,
  r: 13,
  e: 27,
  "'": 39,
  '"': 34,
  '`': 96,
  '\\': 92,
  '?': 63,
};

/** The UTF-8 bytes of `text`. Written out because the core has no TextEncoder. Lone surrogates become U+FFFD. */
export function utf8(text: string): number[] {
  const out: number[] = [];
  for (const ch of text) appendUtf8(out, ch.codePointAt(0) ?? 0);
  return out;
}

function appendUtf8(out: number[], codePoint: number): void {
  const c = codePoint >= 0xd800 && codePoint <= 0xdfff ? 0xfffd : codePoint;
  if (c < 0x80) out.push(c);
  else if (c < 0x800) out.push(0xc0 | (c >> 6), 0x80 | (c & 63));
  else if (c < 0x10000) out.push(0xe0 | (c >> 12), 0x80 | ((c >> 6) & 63), 0x80 | (c & 63));
  else out.push(0xf0 | (c >> 18), 0x80 | ((c >> 12) & 63), 0x80 | ((c >> 6) & 63), 0x80 | (c & 63));
}

/**
 * The bytes of a quoted string including its quotes. Escapes are processed in back quotes only:
 *  \t … \xHH, \ooo, \uHHHH and
 * \UHHHHHHHH as UTF-8 (NASM manual, 3.4.2).
 */
export function stringBytes(quoted: string): number[] {
  const body = quoted.slice(1, -1);
  if (quoted[0] !== '`' || !body.includes('\\')) return utf8(body);
  const out: number[] = [];
  const pattern = /\\(?:x([0-9a-fA-F]{1,2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-7]{1,3})|([^]))|([^\\]+)|\\$/gu;
  for (const m of body.matchAll(pattern)) {
    if (m[1] !== undefined) out.push(parseInt(m[1], 16));
    else if (m[2] !== undefined) appendUtf8(out, parseInt(m[2], 16));
    else if (m[3] !== undefined) appendUtf8(out, Math.min(parseInt(m[3], 16), 0x10ffff));
    else if (m[4] !== undefined) out.push(parseInt(m[4], 8) & 255);
    else if (m[5] !== undefined) {
      const known = ESCAPES[m[5]];
      if (known === undefined) out.push(92, ...utf8(m[5]));
      else out.push(known);
    } else if (m[6] !== undefined) out.push(...utf8(m[6]));
  }
  return out;
}

/** A character constant: up to eight bytes, the first in the low bits (NASM manual, 3.4.3). Longer ones keep the first eight. */
export function characterConstant(bytes: readonly number[]): bigint {
  return bytes.slice(0, 8).reduceRight((value, b) => (value << 8n) | BigInt(b), 0n);
}
