/** A Translation for the view's own tests: four guest levels by four EPT levels, with the numbers of the worked example. */
import type { TranslateReply } from '../../../src/protocol/messages';
import type { Translation, WalkStep } from '../../../src/protocol/translation';

const hex = (n: bigint): string => `0x${n.toString(16)}`;
const TABLES = [0x1_0000_5000n, 0x1_0000_7000n, 0x1_0000_a000n, 0x1_0000_c000n] as const;
const NAMES = ['PML4E', 'PDPTE', 'PDE', 'PTE'] as const;
const RIGHTS = { r: true, w: true, x: true, user: true };

/** The four EPT entries of a GPA; the last one maps `page`, or nothing where it is undefined. */
function ept(gpa: bigint, page: bigint | undefined): WalkStep[] {
  return TABLES.map((table, depth) => {
    const level = 4 - depth;
    const index = Number((gpa >> BigInt(12 + 9 * (level - 1))) & 511n);
    const target = level === 1 ? page : TABLES[depth + 1];
    const step = {
      level,
      name: `EPT ${NAMES[depth] ?? ''}`,
      index,
      entryAddress: hex(table + BigInt(index * 8)),
      space: 'hpa' as const,
      nested: [],
    };
    return target === undefined
      ? { ...step, entry: '0x0', flags: [], problem: 'not present' }
      : { ...step, entry: hex(target | 0x37n), flags: ['R', 'W', 'X'], target: hex(target) };
  });
}

const GUEST = [
  { level: 4, index: 255, table: 0x1000n, entry: 0x2023n },
  { level: 3, index: 40, table: 0x2000n, entry: 0x3023n },
  { level: 2, index: 473, table: 0x3000n, entry: 0x4023n },
  { level: 1, index: 160, table: 0x4000n, entry: 0x12345027n },
] as const;

const guestSteps: readonly WalkStep[] = GUEST.map(({ level, index, table, entry }) => ({
  level,
  name: NAMES[4 - level] ?? '',
  index,
  entryAddress: hex(table + BigInt(index * 8)),
  space: 'gpa',
  entryHpa: hex(0x1_0002_0000n + table),
  entry: hex(entry),
  flags: ['P', 'RW', 'A'],
  target: hex(entry & ~0xfffn),
  nested: ept(table, 0x1_0002_0000n + table),
}));

const cold: Translation = {
  ok: true,
  gva: '0x7f8a3b2a0100',
  gpa: '0x12345100',
  hva: '0x7f5a12345100',
  hpa: '0x1a2b3100',
  rights: { ...RIGHTS, x: false, user: false },
  references: 24,
  tlb: { hit: false, stale: null },
  stages: [
    {
      ...{ stage: 'guest', who: 'cpu', mode: 'non-root', from: 'gva', to: 'gpa', pageSize: 4096, steps: guestSteps },
      ...{ input: '0x7f8a3b2a0100', output: '0x12345100', root: { name: 'CR3', value: '0x1000' }, rights: RIGHTS },
    },
    {
      ...{ stage: 'ept', who: 'cpu', mode: 'non-root', from: 'gpa', to: 'hpa', pageSize: 4096, rights: RIGHTS },
      ...{ input: '0x12345100', output: '0x1a2b3100', root: { name: 'EPTP', value: '0x10000505e' } },
      steps: ept(0x12345100n, 0x1a2b3000n),
    },
    {
      ...{
        stage: 'memslot',
        who: 'kvm',
        mode: 'root',
        from: 'gpa',
        to: 'hva',
        slot: 0,
        base: '0x0',
        size: '0x20000000',
      },
      ...{ hva: '0x7f5a00000000', input: '0x12345100', output: '0x7f5a12345100', rights: RIGHTS },
    },
    {
      ...{ stage: 'host', who: 'cpu', mode: 'root', from: 'hva', to: 'hpa', rights: RIGHTS, steps: [] },
      ...{ input: '0x7f5a12345100', output: '0x1a2b3100' },
    },
  ],
};

/** `[rbx]` with every table in place. */
export const COLD: TranslateReply = { address: '0x7f8a3b2a0100', space: 'gva', symbol: 'target', translation: cold };

/** The same before anybody touched the page: the walk ends in the last EPT entry. */
export const UNTOUCHED: TranslateReply = {
  ...COLD,
  translation: {
    ...{ ok: false, gva: '0x7f8a3b2a0100', gpa: '0x12345100', references: 24 },
    rights: { r: false, w: false, x: false, user: false },
    tlb: {
      hit: true,
      stale: {
        ...{
          source: 'TLB',
          hpa: '0x1a2b3100',
          missing: 'INVEPT',
          why: 'the EPT has no entry for GPA 0x12345100 any more',
        },
        explanation:
          'The TLB still leads to HPA 0x1a2b3100: the EPT has no entry for GPA 0x12345100 any more; INVEPT is missing.',
      },
    },
    stages: cold.stages.slice(0, 2).map((stage) => {
      if (stage.stage !== 'ept') return stage;
      const { output: _, pageSize: __, ...rest } = stage;
      return { ...rest, steps: ept(0x12345100n, undefined) };
    }),
    failure: {
      ...{ stage: 'ept', level: 1, reason: 'not present', event: 'EPT_VIOLATION' },
      explanation: 'No EPT entry maps GPA 0x12345100 yet: the access exits to KVM, which fills the entry.',
    },
  },
};
