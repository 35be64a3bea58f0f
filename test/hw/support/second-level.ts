/** A CPU with guest tables under a second level whose entries a test writes: three levels over one guest page, reached as data, or as the guest's own page table. */
import * as assert from 'node:assert/strict';
import { hpa } from '../../../src/base/address';
import { Cpu } from '../../../src/hw/cpu/cpu';
import type { CpuidModel } from '../../../src/hw/cpu/cpuid-model';
import { setLong64 } from '../../../src/hw/cpu/system/reset';
import { HostMemory } from '../../../src/hw/memory/host-memory';
import type { SecondLevelTables } from '../../../src/hw/paging/second-level';
import type { CpuEvent, VmExit } from '../../../src/hw/state/event';
import { SLOT } from '../../../src/hw/state/layout';
import { TableBuilder } from './tables';

const GUEST_ROOT = 0x10_0000n;
/** The second level maps the low 32 MiB to themselves; GPA 1 GiB and up has tables of its own, whose entries the cases write. */
const UNDER_TEST = 0x4000_0000n;
const FRAME = 0x100_0000n;
/** Maps to UNDER_TEST; and its page table lies there. */
const DATA = 0x40_0000n;
const TABLE = 0x8000_0000n;
/** An entry of the guest's page table at UNDER_TEST: D, A, U/S, R/W, P. */
const GUEST_ENTRY = 0x5067n;

export class SecondLevelBench {
  readonly memory = new HostMemory(0n, 32 << 20);
  readonly cpu: Cpu;
  /** Addresses of the entries under test: levels 3, 2 and 1. */
  readonly entries: readonly [bigint, bigint, bigint];
  private readonly pd: bigint;
  private readonly pt: bigint;

  /** `leafBits`: what a leaf of the second level needs for all rights; `tables`: the second level at a root. */
  constructor(model: CpuidModel, leafBits: bigint, tables: (root: bigint) => SecondLevelTables) {
    this.cpu = new Cpu(this.memory, 0, model, { tlbEntries: 0, tlbWays: 0 });
    const nested = new TableBuilder(this.memory, 0x80_0000n);
    const root = nested.frame();
    for (let at = 0n; at < 32n << 20n; at += 2n << 20n) nested.map(root, at, at, 0x80n | leafBits, { level: 2 });
    const pdpt = this.memory.read64(hpa(root)) & ~0xfffn;
    this.pd = nested.frame();
    this.pt = nested.frame();
    this.entries = [pdpt + 8n, this.pd, this.pt];
    const guest = new TableBuilder(this.memory, GUEST_ROOT + 4096n);
    // A and D are set, so that the walk itself only reads
    guest.map(GUEST_ROOT, DATA, UNDER_TEST, 0x67n, { tableFlags: 0x27n });
    guest.map(GUEST_ROOT, TABLE, UNDER_TEST, 0x27n, { level: 2, tableFlags: 0x27n });
    this.memory.write64(hpa(FRAME), GUEST_ENTRY);
    setLong64(this.cpu.state, 0n, GUEST_ROOT);
    this.cpu.mmu.controlsChanged();
    this.cpu.mmu.setSecondLevel(tables(root), 1);
  }

  /** Writes the entries of levels 3, 2 and 1; a leaf above level 1 is marked so by the caller. A 1 GiB page is at HPA 0. */
  set(three: bigint, two: bigint, one: bigint, leaf = 1): void {
    const [e3, e2, e1] = this.entries;
    if (leaf === 3) this.memory.write64(hpa(0n), GUEST_ENTRY);
    this.memory.write64(hpa(e3), three | (leaf === 3 ? 0n : this.pd));
    this.memory.write64(hpa(e2), two | (leaf === 2 ? FRAME : this.pt));
    this.memory.write64(hpa(e1), one | FRAME);
  }

  /** The exit of an access whose data, or whose page table (`table`), lies in the page under test; undefined: it completes. */
  access(op: 'read' | 'write' | 'fetch', table: boolean, user = false): VmExit | undefined {
    const { cpu } = this;
    cpu.event = undefined;
    const linear = table ? TABLE : DATA;
    const access = { op, user, implicit: false };
    const done =
      op === 'fetch'
        ? cpu.mmu.fetch(cpu, linear) >= 0
        : op === 'read'
          ? cpu.mmu.load(cpu, linear, 8, { ...access, op }, SLOT.VALUE, false)
          : cpu.mmu.probe(cpu, linear, 8, { ...access, op });
    if (done) return undefined;
    const event = cpu.event as CpuEvent | undefined;
    assert.ok(event?.kind === 'exit', event?.kind ?? 'no event');
    assert.equal(event.exit.guestPhysicalAddress, UNDER_TEST);
    return event.exit;
  }
}
