/** What the oracles of the secondary tables share: bytes of tables read without the code under test, a list of slots kept apart from KVM's, and a host that lives at random. */
import * as assert from 'node:assert/strict';
import { gpa, hva, type Hva } from '../../../src/base/address';
import type { Work } from '../../../src/trace/step';
import { slotHva } from '../../../src/kvm/memslots';
import { MemoryRegions } from '../../../src/vmm/memory-regions';
import type { Guest } from '../../vmm/support/guest';

export const PAGE = 4096;
/** Where the data slot goes when it is moved, and memory of the VMM that it may be given instead. */
const ELSEWHERE = 0x100_0000;
const OTHER_HVA = 0x7f5b_0000_0000;

export interface OracleSlot {
  readonly id: number;
  gpa: number;
  readonly size: number;
  hva: number;
  readonly: boolean;
  there: boolean;
}

/** A 64-bit entry as two numbers: bits 51:12 as an address, and bits 11:0. */
export class Bytes {
  constructor(
    private readonly view: DataView,
    private readonly origin: number,
  ) {}
  low(at: number): number {
    return this.view.getUint32(this.origin + at, true);
  }
  frame(at: number): number {
    return (
      (this.view.getUint32(this.origin + at + 4, true) & 0xfffff) * 0x1_0000_0000 + ((this.low(at) & 0xffff_f000) >>> 0)
    );
  }
}

/** Host tables and slots, by their bytes and by a list of its own. */
export class HostView {
  readonly bytes: Bytes;
  constructor(
    readonly g: Guest,
    readonly slots: readonly OracleSlot[],
  ) {
    const { memory } = g.machine;
    this.bytes = new Bytes(memory.view, memory.offsetOf(memory.base) - Number(memory.base));
  }

  /** HVA to HPA by the host's tables. */
  host(at: number): { readonly hpa: number; readonly writable: boolean } | undefined {
    let table = Number(this.g.machine.host.cr3);
    for (const span of [2 ** 39, 2 ** 30, 2 ** 21, 2 ** 12]) {
      const entry = table + 8 * (Math.floor(at / span) % 512);
      const low = this.bytes.low(entry);
      if ((low & 1) === 0) return undefined;
      const frame = this.bytes.frame(entry);
      if (span === PAGE || (low & 0x80) !== 0)
        return { hpa: frame - (frame % span) + (at % span), writable: (low & 2) !== 0 };
      table = frame;
    }
    return undefined;
  }
  slotAt(address: number): OracleSlot | undefined {
    return this.slots.find((s) => s.there && address >= s.gpa && address < s.gpa + s.size);
  }
}

/** Marsaglia's xorshift, 32 bits. */
export function random(seed: number): (below: number) => number {
  let x = seed;
  return (below) => {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    return (x >>> 0) % below;
  };
}

/** Random host events and slot changes. Slot 1 is the data slot, which slot changes are about; most host events are about its pages. */
export class LivingHost {
  readonly slots: readonly OracleSlot[];
  done = 0;
  private readonly data: OracleSlot;
  private readonly home: number;
  private readonly regions: MemoryRegions;

  constructor(
    private readonly g: Guest,
    private readonly rnd: (below: number) => number,
  ) {
    const { host, vm } = g.machine;
    this.regions = new MemoryRegions(vm, host);
    this.slots = vm.memslots.all.map((s): OracleSlot => ({
      id: s.id,
      gpa: Number(s.start),
      size: Number(s.end - s.start),
      hva: Number(s.hva),
      readonly: false,
      there: true,
    }));
    const [, data] = this.slots;
    assert.ok(data);
    this.data = data;
    this.home = data.hva;
  }

  /** One of either, seven host events in eight. */
  event(): void {
    if (this.rnd(8) === 0) this.slotEvent();
    else this.hostEvent();
  }

