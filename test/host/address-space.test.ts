import * as assert from 'node:assert/strict';
import fc from 'fast-check';
import { hpa, hva } from '../../src/base/address';
import { AddressSpace } from '../../src/host/address-space';
import { HostKernel } from '../../src/host/kernel';
import { drain, hostStep, type Step } from '../../src/trace/step';
import type { Backing } from '../../src/host/vma';
import { HostMemory } from '../../src/hw/memory/host-memory';
import type { Access } from '../../src/hw/paging/access';
import { decodeControls } from '../../src/hw/paging/controls';
import { DirectPort, OrdinaryWalk, walkOrdinary } from '../../src/hw/paging/ordinary';
import { WalkSink } from '../../src/hw/paging/trace';

const BASE = 0x7f5a_0000_0000n;
/** Paging as a 64-bit kernel runs it: PG, WP, PE; PAE, PGE; LME, LMA, NXE. */
const HOST_CR0 = 0x8001_0001n;
const HOST_CR4 = 0xa0n;
const HOST_EFER = 0xd00n;
const MIB = 1n << 20n;

function host(mib = 16, swapPages?: number): HostKernel {
  return new HostKernel(new HostMemory(0x1_0000_0000n, mib << 20), swapPages);
}
function space(kernel = host(), placements: { hva: bigint; hpa: bigint }[] = []): AddressSpace {
  const made = AddressSpace.create(
    kernel,
    placements.map((p) => ({ hva: hva(p.hva), hpa: hpa(p.hpa) })),
  );
  assert.ok(made.ok, made.ok ? '' : made.error);
  return made.value;
}
function map(s: AddressSpace, length: bigint, backing: Backing = '4k', at = BASE): void {
  const vma = s.mmap(length, { at: hva(at), backing, name: 'ram' });
  assert.ok(vma.ok, vma.ok ? '' : vma.error);
}

/** A walk written from SDM vol. 3, 4.5 alone: undefined, or the physical address. */
function independentWalk(memory: HostMemory, cr3: bigint, linear: bigint): bigint | undefined {
  let table = cr3 & ~0xfffn;
  for (const shift of [39n, 30n, 21n, 12n]) {
    const entry = memory.read64(hpa(table + 8n * ((linear >> shift) & 511n)));
    if (!(entry & 1n)) return undefined;
    const frame = entry & 0xf_ffff_ffff_f000n;
    if (shift === 12n || (shift < 39n && entry & 0x80n))
      return (frame & ~((1n << shift) - 1n)) + (linear & ((1n << shift) - 1n));
    table = frame;
  }
  return undefined;
}

