/** Numbers as options are written: decimal or 0x hex, underscores between digits allowed, at most 64 bits. */
export function parseNumber(text: string): bigint | undefined {
  if (!/^(0x[0-9a-f]+(_[0-9a-f]+)*|\d+(_\d+)*)$/i.test(text)) return undefined;
  const n = BigInt(text.replaceAll('_', ''));
  return n >> 64n === 0n ? n : undefined;
}

const UNITS: Readonly<Record<string, bigint>> = { '': 1n, k: 1n << 10n, m: 1n << 20n, g: 1n << 30n, t: 1n << 40n };

/** Bytes: a number with K, M, G or T behind it (powers of 1024), at most 64 bits. */
export function parseSize(text: string): bigint | undefined {
  const match = /^(.*?)([kmgt]?)$/i.exec(text);
  const n = parseNumber(match?.[1] ?? '');
  const bytes = n === undefined ? undefined : n * (UNITS[(match?.[2] ?? '').toLowerCase()] ?? 1n);
  return bytes !== undefined && bytes >> 64n === 0n ? bytes : undefined;
}

/** `64M` for 0x400_0000: the shortest exact form. */
export function formatSize(bytes: bigint): string {
  for (const [unit, factor] of [
    ['T', 1n << 40n],
    ['G', 1n << 30n],
    ['M', 1n << 20n],
    ['K', 1n << 10n],
  ] as const) {
    if (bytes >= factor && bytes % factor === 0n) return `${bytes / factor}${unit}`;
  }
  return String(bytes);
}