  /** Somebody wants memory: the VMM writes pages of its third slot, which the guest uses least, so that the host must find frames. */
  press(): void {
    const { rnd } = this;
    const { vm, host } = this.g.machine;
    const spare = this.slots[2];
    const slot = vm.memslots.byId(2);
    if (!spare || !slot) return;
    // the prepared tables lie at the end
    const first = rnd(spare.size / PAGE - 96);
    const watched = this.all();
    const before = rnd(16) === 0 ? this.snapshot(watched) : undefined;
    for (let i = 0; i < 32; i++) {
      const at = hva(slotHva(slot, slot.start) + BigInt((first + i) * PAGE + 0x800));
      assert.ok(this.did(host.write(at, new Uint8Array([i]))));
    }
    if (before) assert.ok(before.equals(this.snapshot(watched)), 'reclaim changes no content');
    this.done++;
  }

  private pick(): Hva {
    const { rnd, data } = this;
    // mostly data, now and then code or tables
    const slot = rnd(8) === 0 ? this.slots[rnd(3)] : data;
    const s = slot ?? data;
    return hva(BigInt(s.hva + rnd(Math.min(s.size, data.size) / PAGE) * PAGE));
  }
  private all(): readonly Hva[] {
    return Array.from({ length: this.data.size / PAGE }, (_, i) => hva(BigInt(this.data.hva + i * PAGE)));
  }
  private snapshot(pages: readonly Hva[]): Buffer {
    return Buffer.concat(pages.map((p) => this.g.machine.host.peekPage(p) ?? new Uint8Array()));
  }
  private did(work: Work<{ readonly ok: boolean }>): boolean {
    return this.g.machine.perform(work).ok;
  }

  private hostEvent(): void {
    const { rnd } = this;
    const { host } = this.g.machine;
    const [one, other] = [this.pick(), this.pick()];
    const watched = rnd(256) === 0 ? this.all() : [one, other];
    const before = this.snapshot(watched);
    const kind = rnd(20);
    const happened =
      kind < 7
        ? this.did(host.swapOut(one))
        : kind < 13
          ? this.did(host.migrate(one))
          : kind < 16
            ? this.did(host.merge(one, other))
            : kind < 17
              ? this.did(host.collapse(one))
              : kind < 18
                ? this.did(host.splitHuge(one))
                : this.balloon(other);
    if (happened) this.done++;
    if (kind < 18) assert.ok(before.equals(this.snapshot(watched)), 'a host event changes no content');
  }
  private balloon(at: Hva): boolean {
    const { data } = this;
    return (
      Number(at) >= data.hva &&
      Number(at) < data.hva + data.size &&
      this.did(this.g.machine.host.discard(at, hva(at + 4096n)))
    );
  }

  private slotEvent(): void {
    const { rnd, data, regions } = this;
    const { vm } = this.g.machine;
    const kind = rnd(9);
    if (!data.there) {
      assert.ok(
        this.did(
          vm.setUserMemoryRegion({
            slot: 1,
            readonly: data.readonly,
            guestPhysAddr: gpa(BigInt(data.gpa)),
            memorySize: BigInt(data.size),
            userspaceAddr: hva(BigInt(data.hva)),
          }),
        ),
      );
      data.there = true;
    } else if (kind === 0) {
      assert.ok(this.did(regions.remove(1)));
      data.there = false;
    } else if (kind === 1) {
      data.gpa = data.gpa === ELSEWHERE ? this.origin : ELSEWHERE;
      assert.ok(this.did(regions.move(1, gpa(BigInt(data.gpa)))));
    } else if (kind === 2) {
      data.hva = data.hva === this.home ? OTHER_HVA : this.home;
      assert.ok(this.did(regions.remap(1, hva(BigInt(data.hva)))));
    } else if (kind === 3) {
      data.readonly = !data.readonly;
      assert.ok(this.did(regions.setReadonly(1, data.readonly)));
    } else if (kind < 6) {
      assert.ok(this.did(regions.setLogging(1, kind === 4)));
    } else if (vm.memslots.byId(1)?.logDirty === true) {
      assert.ok(this.did(regions.dirtyPages(1)));
    }
    this.done++;
  }
  /** Where the data slot lay at first. */
  private get origin(): number {
    return this.slots[0]?.size ?? 0;
  }
}
