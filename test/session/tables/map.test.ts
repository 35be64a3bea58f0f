/** The maps of page tables: opened all the way down they are what `pagewalk tables` lists; folded they are a few rows. */
import * as assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { hex } from '../../../src/base/hex';
import type { Session } from '../../../src/session/session';
import type { RowFilter, TableRow, TableSet } from '../../../src/session/tables/map/index';
import { DRIFT_GUEST } from '../../webview/drift-guest';
import { open, wait } from '../scene';

const example = (name: string): string => readFileSync(`examples/${name}.asm`, 'utf8');

function stopped(source: string, label?: string, options: Readonly<Record<string, string>> = {}): Session {
  const s = open(source, options);
  if (label !== undefined) {
    s.breakpoints.setFunctions([{ name: label }]);
    s.run.continue_();
    wait(s);
  }
  return s;
}

function rowsAt(
  s: Session,
  set: TableSet,
  path: readonly string[],
  filter?: RowFilter,
  moment = 1,
): readonly TableRow[] {
  const out: TableRow[] = [];
  for (let total = 1; out.length < total;) {
    const page = s.tables.maps.page(set, moment, path, out.length, 512, filter);
    assert.ok(page.ok, path.join('/'));
    ({ total } = page.value);
    if (total === 0) break;
    out.push(...page.value.rows);
  }
  return out;
}

/** Every present entry below a path, one by one. */
function entries(s: Session, set: TableSet, path: readonly string[] = []): TableRow[] {
  return rowsAt(s, set, path).flatMap((row) => {
    const below = row.rows > 0 ? entries(s, set, [...path, row.id]) : [];
    return row.first === row.last && row.kind !== 'absent' ? [row, ...below] : below;
  });
}

const entryText = (
  e: Pick<TableRow, 'level' | 'from' | 'to' | 'entry' | 'entryAddress' | 'flags' | 'target'>,
): string =>
  `L${e.level} ${hex(e.from)}–${hex(e.to)} @${hex(e.entryAddress)} ${hex(e.entry)} ${e.flags.join(' ')} → ${hex(e.target)}`;

const rowText = (row: TableRow): string =>
  [
    row.id,
    row.name,
    `${hex(row.from)}–${hex(row.to)}`,
    row.kind,
    row.rights,
    row.targets,
    row.pages,
    ...(row.changed ? [`changed ${row.changed}`] : []),
    ...(row.changedBelow ? ['changed below'] : []),
  ].join(' ');

