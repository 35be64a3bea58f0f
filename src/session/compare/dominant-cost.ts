/** What a method's cycles go to, in words. */
import type { GuestCycles } from '../../vmm/accelerator';
import { LANES } from '../../vmm/exits/lanes';

/** A part below this share of the cycles is not worth a word. */
const LEAST_SHARE = 0.1;
const MOST_PARTS = 3;

/** By the cost model: the largest parts of a run's cycles with their shares, largest first. `lanes`: cycles by who spent them, in the order of LANES; `own`: the guest's and the walks'. */
export function dominantCost(lanes: readonly number[], own: GuestCycles): string {
  const by = Object.fromEntries(LANES.map((lane, i) => [lane, lanes[i] ?? 0])) as Record<
    (typeof LANES)[number],
    number
  >;
  const { translation = 0, lookups = 0, walks } = own;
  const parts = [
    ['guest instructions', by.guest - translation - lookups],
    ['translating guest code', translation],
    ['software TLB look-ups', lookups],
    ['page walks and TLB fills', walks],
    ['VM exits, VM entries and exceptions', by.cpu - walks],
    ["KVM's handling of exits", by.kvm],
    ['page faults and zeroed pages in the host kernel', by.host],
    ['the VMM: devices and returns to user space', by.vmm],
  ] as const;
  const total = parts.reduce((n, [, cycles]) => n + cycles, 0);
  if (total === 0) return 'nothing';
  const sorted = [...parts].sort((a, b) => b[1] - a[1]).filter(([, cycles]) => cycles > 0);
  const told = sorted.slice(0, MOST_PARTS).filter(([, cycles], i) => i === 0 || cycles / total >= LEAST_SHARE);
  return told.map(([what, cycles]) => `${what} (${Math.round((100 * cycles) / total)}%)`).join(', ');
}
