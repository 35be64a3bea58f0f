/** The reverse map of shadow paging (kvm_rmap_head): from a guest frame to every shadow leaf that maps it, and from there up to linear addresses. */
import { isCanonical } from '../../base/bits';
import type { ShadowMmu } from '../../kvm/mmu/shadow/mmu';
import type { ShadowPage } from '../../kvm/mmu/shadow/pages';
import { roleLevel, rootLevel } from '../../kvm/mmu/shadow/role';
import type { ShadowMapping } from '../translate/translation';

/** A table may be reached on very many ways. */
const MAX_PATHS = 64;

/** The leaves of the frame at `gpa`, in any role, with the linear addresses at which the current root reaches them: none for those that only other roots do. */
export function shadowMappings(mmu: ShadowMmu, gpa: bigint): readonly ShadowMapping[] {
  const root = mmu.loaded;
  const gfn = Number(gpa >> 12n);
  const spans = [1, 512, 512 * 512];
  return spans.flatMap((span) =>
    mmu.pages
      .leavesOf(gfn - (gfn % span))
      .filter(({ page }) => 512 ** (roleLevel(page.role) - 1) === span)
      .map(({ page, index }) => {
        const within = gpa & (BigInt(span) * 4096n - 1n);
        const width = root ? 12 + 9 * rootLevel(root.paging.controls.format) : 48;
        return {
          level: roleLevel(page.role),
          entry: mmu.pages.read(page, index),
          entryAddress: mmu.pages.entryAddress(page, index),
          gva: starts(mmu, page, index).map((at) => canonical(at + within, width)),
        };
      }),
  );
}

/** First addresses that entry `index` of `page` translates, over all ways from the current root. */
function starts(mmu: ShadowMmu, page: ShadowPage, index: number): readonly bigint[] {
  const root = mmu.loaded;
  const offset = BigInt(index) << BigInt(12 + 9 * (roleLevel(page.role) - 1));
  const out: bigint[] = [];
  root?.pages.forEach((top) => {
    if (top !== page) return;
    // of the PAE format, the page of each PDPTE
    const quarter = root.hpa === top.spt ? 0n : BigInt(quarterOf(mmu, root.hpa, top)) << 30n;
    out.push(quarter + offset);
  });
  for (const at of page.parents) {
    const parent = mmu.pages.ofTable(at & ~0xfffn);
    if (!parent || out.length >= MAX_PATHS) break;
    out.push(...starts(mmu, parent, Number((at & 0xfffn) >> 3n)).map((a) => a + offset));
  }
  return out.slice(0, MAX_PATHS);
}
const quarterOf = (mmu: ShadowMmu, root: bigint, page: ShadowPage): number =>
  [0, 1, 2, 3].find(
    (i) => (mmu.read(BigInt(i) << 30n)[0]?.value ?? 0n) >> 12n === page.spt >> 12n && root !== page.spt,
  ) ?? 0;

const canonical = (a: bigint, width: number): bigint =>
  width > 32 && !isCanonical(a, width) ? BigInt.asUintN(64, BigInt.asIntN(width, a)) : a;
