/** The code points of UTF-8 bytes; invalid UTF-8 is kept as it is. */
function codePoints(bytes: readonly number[]): number[] {
  const out: number[] = [];
  for (let i = 0; i < bytes.length;) {
    const lead = bytes[i] ?? 0;
    const length = lead < 0xc0 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
    const rest = bytes.slice(i + 1, i + length);
    const isWhole = rest.length === length - 1 && rest.every((b) => (b & 0xc0) === 0x80);
    if (!isWhole) {
      out.push(lead);
      i++;
      continue;
    }
    out.push(rest.reduce((c, b) => (c << 6) | (b & 63), length === 1 ? lead : lead & (0xff >> (length + 1))));
    i += length;
  }
  return out;
}

/** A string's UTF-8 bytes as UTF-16 (`unit` 2) or UTF-32 (`unit` 4), in either byte order (NASM manual, 3.4.5). */
export function wideBytes(bytes: readonly number[], unit: number, bigEndian: boolean): number[] {
  const units = codePoints(bytes).flatMap((c) =>
    unit === 4 || c < 0x1_0000 ? [c] : [0xd800 + ((c - 0x1_0000) >> 10), 0xdc00 + ((c - 0x1_0000) & 0x3ff)],
  );
  return units.flatMap((u) => {
    const little = Array.from({ length: unit }, (_, i) => (u >>> (8 * i)) & 255);
    return bigEndian ? little.reverse() : little;
  });
}

const WIDE_WORD = /^__\??utf(16|32)(le|be)?\??__$/i;

/** What `__utf16le__` and its kin mean; undefined for other words. */
export function wideWord(word: string): { readonly unit: number; readonly bigEndian: boolean } | undefined {
  const m = WIDE_WORD.exec(word);
  return m ? { unit: Number(m[1]) / 8, bigEndian: m[2]?.toLowerCase() === 'be' } : undefined;
}