describe('a host process', () => {
  it('gives a page on first touch, zeroed, and finds it where the hardware would', () => {
    fc.assert(
      fc.property(
        fc.array(fc.bigInt(0n, 4n * MIB - 1n), { minLength: 1, maxLength: 40 }),
        fc.constantFrom<Backing>('4k', 'thp', '2m'),
        (offsets, backing) => {
          const kernel = host();
          const s = space(kernel);
          map(s, 4n * MIB, backing);
          for (const o of offsets) {
            const at = hva(BASE + o);
            const r = drain(s.resolve(at, true));
            assert.ok(r.ok);
            assert.equal(independentWalk(kernel.memory, s.cr3, at), r.value);
            assert.equal(s.lookup(at)?.hpa, r.value);
          }
          const frames = new Set(offsets.map((o) => (s.lookup(hva(BASE + o))?.hpa ?? 0n) >> 12n));
          assert.equal(frames.size, new Set(offsets.map((o) => o >> 12n)).size, 'no two pages share a frame');
        },
      ),
      { seed: 7, numRuns: 60 },
    );
  });

  it('keeps what is stored, across pages', () => {
    const s = space();
    map(s, MIB);
    const bytes = Uint8Array.from({ length: 10_000 }, (_, i) => i * 7);
    assert.ok(drain(s.write(hva(BASE + 0xff0n), bytes)).ok);
    const back = drain(s.read(hva(BASE + 0xff0n), bytes.length));
    assert.ok(back.ok);
    assert.deepEqual(back.value, bytes);
  });

  it('tells the steps of a first touch: no entry, the VMA, the new page with its tables', () => {
    const s = space();
    map(s, MIB);
    const steps: Step[] = [];
    const at = hva(BASE + 0x5123n);
    assert.equal(
      drain(s.getUserPageFast(at, true), (x) => steps.push(x)),
      undefined,
    );
    const page = drain(s.getUserPage(at, true), (x) => steps.push(x));
    assert.ok(page.ok);
    assert.deepEqual(
      steps.map((x) => x.fn),
      ['gup_fast', 'handle_mm_fault', 'do_anonymous_page', 'gup_fast'],
    );
    assert.equal(steps[0]?.references, 1, 'the root has no entry yet');
    assert.equal(steps[2]?.writes.length, 4, 'three tables and the leaf');
    assert.equal(steps[3]?.references, 4);
    assert.equal(page.value.frame, s.lookup(hva(BASE + 0x5000n))?.hpa);
  });

  it('answers a touch outside every mapping, and host memory that has run out', () => {
    const small = host(1, 0);
    const s = space(small);
    map(s, 4n * MIB);
    const none = drain(s.resolve(hva(0x1000n), false));
    assert.ok(!none.ok && none.error.kind === 'no-vma');
    let failed = false;
    for (let p = 0n; p < 300n && !failed; p++) {
      const r = drain(s.resolve(hva(BASE + p * 4096n), true));
      if (!r.ok) {
        assert.equal(r.error.kind, 'no-memory');
        failed = true;
      }
    }
    assert.ok(failed);
  });

  it('gives 2 MiB pages only where the VMA holds all of one', () => {
    const s = space();
    map(s, 3n * MIB, 'thp', BASE);
    drain(s.resolve(hva(BASE + 0x1234n), false));
    drain(s.resolve(hva(BASE + 2n * MIB), false));
    assert.equal(s.lookup(hva(BASE))?.pageShift, 21);
    assert.equal(s.lookup(hva(BASE + 2n * MIB))?.pageShift, 12);
  });

  it('falls back to 4 KiB where no aligned run is free, and hugetlb does not', () => {
    const s = space(host(2));
    map(s, 2n * MIB, 'thp');
    assert.ok(drain(s.resolve(hva(BASE), true)).ok);
    assert.equal(s.lookup(hva(BASE))?.pageShift, 12);
    const h = space(host(2));
    map(h, 2n * MIB, '2m');
    const r = drain(h.resolve(hva(BASE), true));
    assert.ok(!r.ok && r.error.kind === 'no-memory');
  });

  it('puts a placed page into its frame', () => {
    const kernel = host();
    const s = space(kernel, [{ hva: BASE + 0x3000n, hpa: 0x1_0012_3000n }]);
    map(s, MIB, 'thp');
    drain(s.resolve(hva(BASE + 0x3456n), true));
    assert.equal(s.lookup(hva(BASE + 0x3456n))?.hpa, 0x1_0012_3456n);
    const bad = AddressSpace.create(host(), [{ hva: hva(BASE), hpa: hpa(0x1000n) }]);
    assert.ok(!bad.ok && /no host memory at 0x1000/.test(bad.error));
  });

  it('refuses overlapping and misaligned mappings', () => {
    const s = space();
    map(s, MIB);
    const overlap = s.mmap(4096n, { at: hva(BASE + 0x1000n), name: 'rom' });
    assert.ok(!overlap.ok && /overlaps ram/.test(overlap.error));
    const crooked = s.mmap(0x20_0000n, { at: hva(0x1000n), backing: '2m', name: 'huge' });
    assert.ok(!crooked.ok && /not aligned to 2m/.test(crooked.error));
  });

  it('munmap and mprotect tell the notifiers around the change and refuse to cut a huge page', () => {
    const kernel = host();
    const s = space(kernel);
    map(s, 4n * MIB, 'thp');
    const seen: string[] = [];
    s.register({
      *invalidateRangeStart(a) {
        seen.push(`start ${s.lookup(a)?.writable}`);
        yield hostStep('start', '', 0);
      },
      *invalidateRangeEnd(a) {
        seen.push(`end ${s.lookup(a)?.writable}`);
        yield hostStep('end', '', 0);
      },
      clearFlushYoung: () => false,
      testYoung: () => false,
    });
    drain(s.resolve(hva(BASE), true));
    const used = kernel.frames.framesUsed;
    assert.ok(!drain(s.munmap(hva(BASE), hva(BASE + 4096n))).ok);
    const end = hva(BASE + 2n * MIB);
    assert.ok(drain(s.mprotect(hva(BASE), end, { read: true, write: false, exec: false })).ok);
    const denied = drain(s.resolve(hva(BASE), true));
    assert.ok(!denied.ok && denied.error.kind === 'no-access');
    assert.ok(drain(s.munmap(hva(BASE), end)).ok);
    assert.deepEqual(seen, ['start true', 'end false', 'start false', 'end undefined']);
    assert.equal(kernel.frames.framesUsed, used - 512);
    assert.equal(s.vmas().length, 1);
  });

  it('comes back from a snapshot byte for byte', () => {
    const kernel = host();
    const s = space(kernel);
    map(s, MIB);
    drain(s.write(hva(BASE), Uint8Array.of(1, 2, 3)));
    const saved = { kernel: kernel.save(), space: s.save() };
    const before = s.lookup(hva(BASE));
    drain(s.write(hva(BASE), Uint8Array.of(9, 9, 9)));
    drain(s.write(hva(BASE + 0x8000n), Uint8Array.of(9)));
    kernel.restore(saved.kernel);
    s.restore(saved.space);
    assert.deepEqual(s.lookup(hva(BASE)), before);
    assert.equal(s.lookup(hva(BASE + 0x8000n)), undefined);
    const back = drain(s.read(hva(BASE), 3));
    assert.ok(back.ok);
    assert.deepEqual([...back.value], [1, 2, 3]);
  });

  it('lists its tables, entry by entry', () => {
    const s = space();
    map(s, MIB);
    drain(s.resolve(hva(BASE + 0x2000n), true));
    let ref = s.rootTable();
    const indices: number[] = [];
    for (;;) {
      const [entry, ...others] = s.readTable(ref);
      assert.ok(entry && others.length === 0);
      indices.push(entry.index);
      if (!entry.child) {
        assert.equal(entry.start, BASE + 0x2000n);
        assert.deepEqual(entry.flags, ['P', 'RW', 'US', 'A', 'D', 'XD']);
        break;
      }
      ref = entry.child;
    }
    assert.deepEqual(indices, [254, 360, 0, 2]);
  });
});

