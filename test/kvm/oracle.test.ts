/**
 * EPT and NPT against an oracle that shares no code with what it judges: it reads the bytes of EPT, NPT and host tables itself (SDM vol. 3, 4.5 and 28.3, APM vol. 2,
 * 5.3 and 15.25) and keeps its own list of slots. Random guests touch pages, edit their tables and switch CR3, while random host events and slot changes happen. After each of them:
 *
 *   - every present EPT or NPT leaf maps the frame that slot and host tables give for its GPA, with a subset of the rights that both allow;
 *   - no leaf maps a frame that the host has free, or makes one writable that two pages share; no MMIO entry of the present generation lies in a slot;
 *   - while the guest runs, every TLB entry is what the EPT or NPT says;
 *   - no page's content changes but by the guest (balloon excepted).
 *
 * Three campaigns run on a host that is too small for its guest: there every fault may have the host reclaim pages first.
 */
import * as assert from 'node:assert/strict';
import { hpa } from '../../src/base/address';
import type { Vmstat } from '../../src/host/kernel';
import { SLOT } from '../../src/hw/state/layout';
import type { MachineOptions } from '../../src/vmm/options';
import { Guest } from '../vmm/support/guest';
import { HostView, LivingHost, PAGE, random } from './support/living-host';

const PAGES = 64;
const DATA = 0x20_0000;
const SIZE = PAGES * PAGE;
const RAM = 0x80_0000;

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

/** What an entry of a second level says: nothing, an MMIO mark with the lower 8 bits of its generation, or rights (1 read, 2 write, 4 execute). */
type Said =
  | { readonly kind: 'nothing' }
  | { readonly kind: 'mmio'; readonly generation: number }
  | { readonly kind: 'rights'; readonly rights: number };
const NOTHING: Said = { kind: 'nothing' };

/** Bits 31:0 and 63:32 of an EPT entry; W and X without R is KVM's MMIO mark, with the generation from bit 3. */
function eptEntry(low: number): Said {
  if ((low & 7) === 0) return NOTHING;
  if ((low & 7) === 6) return { kind: 'mmio', generation: (low >>> 3) & 0xff };
  return { kind: 'rights', rights: low & 7 };
}
/** An ordinary entry: P, R/W, U/S, and NX in bit 63. Every access is a user's, so one without U/S gives nothing; bit 51, which is reserved, is KVM's MMIO mark. */
function nptEntry(low: number, high: number): Said {
  if ((low & 1) === 0) return NOTHING;
  if ((high & 0x8_0000) !== 0) return { kind: 'mmio', generation: (low >>> 3) & 0xff };
  assert.ok((low & 4) !== 0, "a present NPT entry is a user's");
  return { kind: 'rights', rights: 1 | (low & 2) | (high >>> 31 === 0 ? 4 : 0) };
}

class Oracle extends HostView {
  /** Leaves and TLB entries that were looked at. */
  leaves = 0;
  cached = 0;

  private said(entry: number): Said {
    const low = this.bytes.low(entry);
    return this.g.machine.options.mmu === 'npt' ? nptEntry(low, this.bytes.low(entry + 4)) : eptEntry(low);
  }
  private get root(): number {
    return Number(this.g.machine.vm.mmu.pointer & 0xf_ffff_ffff_f000n);
  }

