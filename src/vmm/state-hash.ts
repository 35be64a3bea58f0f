import { sha256 } from '@noble/hashes/sha2';
import { bytesToHex } from '@noble/hashes/utils';

/** Buffer size in bytes before hashing. */
const BUFFER = 1 << 16;

/**
 * SHA-256 of saved state, 64 hex digits: plain data of any depth (numbers, bigints, strings, booleans, arrays, typed
 * arrays, maps, sets, records). The order of a record's keys is ignored, and a key whose value is undefined equals an
 * absent one; the order of arrays, maps and sets counts.
 */
export function stateHash(state: unknown): string {
  const hash = sha256.create();
  const buffer = new Uint8Array(BUFFER);
  const view = new DataView(buffer.buffer);
  const text = new TextEncoder();
  let used = 0;
  const room = (n: number): number => {
    if (used + n > BUFFER) {
      hash.update(buffer.subarray(0, used));
      used = 0;
    }
    used += n;
    return used - n;
  };
  const tag = (of: string, n: number): void => {
    const at = room(9);
    buffer[at] = of.charCodeAt(0);
    view.setFloat64(at + 1, n);
  };
  const bytes = (b: Uint8Array): void => {
    for (let at = 0; at < b.length;) {
      const n = Math.min(b.length - at, BUFFER);
      buffer.set(b.subarray(at, at + n), room(n));
      at += n;
    }
  };
  const string = (of: string, s: string): void => {
    const encoded = text.encode(s);
    tag(of, encoded.length);
    bytes(encoded);
  };
  const visit = (value: unknown): void => {
    switch (typeof value) {
      case 'undefined':
        return tag('u', 0);
      case 'number':
        return tag('n', value);
      case 'boolean':
        return tag('b', value ? 1 : 0);
      case 'bigint':
        return string('i', value.toString(16));
      case 'string':
        return string('s', value);
      case 'object':
        return visitObject(value);
      default:
        throw new TypeError(`saved state holds a ${typeof value}, which is not data`);
    }
  };
  const visitObject = (value: object | null): void => {
    if (value === null) return tag('z', 0);
    if (ArrayBuffer.isView(value)) {
      tag('y', value.byteLength);
      return bytes(new Uint8Array(value.buffer, value.byteOffset, value.byteLength));
    }
    const list = Array.isArray(value) || value instanceof Map || value instanceof Set ? [...value] : undefined;
    if (list) {
      tag('a', list.length);
      return list.forEach(visit);
    }
    const fields = Object.entries(value).filter(([, v]) => v !== undefined);
    tag('o', fields.length);
    for (const [key, v] of fields.sort(([a], [b]) => (a < b ? -1 : 1))) {
      string('k', key);
      visit(v);
    }
  };
  visit(state);
  hash.update(buffer.subarray(0, used));
  return bytesToHex(hash.digest());
}
