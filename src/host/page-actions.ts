/** What can be done to a page in its current state: the checks of page-events.ts, without side effects. */
import type { Hva } from '../base/address';
import { hpa } from '../base/address';
import { FRAME_MASK } from '../isa/entries';
import type { Mm } from './mm';
import { swapSlotOf } from './swap';

export type PageAction = 'swap-out' | 'migrate' | 'merge' | 'collapse' | 'split' | 'balloon' | 'deflate';

/**
 * The actions that the state of the page at `address` permits. Conditions on another page or on free memory are found
 * out only by trying: a merge with a page of different content, a migration without a free frame.
 */
export function pageActions({ kernel, tables, areas }: Mm, address: Hva): readonly PageAction[] {
  const vma = areas.find(address);
  if (!vma) return [];
  const { leaf } = tables.descend(address);
  const pte = leaf ? undefined : tables.pte(address);
  const swapped = pte !== undefined && swapSlotOf(pte.entry) !== undefined;
  const hugetlb = vma.backing === '2m' || vma.backing === '1g';
  const huge = leaf !== undefined && leaf.level > 1;
  const merged = leaf?.level === 1 && kernel.mergedCount(hpa(leaf.entry & FRAME_MASK)) > 0;
  const small = leaf !== undefined && !hugetlb;
  const all: readonly (readonly [PageAction, boolean])[] = [
    ['swap-out', small && !merged && kernel.swap.used < kernel.swap.capacity],
    ['migrate', leaf !== undefined && !merged && leaf.level < 3],
    ['merge', small],
    ['collapse', vma.backing === 'thp' && !huge && (leaf !== undefined || swapped)],
    ['split', huge && leaf.level === 2 && vma.backing === 'thp'],
    ['balloon', (leaf !== undefined || swapped) && !hugetlb],
    ['deflate', leaf === undefined],
  ];
  return all.flatMap(([action, can]) => (can ? [action] : []));
}
