/**
 * A bit that is reserved is no flag in KVM's own tables and the host's either: the listing, the view and the map name it, and give no right by the entry. A person sets it
 * through the debugger's memory (SDM vol. 3, 4.5 and 29.3.2; APM vol. 2, 15.25.8).
 */
import * as assert from 'node:assert/strict';
import { hex } from '../../../src/base/hex';
import type { Session } from '../../../src/session/session';
import type { TableSet } from '../../../src/session/tables/map/index';
import { next, open } from '../scene';

const GUEST = 'bits 64\nmov rbx, 0x200000\nmov al, [rbx]\nlook: hlt\n';
const GUEST32 =
  'bits 32\nmov eax, cr4\nor eax, 0x10\nmov cr4, eax\nmov dword [0x100000], 0x83\nmov eax, 0x100000\nmov cr3, eax\nmov eax, cr0\nor eax, 0x80000000\nmov cr0, eax\nlook: hlt\n';

function stopped(options: Readonly<Record<string, string>>, source = GUEST): Session {
  const s = open(source, options);
  s.breakpoints.setFunctions([{ name: 'look' }]);
  s.run.continue_();
  assert.equal(next(s), 'function-breakpoint look');
  return s;
}

/** The first entry of a level, and of its kind, whose bits are written over; what three places then say of it. */
interface Edit {
  readonly set: Exclude<TableSet, 'guest'>;
  readonly level: number;
  readonly leaf?: true;
  readonly set1: bigint;
  readonly named: readonly string[];
  readonly why: string;
}
function check(options: Readonly<Record<string, string>>, edit: Edit, source?: string): void {
  const { set, level, leaf = false, set1, named, why } = edit;
  const shown = `${Object.values(options).join(' ')}: ${set} level ${level}${leaf ? ' leaf' : ''} | ${hex(set1)}`;
  it(`${shown}: ${named.join(' ')}`, () => {
    const s = stopped(options, source);
    const listed = s.tables.list(set);
    const e = listed.find((x) => x.level === level && x.leaf === leaf && (x.marks ?? []).length === 0);
    assert.ok(e, 'an entry of the kind');
    assert.ok(!e.flags.some((flag) => flag.includes('reserved')), e.flags.join(' '));
    const bytes = new Uint8Array(8);
    new DataView(bytes.buffer).setBigUint64(0, e.entry | set1, true);
    assert.ok(s.memory.edit({ space: 'hpa', value: e.entryAddress }, bytes).ok);

    const after = s.tables.list(set).find((x) => x.entryAddress === e.entryAddress);
    const expected = [...e.flags, ...named].sort();
    assert.deepEqual([...(after?.flags ?? [])].sort(), expected);
    assert.equal(after?.leaf, leaf);
    const path: string[] = [];
    for (let at: string = set, l = top(s, set); l >= level; l--) {
      const rows = s.views.page(at, 0, 600);
      assert.ok(rows.ok, at);
      const below = rows.value.nodes.filter((n) => n.path.split('/').at(-1)?.match(/^\d+$/));
      const row = below.find((n) => n.address !== undefined && covers(n.address.value, l, e.from));
      assert.ok(row, `${at}: a row of ${hex(e.from)}`);
      path.push(row.path);
      at = row.path;
      if (l === level) {
        for (const name of named) assert.ok(row.value.includes(name), row.value);
        assert.ok(row.detail?.includes(`flags: ${(after?.flags ?? []).join(' ')}`), row.detail?.join('\n'));
        assert.ok(row.detail?.includes(why), row.detail?.join('\n'));
      }
    }
    const mapped = rowOf(s, set, e.entryAddress);
    assert.deepEqual([...mapped.flags].sort(), expected);
    assert.equal(mapped.rights.replaceAll('-', ''), '');
  });
}
const covers = (start: bigint, level: number, address: bigint): boolean => {
  const shift = BigInt(12 + 9 * (level - 1));
  return BigInt.asUintN(48, start) >> shift === BigInt.asUintN(48, address) >> shift;
};
const top = (s: Session, set: TableSet): number => Math.max(...s.tables.list(set).map((e) => e.level));
function rowOf(
  s: Session,
  set: TableSet,
  entryAddress: bigint,
  path: readonly string[] = [],
): { readonly flags: readonly string[]; readonly rights: string } {
  const found = find(s, set, entryAddress, path);
  assert.ok(found, 'a row of the map');
  return found;
}
function find(
  s: Session,
  set: TableSet,
  entryAddress: bigint,
  path: readonly string[],
): ReturnType<typeof rowOf> | undefined {
  const page = s.tables.maps.page(set, 1, path, 0, 512, undefined);
  assert.ok(page.ok, path.join('/'));
  for (const row of page.value.rows) {
    if (row.entryAddress === entryAddress && row.first === row.last) return row;
    const below = row.rows > 0 ? find(s, set, entryAddress, [...path, row.id]) : undefined;
    if (below) return below;
  }
  return undefined;
}

