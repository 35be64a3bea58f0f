/** Legacy and REX prefixes of an instruction, as far as operand size, address size and segment go (SDM vol. 2, 2.1.1 and 2.2.1). */
export interface Prefixes {
  /** What 66 and REX.W make of the mode's default. */
  readonly operandBits: 16 | 32 | 64;
  readonly addressBits: 16 | 32 | 64;
  /** Segment override that has an effect (0–5 = ES CS SS DS FS GS) or −1. In 64-bit mode only FS and GS have one. */
  readonly segment: number;
}

const SEGMENT_OF: ReadonlyMap<number, number> = new Map([
  [0x26, 0],
  [0x2e, 1],
  [0x36, 2],
  [0x3e, 3],
  [0x64, 4],
  [0x65, 5],
]);

/** Reads the prefixes at the start of `bytes`; the last segment override wins, and REX counts only right before the opcode. */
export function scanPrefixes(bytes: Uint8Array, bits: 16 | 32 | 64): Prefixes {
  let operand = false;
  let address = false;
  let segment = -1;
  let rexW = false;
  for (const b of bytes) {
    const override = SEGMENT_OF.get(b);
    if (override !== undefined) {
      if (bits !== 64 || override >= 4) segment = override;
      rexW = false;
    } else if (b === 0x66) {
      operand = true;
      rexW = false;
    } else if (b === 0x67) {
      address = true;
      rexW = false;
    } else if (b === 0xf0 || b === 0xf2 || b === 0xf3) {
      rexW = false;
    } else if (bits === 64 && b >> 4 === 4) {
      rexW = (b & 8) !== 0;
    } else break;
  }
  if (bits === 64) return { operandBits: rexW ? 64 : operand ? 16 : 32, addressBits: address ? 32 : 64, segment };
  const other = bits === 16 ? 32 : 16;
  return { operandBits: operand ? other : bits, addressBits: address ? other : bits, segment };
}
