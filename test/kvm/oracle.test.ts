/**
 * EPT against an oracle that shares no code with what it judges: it reads the bytes of EPT and host tables itself (SDM vol. 3, 4.5 and 29.3) and keeps its own
 * list of slots. Random guests touch pages, edit their tables and switch CR3, while random host events and slot changes happen. After each of them:
 *
 *   - every present EPT leaf maps the frame that slot and host tables give for its GPA, with a subset of the rights that both allow;
 *   - no leaf maps a frame that the host has free, or makes one writable that two pages share; no MMIO entry of the present generation lies in a slot;
 *   - while the guest runs, every TLB entry is what the EPT says;
 *   - no page's content changes but by the guest (balloon excepted).
 *
 * Two campaigns run on a host that is too small for its guest: there every fault may have the host reclaim pages first.
 */
import * as assert from 'node:assert/strict';
import { gpa, hpa, hva, type Hva } from '../../src/base/address';
import { slotHva } from '../../src/kvm/memslots';
import type { Vmstat } from '../../src/host/kernel';
import type { Work } from '../../src/host/step';
import { SLOT } from '../../src/hw/state/layout';
import { MemoryRegions } from '../../src/vmm/memory-regions';
import type { MachineOptions } from '../../src/vmm/options';
import { Guest } from '../vmm/support/guest';

const PAGES = 64;
const PAGE = 4096;
const DATA = 0x20_0000;
const SIZE = PAGES * PAGE;
const RAM = 0x80_0000;
/** Where the data slot goes when it is moved, and memory of the VMM that it may be given instead. */
const ELSEWHERE = 0x100_0000;
const OTHER_HVA = 0x7f5b_0000_0000;

/**
 * Pages chosen by a linear congruence are read and written; now and then two guest entries change places, with INVLPG or without, and CR3 is loaded. A copy of
 * the PML4 serves as the other address space.
 */
const GUEST = `
  mov r12, cr3
  mov rsi, r12
  mov rdi, other
  mov rcx, 512
  rep movsq
  mov r13, other
  mov r14, [r12]
  and r14, -4096
  mov r14, [r14]
  and r14, -4096
  mov r14, [r14+8]        ; PD[1]: the page table of 2-4 MiB
  and r14, -4096
  mov rax, SEED
loop:
  mov rdx, 6364136223846793005
  imul rax, rdx
  mov rdx, 1442695040888963407
  add rax, rdx
  mov rcx, rax
  shr rcx, 33
  mov rbx, rcx
  and rbx, ${PAGES - 1}
  shl rbx, 12
  add rbx, ${DATA}
  test ecx, 0x400
  jz write
  mov rdx, [rbx+8]
  jmp more
write:                    ; few values, so that pages of the same content come about
  mov edx, ecx
  and edx, 1
  mov [rbx+8], rdx
more:
  test ecx, 0x7800
  jnz loop
  mov rdx, rbx
  shr rdx, 9
  and rdx, 0xff8
  mov r8, [r14+rdx]
  mov r9, [r14]
  mov [r14+rdx], r9
  mov [r14], r8
  test ecx, 0x8000
  jz noflush
  invlpg [rbx]
  invlpg [${DATA}]
noflush:
  test ecx, 0x30000
  jnz loop
  xchg r12, r13
  mov cr3, r12
  jmp loop
align 4096
other: times 512 dq 0
`;

interface OracleSlot {
  readonly id: number;
  gpa: number;
  readonly size: number;
  hva: number;
  readonly: boolean;
  there: boolean;
}

