/** The one textual form of addresses and 64-bit values: lower-case hex with 0x, unpadded unless requested. */
export const hex = (x: bigint | number, digits = 0): string => '0x' + x.toString(16).padStart(digits, '0');

/** Bytes as lower-case hex pairs separated by `separator`. */
export function hexBytes(bytes: Uint8Array, separator = ' '): string {
  return Array.from(bytes, (b) => b.toString(16).padStart(2, '0')).join(separator);
}