describe('maps of page tables', () => {
  const SETS = ['guest', 'ept', 'host'] as const;
  const cases: readonly (readonly [
    name: string,
    source: string,
    label: string | undefined,
    Readonly<Record<string, string>>,
  ])[] = [
    ['a page touched', example('first-touch'), undefined, { memory: '4M' }],
    ['large pages', example('large-page'), undefined, { memory: '16M' }],
    ['32-bit paging', '; @guest start=flat32\nbits 32\n mov eax, [0x500000]\nhere: hlt\n', 'here', { memory: '16M' }],
  ];
  for (const [name, source, label, options] of cases)
    for (const set of SETS)
      it(`${name}: ${set} tables, opened, are what is listed`, () => {
        const s = stopped(source, label, options);
        assert.deepEqual(entries(s, set).map(entryText), s.tables.list(set).map(entryText));
      });

  for (const generation of ['classic', 'modern'])
    it(`shadow tables, ${generation}, opened, are what is listed`, () => {
      const s = stopped(example('first-touch'), undefined, { mmu: 'shadow', shadow: generation });
      s.breakpoints.setFilters([{ filter: 'vm-exit' }]);
      for (let i = 0; i < 6; i++) {
        s.run.continue_();
        wait(s);
      }
      assert.deepEqual(entries(s, 'shadow').map(entryText), s.tables.list('shadow').map(entryText));
    });

  it('folds the identity map into a few rows', () => {
    const s = stopped('; @guest start=flat64 memory=64M\nbits 64\n nop\n');
    const down = (path: readonly string[]): readonly string[] => {
      const rows = rowsAt(s, 'guest', path);
      return rows.length === 1 && rows[0]?.first === rows[0]?.last && (rows[0]?.rows ?? 0) > 0
        ? down([...path, rows[0]?.id ?? ''])
        : rows.map(rowText);
    };
    assert.deepEqual(down([]), ['0-31 PDE 0x0–0x3ffffff table rwx- various 16384']);
  });

  it('tells what changed since the last look, and where', () => {
    const s = stopped(
      '; @guest start=flat64\nbits 64\nstart: mov rax, cr3\n mov rbx, [rax]\nhere: mov qword [rax + 8 * 300], 0x5007\nthere: hlt\n',
      'here',
    );
    assert.deepEqual(
      rowsAt(s, 'guest', []).map(({ id, changed }) => [id, changed]),
      [['0', undefined]],
    );
    s.breakpoints.setFunctions([{ name: 'there' }]);
    s.run.continue_();
    wait(s);
    assert.deepEqual(
      rowsAt(s, 'guest', [], undefined, 2).map(({ id, changed, was }) => [id, changed, was]),
      [
        ['0', undefined, undefined],
        ['300', 1, 0n],
      ],
    );
  });

  it('marks an entry that the guest edited and did not flush, and leads to it', () => {
    const s = stopped(DRIFT_GUEST, 'edited');
    const marks = (set: TableSet, moment: number): string[] => {
      const found = s.tables.maps.find(set, moment, 0x300000n);
      assert.ok(found.ok);
      return found.value.path.map((id, depth) => {
        const row = rowsAt(s, set, found.value.path.slice(0, depth), undefined, moment).find((each) => each.id === id);
        const own = row?.drift?.map(({ mark, entries: n }) => `${n} ${mark}`) ?? [];
        return [row?.name, ...own, ...(row?.driftBelow?.map((mark) => `${mark} below`) ?? [])].join(', ');
      });
    };
    const way = ['PML4E', 'PDPTE', 'PDE'].map((name) => `${name}, unsync below, stale below`);
    assert.deepEqual(marks('shadow', 1), [...way, 'PTE, 1 unsync, 1 stale']);
    assert.deepEqual(marks('guest', 1), [...way, 'PTE, 1 unsync, 1 stale']);
    s.breakpoints.setFunctions([{ name: 'flushed' }]);
    s.run.continue_();
    wait(s);
    // INVLPG brought the table in step: the entry has no shadow until the next access, and may be written without an exit still.
    assert.deepEqual(marks('guest', 2), ['PML4E', 'PDPTE', 'PDE', 'PTE, 1 missing, 1 unsync']);
  });

  it('finds an address, and says where the way ends', () => {
    const s = stopped(example('worked-example'), 'again');
    const found = s.tables.maps.find('guest', 1, 0x7f8a3b2a0100n);
    assert.deepEqual(found.ok && found.value, { path: ['255', '40', '473', '160'], present: true });
    const missing = s.tables.maps.find('guest', 1, 0x7f8a3b2a1100n);
    assert.deepEqual(missing.ok && missing.value, {
      path: ['255', '40', '473'],
      present: false,
      missing: 'PTE [161] is 0: not present',
    });
  });

  it('shows with a filter only the ways to pages that have the flag', () => {
    const s = stopped(example('worked-example'), 'again');
    const below = (path: readonly string[], filter: RowFilter): string[] =>
      rowsAt(s, 'guest', path, filter).flatMap((row) =>
        row.kind === 'table'
          ? below([...path, row.id], filter)
          : [`${[...path, row.id].join('/')} ${row.flags.join(' ')}`],
      );
    assert.deepEqual(below([], { kind: 'flag', flag: 'A', without: false }), [
      '0/0/0/256 P RW A',
      '0/0/1/1-3 P RW A D',
      '0/0/145/325 P RW A D',
      '0/0/255/253 P RW A D',
      '255/40/473/160 P RW US A',
    ]);
  });

  it('shows what changed, what came, and what went, and nothing else; of an edit by hand too', () => {
    const s = stopped(
      `; @guest start=flat64 memory=16M
bits 64
start:  mov     rdi, cr3
        mov     rdi, [rdi]
        and     rdi, ~0xfff
        mov     rdi, [rdi]
        and     rdi, ~0xfff
        mov     rdi, [rdi + 8]
        and     rdi, ~0xfff             ; the table of the second 2 MiB
here:   mov     qword [rdi + 0x100 * 8], 0x400003
        mov     qword [rdi + 0x1fe * 8], 0
        mov     qword [rdi + 0x1ff * 8], 0
        mov     rax, cr3
        mov     qword [rax + 8 * 300], 0x5007
there:  hlt
`,
      'here',
    );
    const kept = (): Map<string, string> =>
      new Map(entries(s, 'guest').map((e) => [`${e.level} ${hex(e.entryAddress)}`, hex(e.entry)]));
    const sets = (moment: number): number | undefined =>
      s.tables.maps.sets(moment).find(({ set }) => set === 'guest')?.since;
    /** Level and address of each entry that the filter lets through as changed itself. */
    const changed = (moment: number, path: readonly string[] = []): string[] =>
      rowsAt(s, 'guest', path, { kind: 'changed' }, moment).flatMap((row) => {
        const own = row.changed !== undefined && (row.rows === 0 || row.first === row.last);
        const each = Array.from({ length: row.last - row.first + 1 }, (_, i) => row.entryAddress + BigInt(8 * i));
        return [
          ...(own ? each.map((at) => `${row.level} ${hex(at)}`) : []),
          ...(row.rows > 0 ? changed(moment, [...path, row.id]) : []),
        ];
      });
    assert.equal(sets(1), undefined);
    assert.deepEqual(changed(1), []);
    const before = kept();
    s.breakpoints.setFunctions([{ name: 'there' }]);
    s.run.continue_();
    wait(s);
    assert.equal(sets(2), 1);
    const found = changed(2);
    const now = kept();
    const differing = [...before.keys(), ...now.keys()].filter((at) => before.get(at) !== now.get(at));
    assert.deepEqual([...found].sort(), [...new Set(differing)].sort());
    assert.ok(found.length >= 4, 'one changed, one came, two went');
    assert.deepEqual(changed(3), found, 'the same stop, another moment');
  });

  it('shows where the shadow drifted, on both sides', () => {
    const s = stopped(DRIFT_GUEST, 'edited');
    const ways = (set: TableSet, path: readonly string[] = []): string[] =>
      rowsAt(s, set, path, { kind: 'drifted' }).flatMap((row) => [
        ...(row.drift?.some(({ mark }) => mark === 'stale') ? [[...path, row.id].join('/')] : []),
        ...(row.rows > 0 ? ways(set, [...path, row.id]) : []),
      ]);
    for (const set of ['guest', 'shadow'] as const) assert.ok(ways(set).includes('0/0/1/256'), ways(set).join(', '));
    assert.deepEqual(ways('host'), []);
    const flushed = stopped(DRIFT_GUEST, 'before');
    assert.deepEqual(rowsAt(flushed, 'shadow', [], { kind: 'drifted' }), []);
  });

  it('draws the tables on a way as strips', () => {
    const s = stopped(example('worked-example'), 'again');
    const strips = s.tables.maps.strips('guest', 1, ['255', '40', '473', '160']);
    assert.ok(strips.ok);
    assert.deepEqual(
      strips.value.map(({ name, cells, first }) => [name, cells.length, first, cells[first ?? 0]]),
      [
        ['PML4E', 512, 255, 'p'],
        ['PDPTE', 512, 40, 'p'],
        ['PDE', 512, 473, 'p'],
        ['PTE', 512, 160, 'P'],
      ],
    );
  });

  it('ends on tables that lead back to themselves', () => {
    const s = stopped(
      '; @guest start=flat64\nbits 64\n mov rax, cr3\n lea rbx, [rax + 3]\n mov [rax + 8 * 510], rbx\nhere: hlt\n',
      'here',
    );
    const [set] = s.tables.maps.sets(1);
    assert.equal(set?.set, 'guest');
    assert.ok((set?.tables ?? 0) < 100);
    assert.ok(rowsAt(s, 'guest', ['510', '510', '510']).length > 0);
  });

  it('folds a quarter of a million pages into one row', function () {
    // The guest maps 1 GiB by 512 page tables of its own, page after page.
    const s = stopped(MANY, 'here', { memory: '64M' });
    const guest = s.tables.maps.sets(1).find(({ set }) => set === 'guest');
    assert.equal(guest?.pages, 512 * 512 + 32 * 512);
    assert.deepEqual(rowsAt(s, 'guest', ['1']).map(rowText), [
      '0 PDPTE 0x8000000000–0x803fffffff table rwx- one 262144',
    ]);
    assert.deepEqual(rowsAt(s, 'guest', ['1', '0']).map(rowText), [
      '0-511 PDE 0x8000000000–0x803fffffff table rwx- various 262144',
    ]);
    assert.deepEqual(rowsAt(s, 'guest', ['1', '0', '0-511', '7']).map(rowText), [
      '0-511 PTE 0x8000e00000–0x8000ffffff page rwx- following 512',
    ]);
  });
});

const MANY = `; @guest start=flat64
bits 64
        mov     rdi, 0x1000000          ; 512 tables from 16 MiB on
        mov     rax, 0x3
        mov     ecx, 512 * 512
fill:   mov     [rdi], rax
        add     rax, 0x1000
        add     rdi, 8
        dec     ecx
        jnz     fill
        mov     rdi, 0x2000000          ; their directory
        mov     rax, 0x1000003
        mov     ecx, 512
dirs:   mov     [rdi], rax
        add     rax, 0x1000
        add     rdi, 8
        dec     ecx
        jnz     dirs
        mov     qword [0x2010000], 0x2000003
        mov     rax, cr3
        mov     qword [rax + 8], 0x2010003
here:   hlt
`;