  /** GPA to HPA and rights, those of all entries on the way, by the bytes of EPT or NPT. */
  ept(address: number): { readonly hpa: number; readonly rights: number } | undefined {
    let table = this.root;
    let rights = 7;
    for (const span of [2 ** 39, 2 ** 30, 2 ** 21, 2 ** 12]) {
      const entry = table + 8 * (Math.floor(address / span) % 512);
      const said = this.said(entry);
      if (said.kind !== 'rights') return undefined;
      rights &= said.rights;
      const frame = this.bytes.frame(entry);
      if (span === PAGE || (this.bytes.low(entry) & 0x80) !== 0)
        return { hpa: frame - (frame % span) + (address % span), rights };
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
  private checkTable(table = this.root, span = 2 ** 39, base = 0, above = 7): void {
    for (let i = 0; i < 512; i++) {
      const entry = table + 8 * i;
      const said = this.said(entry);
      const at = base + i * span;
      if (said.kind === 'nothing') continue;
      if (said.kind === 'mmio') {
        const current = said.generation === (this.g.machine.vm.memslots.generation & 0xff);
        if (current && this.slotAt(at)) assert.fail(`GPA 0x${at.toString(16)} is marked MMIO and lies in a slot`);
        continue;
      }
      const frame = this.bytes.frame(entry);
      const rights = above & said.rights;
      if (span > PAGE && (this.bytes.low(entry) & 0x80) === 0) this.checkTable(frame, span / 512, at, rights);
      else
        for (let piece = 0; piece < span; piece += Math.max(PAGE, span / 8))
          this.checkLeaf(at + piece, frame - (frame % span) + piece, (rights & 2) !== 0);
    }
  }
  private checkLeaf(at: number, frame: number, writable: boolean): void {
    this.leaves++;
    const name = `GPA 0x${at.toString(16)}`;
    const slot = this.slotAt(at);
    if (!slot) return assert.fail(`${name} is mapped and lies in no slot`);
    const found = this.host(slot.hva + (at - slot.gpa));
    if (!found) return assert.fail(`${name} is mapped to 0x${frame.toString(16)}, and the host maps nothing there`);
    if (found.hpa !== frame)
      assert.fail(`${name} is mapped to 0x${frame.toString(16)}; the host has 0x${found.hpa.toString(16)}`);
    if (writable && (slot.readonly || !found.writable))
      assert.fail(`${name} is writable; slot and host do not both allow it`);
    const from = slot.hva + (at - slot.gpa);
    const owner = this.owners.get(frame);
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
      this.cached++;
      const now = this.ept(Number(e.gpa));
      if (now?.hpa !== Number(e.hpa))
        assert.fail(`the TLB has GPA 0x${e.gpa.toString(16)} at 0x${e.hpa.toString(16)}, the second level does not`);
      if (e.eptRights.w && (now.rights & 2) === 0)
        assert.fail(`the TLB lets GPA 0x${e.gpa.toString(16)} be written, the second level does not`);
    }
  }
}

function campaign(
  events: number,
  seed: number,
  options: Partial<MachineOptions>,
): {
  readonly done: number;
  readonly exits: Record<string, number>;
  readonly vmstat: Readonly<Vmstat>;
  readonly leaves: number;
  readonly cached: number;
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
  const rnd = random(seed);
  const living = new LivingHost(g, rnd);
  const oracle = new Oracle(g, living.slots);

  while (living.done < events) {
    if (pressed && rnd(4) === 0) living.press();
    for (let burst = 1 + rnd(8); burst > 0; burst--) {
      living.event();
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
  return {
    done: living.done,
    exits: g.exits,
    vmstat: machine.kernel.vmstat,
    leaves: oracle.leaves,
    cached: oracle.cached,
  };
}

/** Events in all; PAGEWALK_ORACLE_EVENTS asks for a longer run. */
const EVENTS = Number(process.env['PAGEWALK_ORACLE_EVENTS'] ?? 100_000);

describe('EPT and NPT under a living host, judged by an oracle', () => {
  const NPT = { mmu: 'npt', cpu: 'pagewalk-svm' } as const;
  const variants: readonly (readonly [name: string, options: Partial<MachineOptions>])[] = [
    ['A/D flags and PML', {}],
    ['no A/D flags, no VPID', { eptAd: false, vpid: false }],
    ['transparent huge pages', { hostPages: 'thp' }],
    ['a TLB of 16 entries', { tlb: { entries: 16, ways: 4 } }],
    ['pressure', { hostMemory: 4 << 20, hostSwap: 16n << 20n }],
    ['pressure, no A/D flags', { hostMemory: 4 << 20, hostSwap: 16n << 20n, eptAd: false }],
    ['NPT', { ...NPT }],
    ['NPT, transparent huge pages, a TLB of 16 entries', { ...NPT, hostPages: 'thp', tlb: { entries: 16, ways: 4 } }],
    ['NPT, pressure', { ...NPT, hostMemory: 4 << 20, hostSwap: 16n << 20n }],
  ];
  variants.forEach(([name, options], i) => {
    it(`holds: ${name}`, function () {
      this.timeout(300_000);
      const { done, exits, vmstat, leaves, cached } = campaign(
        EVENTS / variants.length,
        0x9e37_79b9 ^ (i * 0x1234_5678),
        options,
      );
      assert.ok(done >= EVENTS / variants.length);
      assert.ok(leaves > 0 && cached > 0, `${leaves} leaves and ${cached} TLB entries were compared`);
      const expected =
        options.mmu === 'npt' ? ['NPF', 'INTR'] : ['EPT_VIOLATION', 'EPT_MISCONFIG', 'EXTERNAL_INTERRUPT'];
      for (const reason of expected) assert.ok((exits[reason] ?? 0) > 0, reason);
      if (options.hostMemory !== undefined) assert.ok(vmstat.pgsteal > 1000, `reclaim took ${vmstat.pgsteal} pages`);
    });
  });
});
