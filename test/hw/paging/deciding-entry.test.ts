/**
 * Of a denied access the failure names the entry that lacks the right, which need not be the one that maps the page: rights are the AND over the levels (SDM vol. 3, 4.6.1 and
 * 28.3.2; AMD APM vol. 2, 5.6 and 15.25.5). And the bits of registers without which there would be no denial.
 */
import * as assert from 'node:assert/strict';
import { hpa } from '../../../src/base/address';
import { HostMemory } from '../../../src/hw/memory/host-memory';
import type { Access } from '../../../src/hw/paging/access';
import { decodeControls, FORMATS, type PagingControls } from '../../../src/hw/paging/controls';
import { decodeEptp } from '../../../src/hw/paging/ept';
import { translateSecondLevel } from '../../../src/hw/paging/second-level';
import { DirectPort, OrdinaryWalk, walkOrdinary } from '../../../src/hw/paging/ordinary';
import type { WalkFailure } from '../../../src/hw/paging/trace';
import { WalkOut } from '../../../src/hw/paging/walk-out';

const MODEL = { physicalBits: 52, vendor: 'intel' } as const;
const PG_WP = 0x8001_0001n;
const PAE = 0x20n;
const LONG = 0xd00n;
const RW = 2n;
const US = 4n;
const XD = 1n << 63n;

/** A table per level at 4 KiB steps, the root first; entry 0 of each leads to the next. */
class Tables {
  readonly memory = new HostMemory(0n, 1 << 20);
  readonly out = new WalkOut();
  constructor(
    readonly levels: number,
    readonly bytes: 4 | 8 = 8,
  ) {}
  /** `flags`: of the entries, root first. */
  set(flags: readonly bigint[]): void {
    flags.forEach((f, i) => {
      const entry = BigInt((i + 2) << 12) | f;
      const at = hpa(BigInt((i + 1) << 12));
      if (this.bytes === 8) this.memory.write64(at, entry);
      else this.memory.view.setUint32(this.memory.offsetOf(at), Number(entry), true);
    });
  }
  walk(c: PagingControls, access: Access, ac = false): WalkFailure | undefined {
    const port = new DirectPort(this.memory, 'guest');
    const done = walkOrdinary(new OrdinaryWalk({ port, root: 0x1000n, controls: c }, this.out), 0n, access, ac);
    return done ? undefined : this.out.failure();
  }
}

/** `level; lacking; below`. */
const shape = (f: WalkFailure | undefined): string =>
  f === undefined
    ? 'ok'
    : [String(f.level), f.lacking.map((e) => e.level).join(','), f.below.map((e) => e.level).join(',')].join('; ');
/** What it has to be where the right is missing at `lacking`, in a walk of `levels`. */
const wanted = (levels: number, lacking: readonly number[]): string => {
  const top = Math.max(...lacking);
  const below = Array.from({ length: levels }, (_, i) => levels - i).filter((l) => l < top);
  return [String(top), lacking.join(','), below.join(',')].join('; ');
};
/** Every set of levels, root first. */
const subsets = (levels: number): readonly (readonly number[])[] =>
  Array.from({ length: 2 ** levels - 1 }, (_, n) =>
    Array.from({ length: levels }, (_, i) => levels - i).filter((l) => ((n + 1) >> (l - 1)) & 1),
  );
const FULL = 1n | RW | US;