/** A 64-bit entry as two numbers: bits 51:12 as an address, and bits 11:0. */
class Bytes {
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

class Oracle {
  private readonly bytes: Bytes;
  constructor(
    private readonly g: Guest,
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
  private slotAt(address: number): OracleSlot | undefined {
    return this.slots.find((s) => s.there && address >= s.gpa && address < s.gpa + s.size);
  }

  /** GPA to HPA and rights by the EPT's bytes. */
  ept(address: number): { readonly hpa: number; readonly rights: number } | undefined {
    let table = Number(this.g.machine.vm.mmu.pointer & 0xf_ffff_ffff_f000n);
    for (const span of [2 ** 39, 2 ** 30, 2 ** 21, 2 ** 12]) {
      const entry = table + 8 * (Math.floor(address / span) % 512);
      const low = this.bytes.low(entry);
      if ((low & 7) === 0 || (low & 3) === 2) return undefined;
      const frame = this.bytes.frame(entry);
      if (span === PAGE || (low & 0x80) !== 0)
        return { hpa: frame - (frame % span) + (address % span), rights: low & 7 };
      table = frame;
    }
    return undefined;
  }

  /** By frame: the HVA that the present check found it at, and whether some leaf makes it writable. */
  private readonly owners = new Map<number, { readonly hva: number; writable: boolean }>();

  checkEpt(): void {
    this.owners.clear();
    this.checkTable();
  }
  private checkTable(
    table = Number(this.g.machine.vm.mmu.pointer & 0xf_ffff_ffff_f000n),
    span = 2 ** 39,
    base = 0,
  ): void {
    for (let i = 0; i < 512; i++) {
      const low = this.bytes.low(table + 8 * i);
      const at = base + i * span;
      if ((low & 7) === 0) continue;
      if ((low & 7) === 6) {
        // KVM's MMIO mark: bits 10:3 hold the lower part of the memslot generation
        const current = ((low >>> 3) & 0xff) === (this.g.machine.vm.memslots.generation & 0xff);
        if (current && this.slotAt(at)) assert.fail(`GPA 0x${at.toString(16)} is marked MMIO and lies in a slot`);
        continue;
      }
      const frame = this.bytes.frame(table + 8 * i);
      if (span > PAGE && (low & 0x80) === 0) this.checkTable(frame, span / 512, at);
      else
        for (let piece = 0; piece < span; piece += Math.max(PAGE, span / 8))
          this.checkLeaf(at + piece, frame - (frame % span) + piece, low);
    }
  }
  private checkLeaf(at: number, frame: number, low: number): void {
    const name = `GPA 0x${at.toString(16)}`;
    const slot = this.slotAt(at);
    if (!slot) return assert.fail(`${name} is mapped and lies in no slot`);
    const found = this.host(slot.hva + (at - slot.gpa));
    if (!found) return assert.fail(`${name} is mapped to 0x${frame.toString(16)}, and the host maps nothing there`);
    if (found.hpa !== frame)
      assert.fail(`${name} is mapped to 0x${frame.toString(16)}; the host has 0x${found.hpa.toString(16)}`);
    if ((low & 2) !== 0 && (slot.readonly || !found.writable))
      assert.fail(`${name} is writable; slot and host do not both allow it`);
    const from = slot.hva + (at - slot.gpa);
    const owner = this.owners.get(frame);
    const writable = (low & 2) !== 0;
    if (owner && owner.hva !== from && (writable || owner.writable))
      assert.fail(`${name} shares a frame with HVA 0x${owner.hva.toString(16)}, and one of them is writable`);
    this.owners.set(frame, { hva: from, writable: writable || owner?.writable === true });
    if (!this.g.machine.kernel.frames.isUsed(hpa(BigInt(frame)))) assert.fail(`${name} is mapped to a free frame`);
  }

  checkTlb(): void {
    const { machine } = this.g;
    // a VCPU that is to exit before its next instruction has not flushed yet
    if (!machine.vcpu.running || machine.cpu.state.get32(SLOT.PENDING_INTR) !== 0) return;
    for (const e of machine.cpu.tlb.entries()) {
      if (e.eptp === 0n) continue;
      const now = this.ept(Number(e.gpa));
      if (now?.hpa !== Number(e.hpa))
        assert.fail(`the TLB has GPA 0x${e.gpa.toString(16)} at 0x${e.hpa.toString(16)}, the EPT does not`);
      if (e.eptRights.w && (now.rights & 2) === 0)
        assert.fail(`the TLB lets GPA 0x${e.gpa.toString(16)} be written, the EPT does not`);
    }
  }
}

/** Marsaglia's xorshift, 32 bits. */
function random(seed: number): (below: number) => number {
  let x = seed;
  return (below) => {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    return (x >>> 0) % below;
  };
}

function campaign(
  events: number,
  seed: number,
  options: Partial<MachineOptions>,
): {
  readonly done: number;
  readonly exits: Record<string, number>;
  readonly vmstat: Readonly<Vmstat>;
} {
  const g = new Guest(GUEST.replace('SEED', String(seed)), 'flat64', {
    slots: [
      { gpa: 0n, size: BigInt(DATA), readonly: false },
      { gpa: BigInt(DATA), size: BigInt(SIZE), readonly: false },
      { gpa: BigInt(DATA + SIZE), size: BigInt(RAM - DATA - SIZE), readonly: false },
    ],
    hostMemory: 32 << 20,
    ...options,
  });
  g.machine.onStep = undefined;
  const { machine } = g;
  const pressed = (options.hostMemory ?? Infinity) < 32 << 20;
  const { host, vm } = machine;
  const regions = new MemoryRegions(vm, host);
  const slots = vm.memslots.all.map((s): OracleSlot => ({
    id: s.id,
    gpa: Number(s.start),
    size: Number(s.end - s.start),
    hva: Number(s.hva),
    readonly: false,
    there: true,
  }));
  const oracle = new Oracle(g, slots);
  const data = slots[1];
  assert.ok(data);
  const home = data.hva;
  const rnd = random(seed);
  const pick = (): Hva => {
    // mostly data, now and then code or tables
    const slot = rnd(8) === 0 ? slots[rnd(3)] : data;
    const s = slot ?? data;
    return hva(BigInt(s.hva + rnd(Math.min(s.size, SIZE) / PAGE) * PAGE));
  };
  const snapshot = (pages: readonly Hva[]): Buffer =>
    Buffer.concat(pages.map((p) => host.peekPage(p) ?? new Uint8Array()));
  const all = (): Hva[] => Array.from({ length: PAGES }, (_, i) => hva(BigInt(data.hva + i * PAGE)));
  let done = 0;
  const did = (work: Work<{ readonly ok: boolean }>): boolean => machine.perform(work).ok;

  const hostEvent = (): void => {
    const [one, other] = [pick(), pick()];
    const watched = rnd(256) === 0 ? all() : [one, other];
    const before = snapshot(watched);
    const kind = rnd(20);
    const happened =
      kind < 7
        ? did(host.swapOut(one))
        : kind < 13
          ? did(host.migrate(one))
          : kind < 16
            ? did(host.merge(one, other))
            : kind < 17
              ? did(host.collapse(one))
              : kind < 18
                ? did(host.splitHuge(one))
                : balloon(other);
    if (happened) done++;
    if (kind < 18) assert.ok(before.equals(snapshot(watched)), 'a host event changes no content');
  };
  const balloon = (at: Hva): boolean =>
    Number(at) >= data.hva && Number(at) < data.hva + SIZE && did(host.discard(at, hva(at + 4096n)));

  const slotEvent = (): void => {
    const kind = rnd(9);
    if (!data.there) {
      assert.ok(
        did(
          vm.setUserMemoryRegion({
            slot: 1,
            readonly: data.readonly,
            guestPhysAddr: gpa(BigInt(data.gpa)),
            memorySize: BigInt(SIZE),
            userspaceAddr: hva(BigInt(data.hva)),
          }),
        ),
      );
      data.there = true;
    } else if (kind === 0) {
      assert.ok(did(regions.remove(1)));
      data.there = false;
    } else if (kind === 1) {
      data.gpa = data.gpa === DATA ? ELSEWHERE : DATA;
      assert.ok(did(regions.move(1, gpa(BigInt(data.gpa)))));
    } else if (kind === 2) {
      data.hva = data.hva === home ? OTHER_HVA : home;
      assert.ok(did(regions.remap(1, hva(BigInt(data.hva)))));
    } else if (kind === 3) {
      data.readonly = !data.readonly;
      assert.ok(did(regions.setReadonly(1, data.readonly)));
    } else if (kind < 6) {
      assert.ok(did(regions.setLogging(1, kind === 4)));
    } else if (vm.memslots.byId(1)?.logDirty === true) {
      assert.ok(did(regions.dirtyPages(1)));
    }
    done++;
  };

  /** Somebody wants memory: the VMM writes pages of its third slot, which the guest uses least, so that the host must find frames. */
  const press = (): void => {
    const spare = slots[2];
    const slot = machine.vm.memslots.byId(2);
    if (!spare || !slot) return;
    // the prepared tables lie at the end
    const first = rnd(spare.size / PAGE - 96);
    const watched = all();
    const before = rnd(16) === 0 ? snapshot(watched) : undefined;
    for (let i = 0; i < 32; i++) {
      const at = hva(slotHva(slot, slot.start) + BigInt((first + i) * PAGE + 0x800));
      assert.ok(did(host.write(at, new Uint8Array([i]))));
    }
    if (before) assert.ok(before.equals(snapshot(watched)), 'reclaim changes no content');
    done++;
  };

  while (done < events) {
    if (pressed && rnd(4) === 0) press();
    for (let burst = 1 + rnd(8); burst > 0; burst--) {
      if (rnd(8) === 0) slotEvent();
      else hostEvent();
      oracle.checkEpt();
    }
    const stop = machine.run(1 + rnd(60), 1);
    assert.ok(
      stop.kind === 'budget',
      JSON.stringify(stop, (_, v: unknown) => (typeof v === 'bigint' ? String(v) : v)),
    );
    oracle.checkEpt();
    oracle.checkTlb();
  }
  return { done, exits: g.exits, vmstat: machine.kernel.vmstat };
}

/** Events in all; PAGEWALK_ORACLE_EVENTS asks for a longer run. */
const EVENTS = Number(process.env['PAGEWALK_ORACLE_EVENTS'] ?? 100_000);

describe('EPT under a living host, judged by an oracle', () => {
  const variants: readonly (readonly [name: string, options: Partial<MachineOptions>])[] = [
    ['A/D flags and PML', {}],
    ['no A/D flags, no VPID', { eptAd: false, vpid: false }],
    ['transparent huge pages', { hostPages: 'thp' }],
    ['a TLB of 16 entries', { tlb: { entries: 16, ways: 4 } }],
    ['pressure', { hostMemory: 4 << 20, hostSwap: 16n << 20n }],
    ['pressure, no A/D flags', { hostMemory: 4 << 20, hostSwap: 16n << 20n, eptAd: false }],
  ];
  variants.forEach(([name, options], i) => {
    it(`holds: ${name}`, function () {
      this.timeout(300_000);
      const { done, exits, vmstat } = campaign(EVENTS / variants.length, 0x9e37_79b9 ^ (i * 0x1234_5678), options);
      assert.ok(done >= EVENTS / variants.length);
      for (const reason of ['EPT_VIOLATION', 'EPT_MISCONFIG', 'EXTERNAL_INTERRUPT'])
        assert.ok((exits[reason] ?? 0) > 0, reason);
      if (options.hostMemory !== undefined) assert.ok(vmstat.pgsteal > 1000, `reclaim took ${vmstat.pgsteal} pages`);
    });
  });
});
