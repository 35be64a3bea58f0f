import { bits } from '../base/bits';

/**
 * One part of a register or field: bits hi..lo (inclusive), by the manual's name; `texts` names the values of a
 * multi-bit part.
 */
export interface BitPart {
  readonly hi: number;
  readonly lo: number;
  readonly name: string;
  readonly texts?: Readonly<Record<number, string>>;
}
export type BitLayout = readonly BitPart[];

/** A part with its value; `text` if the value has a name. */
export interface DecodedBits {
  readonly name: string;
  readonly hi: number;
  readonly lo: number;
  readonly value: bigint;
  readonly text?: string;
}

export const flag = (n: number, name: string): BitPart => ({ hi: n, lo: n, name });
export const range = (hi: number, lo: number, name: string, texts?: Readonly<Record<number, string>>): BitPart =>
  texts ? { hi, lo, name, texts } : { hi, lo, name };

/** Every part of `layout` with its bits of `value`, in layout order. */
export function decodeBits(layout: BitLayout, value: bigint): DecodedBits[] {
  return layout.map(({ hi, lo, name, texts }) => {
    const v = bits(value, hi, lo);
    const text = texts?.[Number(v)];
    return text === undefined ? { name, hi, lo, value: v } : { name, hi, lo, value: v, text };
  });
}

/** What is set: flags by name, ranges as `name=value`; zeros are omitted unless they have a name. */
export function describeBits(decoded: readonly DecodedBits[]): string {
  return decoded
    .filter((d) => d.value !== 0n || d.text !== undefined)
    .map((d) => (d.hi === d.lo && d.text === undefined ? d.name : `${d.name}=${d.text ?? `0x${d.value.toString(16)}`}`))
    .join(', ');
}
