/**
 * The one place where the session's plain data becomes JSON-safe: every bigint turns into a lower-case hex string
 * with 0x, everything else is unchanged. The result type follows from the argument's, so the compiler checks it
 * against src/protocol.
 */
import { hex } from '../base/hex';
import type { Hex } from '../protocol/translation';

export type Encoded<T> = T extends bigint
  ? Hex
  : T extends readonly (infer E)[]
    ? readonly Encoded<E>[]
    : T extends object
      ? { readonly [K in keyof T]: Encoded<T[K]> }
      : T;

/** @param value plain data: no classes, typed arrays or cycles */
export function encode<T>(value: T): Encoded<T> {
  return encodeUnknown(value) as Encoded<T>;
}

function encodeUnknown(value: unknown): unknown {
  if (typeof value === 'bigint') return hex(value);
  if (Array.isArray(value)) return value.map(encodeUnknown);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, member]) => [key, encodeUnknown(member)]));
}