describe('the deciding entry of a denied walk', () => {
  const user: Access = { op: 'read', user: true, implicit: false };
  for (const [name, format, cr4, efer] of [
    ['32-bit', '32bit', 0n, 0n],
    ['4-level', '4level', PAE, LONG],
    ['5-level', '5level', PAE | 0x1000n, LONG],
  ] as const) {
    it(`${name}: the topmost entry without U/S, without R/W, with XD, at every set of levels`, () => {
      const { levels, entryBytes } = FORMATS[format];
      const t = new Tables(levels, entryBytes);
      const c = decodeControls(PG_WP, cr4, efer, 0, MODEL);
      for (const lacking of subsets(levels)) {
        const flags = (clear: bigint, set: bigint): bigint[] =>
          Array.from({ length: levels }, (_, i) => (lacking.includes(levels - i) ? (FULL & ~clear) | set : FULL));
        t.set(flags(US, 0n));
        assert.equal(shape(t.walk(c, user)), wanted(levels, lacking), 'U/S');
        t.set(flags(RW, 0n));
        assert.equal(shape(t.walk(c, { ...user, op: 'write' })), wanted(levels, lacking), 'R/W');
        if (entryBytes === 4) continue;
        t.set(flags(0n, XD));
        assert.equal(shape(t.walk(c, { ...user, op: 'fetch' })), wanted(levels, lacking), 'XD');
      }
    });
  }

  it('a 2 MiB page: levels count from the page directory', () => {
    const t = new Tables(3);
    t.set([FULL, FULL & ~RW, FULL | 0x80n]);
    // the frame of the last entry is 0x4000: a 2 MiB page wants its address bits 20:13 zero
    t.memory.write64(hpa(0x3000n), FULL | 0x80n);
    const c = decodeControls(PG_WP, PAE, LONG, 0, MODEL);
    assert.equal(shape(t.walk(c, { ...user, op: 'write' })), '3; 3; 2');
  });

  it('EPT: the topmost entry without R, W or X', () => {
    const t = new Tables(4);
    const memoryType = 6n << 3n;
    const eptp = decodeEptp(0x1000n | (3n << 3n) | 6n);
    const walk = (op: Access['op']): WalkFailure | undefined => {
      const { ok, out } = translateSecondLevel({ memory: t.memory, tables: eptp, physicalBits: 52 }, 0n, op);
      return ok ? undefined : out.failure();
    };
    for (const lacking of subsets(4)) {
      const flags = (rest: bigint): bigint[] =>
        [4, 3, 2, 1].map((l) => (lacking.includes(l) ? rest : 7n) | (l === 1 ? memoryType : 0n));
      t.set(flags(1n | 4n));
      assert.equal(shape(walk('write')), wanted(4, lacking), 'W');
      t.set(flags(1n | 2n));
      assert.equal(shape(walk('fetch')), wanted(4, lacking), 'X');
      t.set(flags(4n));
      assert.equal(shape(walk('read')), wanted(4, lacking), 'R');
    }
  });

  it('names the registers’ bits that made it count', () => {
    const t = new Tables(4);
    const because = (cr0: bigint, cr4: bigint, pkru: number, access: Partial<Access>, ac = false): string => {
      const f = t.walk(decodeControls(cr0, PAE | cr4, LONG, pkru, MODEL), { ...user, user: false, ...access }, ac);
      return f === undefined ? 'ok' : [String(f.level), f.reason, ...f.controls].join(' ');
    };
    const SMEP = 1n << 20n;
    const SMAP = 1n << 21n;
    const PKE = 1n << 22n;
    t.set([FULL, FULL & ~RW, FULL, FULL]);
    assert.equal(because(PG_WP, 0n, 0, { op: 'write' }), '3 write-protected CR0.WP = 1');
    assert.equal(because(PG_WP, 0n, 0, { op: 'write', user: true }), '3 write-protected');
    assert.equal(because(0x8000_0001n, 0n, 0, { op: 'write' }), 'ok');
    t.set([FULL, FULL, FULL, FULL | XD]);
    assert.equal(because(PG_WP, 0n, 0, { op: 'fetch' }), '1 no-execute EFER.NXE = 1');
    t.set([FULL, FULL, FULL, FULL]);
    assert.equal(because(PG_WP, SMEP, 0, { op: 'fetch' }), '1 smep CR4.SMEP = 1');
    assert.equal(because(PG_WP, SMAP, 0, {}), '1 smap CR4.SMAP = 1 RFLAGS.AC = 0');
    assert.equal(because(PG_WP, SMAP, 0, {}, true), 'ok');
    // EFLAGS.AC does not lift it for an implicit access: not a bit that decided
    assert.equal(because(PG_WP, SMAP, 0, { implicit: true }, true), '1 smap CR4.SMAP = 1');
    t.set([FULL, FULL, FULL, FULL | (5n << 59n)]);
    assert.equal(because(PG_WP, PKE, 1 << 10, { user: true }), '1 protection-key PKRU.AD5 = 1');
    assert.equal(because(PG_WP, PKE, 2 << 10, { op: 'write', user: true }), '1 protection-key PKRU.WD5 = 1');
    assert.equal(because(PG_WP, PKE, 2 << 10, { op: 'write' }), '1 protection-key PKRU.WD5 = 1 CR0.WP = 1');
    assert.equal(because(0x8000_0001n, PKE, 2 << 10, { op: 'write' }), 'ok');
  });
});