describe("reserved bits of KVM's tables and of the host's", () => {
  const bit = (n: number): bigint => 1n << BigInt(n);
  const ept = { mmu: 'ept' };
  check(ept, {
    set: 'ept',
    level: 1,
    leaf: true,
    set1: bit(50),
    named: ['bit 50(reserved)'],
    why: 'bit 50 is above MAXPHYADDR 46',
  });
  check(ept, {
    set: 'ept',
    level: 2,
    set1: bit(4),
    named: ['bit 4(reserved)'],
    why: 'bit 4 of an EPT PDE that points to a table is reserved',
  });
  check(ept, {
    set: 'ept',
    level: 4,
    set1: bit(7),
    named: ['bit 7(reserved)'],
    why: 'bit 7 of an EPT PML4E that points to a table is reserved',
  });
  check(
    { mmu: 'ept', cpu: 'pagewalk-x64-no1g' },
    {
      set: 'ept',
      level: 3,
      set1: bit(7),
      named: ['bit 7(reserved)'],
      why: 'bit 7 of an EPT PDPTE that points to a table is reserved',
    },
  );
  // points to where no host memory is
  check(ept, {
    set: 'ept',
    level: 3,
    set1: bit(47),
    named: ['bit 47(reserved)'],
    why: 'bit 47 is above MAXPHYADDR 46',
  });
  check(ept, {
    set: 'host',
    level: 4,
    set1: bit(7),
    named: ['PS(reserved)'],
    why: 'PS in a PML4E is reserved (bit 7)',
  });
  const npt = { mmu: 'npt', cpu: 'pagewalk-svm' };
  check(npt, {
    set: 'npt',
    level: 1,
    leaf: true,
    set1: bit(50),
    named: ['bit 50(reserved)'],
    why: 'bit 50 is above MAXPHYADDR 48',
  });
  check(npt, { set: 'npt', level: 4, set1: bit(7), named: ['PS(reserved)'], why: 'PS in a PML4E is reserved (bit 7)' });
  check(npt, {
    set: 'npt',
    level: 4,
    set1: bit(8),
    named: ['G(reserved)'],
    why: 'G in a PML4E is reserved (bit 8) on AMD processors',
  });
  check(npt, {
    set: 'npt',
    level: 3,
    set1: bit(49),
    named: ['bit 49(reserved)'],
    why: 'bit 49 is above MAXPHYADDR 48',
  });
  for (const shadow of ['classic', 'modern']) {
    const options = { mmu: 'shadow', shadow };
    check(options, {
      set: 'shadow',
      level: 1,
      leaf: true,
      set1: bit(50),
      named: ['bit 50(reserved)'],
      why: 'bit 50 is above MAXPHYADDR 46',
    });
    check(options, {
      set: 'shadow',
      level: 4,
      set1: bit(7),
      named: ['PS(reserved)'],
      why: 'PS in a PML4E is reserved (bit 7)',
    });
    const start32 = { ...options, start: 'flat32', 'host-base': '0x40000000' };
    check(
      start32,
      { set: 'shadow', level: 3, set1: bit(1), named: ['RW(reserved)'], why: 'bit 1 of a PAE PDPTE is reserved' },
      GUEST32,
    );
    check(
      start32,
      {
        set: 'shadow',
        level: 1,
        leaf: true,
        set1: bit(55),
        named: ['bit 55(reserved)'],
        why: 'bit 55 is reserved in PAE paging',
      },
      GUEST32,
    );
  }
});
