import type { Bits } from './code-size';

/**
 * What `align` puts before code under the smartalign package (NASM manual, 6.2): instructions that do nothing, as long as the processor
 * likes them, and a jump over the padding where that is longer than a threshold.
 */
export const PADDING_MODES = ['nop', 'generic', 'k7', 'k8', 'p6'] as const;
export type PaddingMode = (typeof PADDING_MODES)[number];

/** Bytes above which the padding is jumped over; each mode's own. */
export const JUMP_THRESHOLD: Readonly<Record<PaddingMode, number>> = { nop: 16, generic: 8, k7: 16, k8: 16, p6: 16 };

const NOP = [0x90];
/** 66 90, 66 66 90 …: nop with operand-size prefixes. */
const PREFIXED = [NOP, [0x66, 0x90], [0x66, 0x66, 0x90], [0x66, 0x66, 0x66, 0x90]];
/** 0F 1F /0, the multi-byte nop (SDM vol. 2, NOP). */
const LONG = [
  NOP,
  [0x66, 0x90],
  [0x0f, 0x1f, 0x00],
  [0x0f, 0x1f, 0x40, 0x00],
  [0x0f, 0x1f, 0x44, 0x00, 0x00],
  [0x66, 0x0f, 0x1f, 0x44, 0x00, 0x00],
  [0x0f, 0x1f, 0x80, 0, 0, 0, 0],
  [0x0f, 0x1f, 0x84, 0, 0, 0, 0, 0],
];
/** mov si,si · lea si,[si+0] with byte and word displacements · lea di,[di+0] behind them. */
const GENERIC16 = [
  NOP,
  [0x89, 0xf6],
  [0x8d, 0x74, 0x00],
  [0x8d, 0xb4, 0x00, 0x00],
  [0x8d, 0xb4, 0x00, 0x00, 0x90],
  [0x8d, 0xb4, 0x00, 0x00, 0x89, 0xff],
  [0x8d, 0xb4, 0x00, 0x00, 0x8d, 0x7d, 0x00],
  [0x8d, 0xb4, 0x00, 0x00, 0x8d, 0xbd, 0x00, 0x00],
];
/** mov esi,esi · lea esi,[esi+0] in growing encodings. */
const GENERIC32 = [
  NOP,
  [0x89, 0xf6],
  [0x8d, 0x76, 0x00],
  [0x8d, 0x74, 0x26, 0x00],
  [0x90, 0x8d, 0x74, 0x26, 0x00],
  [0x8d, 0xb6, 0, 0, 0, 0],
  [0x8d, 0xb4, 0x26, 0, 0, 0, 0],
];
/** mov eax,eax · lea eax,[eax+0] in growing encodings. */
const K7 = [
  NOP,
  [0x8b, 0xc0],
  [0x8d, 0x04, 0x20],
  [0x8d, 0x44, 0x20, 0x00],
  [0x8d, 0x44, 0x20, 0x00, 0x90],
  [0x8d, 0x80, 0, 0, 0, 0],
  [0x8d, 0x04, 0x05, 0, 0, 0, 0],
];

/** Paddings of one byte, two bytes and so on, by mode and code size. */
const PADDINGS: Readonly<Record<PaddingMode, Readonly<Record<Bits, readonly (readonly number[])[]>>>> = {
  nop: { 16: [NOP], 32: [NOP], 64: [NOP] },
  generic: { 16: GENERIC16, 32: GENERIC32, 64: PREFIXED },
  // NASM's k7 table for 16-bit code ends in that of `generic`.
  k7: { 16: [...PREFIXED, ...GENERIC16.slice(4)], 32: K7, 64: PREFIXED },
  k8: { 16: PREFIXED, 32: PREFIXED, 64: PREFIXED },
  p6: { 16: LONG.slice(0, 4), 32: LONG, 64: LONG },
};

/** `count` bytes of padding. @param threshold -1 where the padding is never jumped over */
export function padding(mode: PaddingMode, bits: Bits, count: number, threshold: number): Uint8Array {
  const out = new Uint8Array(count).fill(0x90);
  if (threshold !== -1 && count > threshold) {
    const rest = count - 2;
    // jmp short to the end; a longer padding needs the near form, whose displacement has the size of the code.
    if (rest <= 127) out.set([0xeb, rest]);
    else
      out.set(
        bits === 16
          ? [0xe9, (count - 3) & 255, ((count - 3) >> 8) & 255]
          : [0xe9, ...[0, 8, 16, 24].map((s) => ((count - 5) >> s) & 255)],
      );
    return out;
  }
  const sizes = PADDINGS[mode][bits];
  for (let at = 0; at < count;) {
    const piece = sizes[Math.min(sizes.length, count - at) - 1] ?? NOP;
    out.set(piece, at);
    at += piece.length;
  }
  return out;
}
