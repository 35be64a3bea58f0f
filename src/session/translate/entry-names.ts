import { counted } from '../../base/plural';
import { entryName as ordinaryName } from '../../isa/entries';
import type { TableKind } from '../../hw/paging/trace';

/** The manual's name of an entry: `PML4E`, `EPT PDE`. */
export function entryName(table: TableKind, level: number): string {
  const name = ordinaryName(level);
  return table === 'ept' ? `EPT ${name}` : table === 'npt' ? `NPT ${name}` : name;
}

/** `4 KiB`, `2 MiB`, `1 GiB` and their kin, from a size in bytes. */
export function sizeName(bytes: bigint): string {
  for (const [unit, shift] of [
    ['TiB', 40n],
    ['GiB', 30n],
    ['MiB', 20n],
    ['KiB', 10n],
  ] as const) {
    if (bytes >= 1n << shift && bytes % (1n << shift) === 0n) return `${bytes >> shift} ${unit}`;
  }
  return counted(bytes, 'byte');
}
