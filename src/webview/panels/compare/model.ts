/** The lines of the comparison: which numbers stand beside each other, and which of them belong together. */
import type { Comparison, MethodRun } from '../../../protocol/panels/compare';
import type { ExitLane } from '../../../model/exits';

/** The methods as the command line names them. */
export const METHODS = [
  { name: 'ept', title: 'EPT' },
  { name: 'npt', title: 'NPT' },
  { name: 'shadow:classic', title: 'Shadow, classic' },
  { name: 'shadow:modern', title: 'Shadow, modern' },
  { name: 'software', title: 'Software' },
  { name: 'software:naive', title: 'Software, no TLB' },
] as const;
export const DEFAULT_METHODS: readonly string[] = METHODS.map(({ name }) => name).filter((n) => n !== 'software:naive');

export const LANES: readonly { readonly lane: ExitLane; readonly title: string }[] = [
  { lane: 'guest', title: 'Guest' },
  { lane: 'cpu', title: 'CPU' },
  { lane: 'kvm', title: 'KVM' },
  { lane: 'host', title: 'Host kernel' },
  { lane: 'vmm', title: 'VMM' },
];

export interface Line {
  readonly title: string;
  /** A part of the line above, not a line of its own. */
  readonly part: boolean;
  readonly values: readonly number[];
  readonly most: number;
}

const REFERENCES: Readonly<Record<string, string>> = {
  guest: 'guest tables',
  nested: 'EPT or NPT',
  shadow: 'shadow tables',
  host: 'host tables',
};
/** Why #PFs exited under shadow paging: KVM's statistics. */
const FAULTS: Readonly<Record<string, string>> = {
  fault_hidden: 'of these hidden faults',
  fault_dirty: 'of these A/D faults',
  fault_tracing: 'of these tracing faults',
  fault_mmio: 'of these MMIO',
  fault_guest: 'of these true guest faults',
};

const sum = (of: Readonly<Record<string, number>>): number => Object.values(of).reduce((a, b) => a + b, 0);

/** Lines that are zero under every method are left out, but for the first of each group. */
export function linesOf({ methods }: Comparison): readonly Line[] {
  const line = (title: string, of: (run: MethodRun) => number, part = false): Line => {
    const values = methods.map((run) => Math.round(of(run)));
    return { title, part, values, most: Math.max(...values, 1) };
  };
  const names = (of: (run: MethodRun) => Readonly<Record<string, number>>): string[] => [
    ...new Set(methods.flatMap((run) => Object.keys(of(run)))),
  ];
  const all = [
    line('VM exits', (run) => run.exitCount),
    ...names(({ exits }) => exits).flatMap((name) => [
      line(name, (run) => run.exits[name] ?? 0, true),
      ...(name === 'EXCEPTION_NMI'
        ? Object.entries(FAULTS).map(([key, title]) => line(title, (run) => run.stats[key] ?? 0, true))
        : []),
    ]),
    line('Memory references', (run) => sum(run.references)),
    ...names(({ references }) => references).map((name) =>
      line(REFERENCES[name] ?? name, (run) => run.references[name] ?? 0, true),
    ),
    line('TLB misses', ({ tlb }) => tlb.misses),
    line('Host frames', ({ hostFrames }) => hostFrames),
    line('Cycles (model)', ({ cycles }) => cycles),
    ...LANES.map(({ lane, title }) => line(title, ({ cyclesBy }) => cyclesBy[lane], true)),
  ];
  return all.filter(({ part, values }) => !part || values.some((n) => n !== 0));
}
