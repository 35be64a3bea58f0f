/**
 * The type parameter of shown types: addresses, registers and entries are bigint in the session and `Hex` on the
 * wire.
 */
export type Value = bigint | Hex;

/** A 64-bit value or address: `0x` and lower-case hex digits. */
export type Hex = string;