describe('host page tables', () => {
  it('lead where the hardware walker of the host goes', () => {
    fc.assert(
      fc.property(
        fc.bigInt(0n, 4n * MIB - 1n),
        fc.constantFrom<Backing>('4k', 'thp', '2m'),
        fc.boolean(),
        (offset, backing, write) => {
          const kernel = host();
          const s = space(kernel);
          map(s, 4n * MIB, backing);
          const at = hva(BASE + offset);
          assert.ok(drain(s.resolve(at, write)).ok);
          const controls = decodeControls(HOST_CR0, HOST_CR4, HOST_EFER, 0, { physicalBits: 46, vendor: 'intel' });
          const sink = new WalkSink();
          const port = new DirectPort(kernel.memory, 'host');
          const record = new OrdinaryWalk({ port, root: s.cr3, controls }, undefined, sink);
          const { out } = record;
          const walk = (access: Access, ac = false): boolean => walkOrdinary(record, at, access, ac);
          assert.equal(walk({ op: 'write', user: true, implicit: false }), true);
          assert.equal(out.address, s.lookup(at)?.hpa);
          assert.equal(sink.steps.length, backing === '4k' ? 4 : 3);
          assert.equal(walk({ op: 'fetch', user: true, implicit: false }), false);
          assert.equal(out.reason, 'no-execute');
        },
      ),
      { seed: 13, numRuns: 40 },
    );
  });
});
