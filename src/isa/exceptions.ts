/** Exceptions and interrupts (SDM vol. 3, table 6-1). */
export const VECTOR = {
  DE: 0,
  DB: 1,
  NMI: 2,
  BP: 3,
  OF: 4,
  BR: 5,
  UD: 6,
  NM: 7,
  DF: 8,
  TS: 10,
  NP: 11,
  SS: 12,
  GP: 13,
  PF: 14,
  MF: 16,
  AC: 17,
  MC: 18,
  XM: 19,
  VE: 20,
  CP: 21,
} as const;
export type ExceptionName = keyof typeof VECTOR;

const BY_VECTOR = new Map<number, ExceptionName>(Object.entries(VECTOR).map(([n, v]) => [v, n as ExceptionName]));

/** `#PF` for 14, `INT 0x30` for a vector without a name. */
export function vectorName(vector: number): string {
  const name = BY_VECTOR.get(vector);
  return name === 'NMI' ? 'NMI' : name ? `#${name}` : `INT 0x${vector.toString(16)}`;
}

/** Vectors that push an error code in protected and long mode. */
export const ERROR_CODE_VECTORS: ReadonlySet<number> = new Set([8, 10, 11, 12, 13, 14, 17, 21]);

/** The page-fault error code (SDM vol. 3, 4.7): P 0, W/R 1, U/S 2, RSVD 3, I/D 4, PK 5, SS 6, SGX 15. */
export const PF_ERROR = { P: 0, W: 1, U: 2, RSVD: 3, I: 4, PK: 5, SS: 6 } as const;

/** `P W U` for 7: the set bits in a kernel engineer's shorthand. */
export function pfErrorNames(code: number): string[] {
  return Object.entries(PF_ERROR)
    .filter(([, n]) => (code >> n) & 1)
    .map(([n]) => n);
}
