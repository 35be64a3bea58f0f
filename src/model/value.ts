/**
 * What a shown type is generic in: the session has its addresses, registers and entries as bigint, and across the wire they are `Hex`.
 */
export type Value = bigint | Hex;

/** A 64-bit value or address: `0x` and lower-case hex digits. */
export type Hex = string;
