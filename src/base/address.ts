/**
 * Address brands. A translation chain crosses four address spaces; a number from one is never silently used as a
 * number from another:
 *
 *   Gva  guest virtual (linear) address, 64 bits, canonical form not implied
 *   Gpa  guest physical address, at most 52 bits
 *   Hva  host virtual address: an address in the VMM's own process
 *   Hpa  host physical address
 *
 * The casts are defined only here. No function turns a Gva into an Hpa except a walk.
 */
declare const space: unique symbol;

export type Gva = bigint & { readonly [space]: 'gva' };
export type Gpa = bigint & { readonly [space]: 'gpa' };
export type Hva = bigint & { readonly [space]: 'hva' };
export type Hpa = bigint & { readonly [space]: 'hpa' };

/** The four address spaces by field name, as written on the command line and in the Debug Console. */
export const SPACES = ['gva', 'gpa', 'hva', 'hpa'] as const;
export type Space = (typeof SPACES)[number];

const M64 = 0xffff_ffff_ffff_ffffn;

export const gva = (a: bigint): Gva => (a & M64) as Gva;
export const gpa = (a: bigint): Gpa => (a & M64) as Gpa;
export const hva = (a: bigint): Hva => (a & M64) as Hva;
export const hpa = (a: bigint): Hpa => (a & M64) as Hpa;

/** The address rounded down to a multiple of `size` (a power of two). */
export function alignDown<A extends Gva | Gpa | Hva | Hpa>(a: A, size: bigint): A {
  return (a & ~(size - 1n)) as A;
}
