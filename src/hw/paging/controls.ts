import { bit } from '../../base/bits';
import { CR0, CR4, EFER } from '../../isa/flags';

/** The paging mode by its number of levels, as SDM vol. 3, 4.1.1 names them. */
export type PagingFormat = 'none' | '32bit' | 'pae' | '4level' | '5level';

/** What of the CPU model decides which bits of an entry are reserved. */
export interface PagingModel {
  /** MAXPHYADDR. */
  readonly physicalBits: number;
  readonly vendor: 'intel' | 'amd';
  /** 1 GiB pages; default: offered. */
  readonly pages1g?: boolean;
}

/** What a walk needs of CR0, CR3, CR4 and EFER, decoded once when they change. */
export interface PagingControls {
  readonly format: PagingFormat;
  readonly wp: boolean;
  readonly nxe: boolean;
  readonly smep: boolean;
  readonly smap: boolean;
  readonly pse: boolean;
  readonly pge: boolean;
  readonly pcide: boolean;
  /** Protection keys for user pages; `pkru` holds two bits (AD, WD) for each of 16 keys. */
  readonly pke: boolean;
  readonly pkru: number;
  readonly physicalBits: number;
  readonly vendor: PagingModel['vendor'];
  /** 1 GiB pages offered by the CPU model. */
  readonly pages1g: boolean;
}

export function decodeControls(
  cr0: bigint,
  cr4: bigint,
  efer: bigint,
  pkru: number,
  { physicalBits, vendor, pages1g = true }: PagingModel,
): PagingControls {
  const paging = bit(cr0, CR0.PG);
  const long = bit(efer, EFER.LMA);
  const format: PagingFormat = !paging
    ? 'none'
    : !bit(cr4, CR4.PAE)
      ? '32bit'
      : !long
        ? 'pae'
        : bit(cr4, CR4.LA57)
          ? '5level'
          : '4level';
  return {
    format,
    wp: bit(cr0, CR0.WP),
    nxe: bit(efer, EFER.NXE),
    smep: bit(cr4, CR4.SMEP),
    smap: bit(cr4, CR4.SMAP),
    pse: bit(cr4, CR4.PSE),
    pge: bit(cr4, CR4.PGE),
    pcide: bit(cr4, CR4.PCIDE),
    pke: bit(cr4, CR4.PKE) && long,
    pkru,
    physicalBits,
    vendor,
    pages1g,
  };
}

/** Shape of each format: entry size, index width, and the level of the root table (PAE's level 3 is the four PDPTE registers). */
export const FORMATS: Readonly<
  Record<
    Exclude<PagingFormat, 'none'>,
    { readonly levels: number; readonly entryBytes: 4 | 8; readonly indexBits: 9 | 10; readonly linearBits: number }
  >
> = {
  '32bit': { levels: 2, entryBytes: 4, indexBits: 10, linearBits: 32 },
  pae: { levels: 3, entryBytes: 8, indexBits: 9, linearBits: 32 },
  '4level': { levels: 4, entryBytes: 8, indexBits: 9, linearBits: 48 },
  '5level': { levels: 5, entryBytes: 8, indexBits: 9, linearBits: 57 },
};

/** log2 of what an entry at `level` spans. */
export const levelShift = (format: Exclude<PagingFormat, 'none'>, level: number): number =>
  12 + (level - 1) * FORMATS[format].indexBits;
