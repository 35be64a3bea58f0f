/** The exception filters in the words of the method that the guest runs under. */
import type { MmuKind } from '../../vmm/options';
import type { FilterName } from '../types';
import { EXCEPTION_FILTERS } from '../types';

type Filter = (typeof EXCEPTION_FILTERS)[number];
type Words = Partial<Omit<Filter, 'filter'>>;

const EXITS = 'Stops at each VM exit, before the hypervisor handles it.';
const GUEST_FAULTS =
  "Stops when a page fault is delivered to the guest: the guest's own, not one that only the hypervisor sees.";

/** What differs from the words for any method. */
const WORDS: Readonly<Record<Exclude<MmuKind, 'software'>, Readonly<Partial<Record<FilterName, Words>>>>> = {
  ept: {
    'vm-exit': {
      description: EXITS,
      conditionDescription: 'for example: reason == CPUID || reason == EPT_VIOLATION && gpa >= 0x5000',
    },
    'ept-violation': {
      label: 'EPT violation',
      description: 'Stops at EPT violations and misconfigurations: faults that the guest never sees.',
      conditionDescription: 'for example: write && slot == 1',
    },
    'guest-pf': { description: GUEST_FAULTS },
  },
  npt: {
    'vm-exit': {
      description: EXITS,
      conditionDescription: 'for example: reason == CPUID || reason == NPF && gpa >= 0x5000',
    },
    'ept-violation': {
      label: 'NPF (nested page fault)',
      description: 'Stops at nested page faults, which the guest never sees.',
      conditionDescription: 'for example: write && slot == 1',
    },
    'guest-pf': { description: GUEST_FAULTS },
  },
  shadow: {
    'vm-exit': {
      description: `${EXITS} A #PF exit is one of hidden, tracing, dirty, mmio and guest_fault: conditions may ask which.`,
      conditionDescription: 'for example: reason == CPUID || tracing',
    },
    'ept-violation': {
      label: 'Hidden #PF',
      description:
        "Stops at #PF exits that are not the guest's own: faults of the shadow tables alone. They are hidden, tracing, dirty or mmio: conditions may ask which.",
      conditionDescription: 'for example: tracing || dirty',
    },
    'guest-pf': {
      description:
        "Stops when a page fault is delivered to the guest. All page faults exit; KVM injects those that are the guest's own.",
    },
  },
};
/** Of software translation: the guest's own faults alone, since nothing exits. */
const SOFTWARE: ReadonlySet<FilterName> = new Set(['guest-pf', 'guest-exception']);

/** Undefined: the method is not known yet. */
export function filtersFor(mmu: MmuKind | undefined): readonly Filter[] {
  if (mmu === undefined) return EXCEPTION_FILTERS;
  if (mmu !== 'software') return EXCEPTION_FILTERS.map((each) => ({ ...each, ...WORDS[mmu][each.filter] }));
  return EXCEPTION_FILTERS.filter(({ filter }) => SOFTWARE.has(filter)).map((each) =>
    each.filter === 'guest-pf' ? { ...each, description: 'Stops when a page fault is delivered to the guest.' } : each,
  );
}
