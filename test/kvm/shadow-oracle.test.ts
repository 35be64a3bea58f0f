/**
 * Shadow paging against an oracle that shares no code with what it judges: it reads the bytes of guest, shadow and host tables itself (SDM vol. 3, 4.5), keeps its own list
 * of slots, and remembers which translations an address had since the guest last flushed it. A guest obeys commands in its registers (touch, edit a table, INVLPG, load
 * CR3, INVPCID) between random host events and slot changes. After each of them:
 *
 *   - every shadow leaf maps the frame that slot and host tables give for its guest frame, and none that the host has free or shares, if it is writable;
 *   - every leaf for a watched address, and every TLB entry, is a translation that the guest's tables held since the address was last flushed, with no more rights;
 *     where tables are always watched (classic) that is the present one;
 *   - what an access reads, where a write arrives and whether it faults is one of the answers that those translations allow, and flags are set as they should be.
 */
import * as assert from 'node:assert/strict';
import { hpa, hva } from '../../src/base/address';
import { drain } from '../../src/trace/step';
import { SLOT } from '../../src/hw/state/layout';
import type { MachineOptions } from '../../src/vmm/options';
import { Guest } from '../vmm/support/guest';
import { HostView, LivingHost, PAGE, random } from './support/living-host';

const DATA = 0x20_0000;
const SIZE = 64 * PAGE;
const RAM = 0x80_0000;
/** Tables of the two address spaces, A and B, in guest memory. */
const PML4 = [0x40_0000, 0x40_6000] as const;
const PDPT = [0x40_1000, 0x40_7000] as const;
const PD = [0x40_3000, 0x40_8000] as const;
const IDENTITY = 0x40_2000;
const PT = [0x40_4000, 0x40_5000] as const;
/** Where a large page of the guest's leads: 2 MiB of one slot. */
const LARGE = 0x60_0000;
/** The watched addresses: eight pages of each of two page tables. */
const REGION = 0x4000_0000;
const PAGES = 16;
const linearOf = (page: number): number => REGION + (page >> 3) * 0x20_0000 + (page & 7) * PAGE;

const P = 1;
const RW = 2;
const A = 0x20;
const D = 0x40;
const PS = 0x80;

const COMMAND = { read: 1, write: 2, edit: 3, invlpg: 4, cr3: 5, invpcid: 6 } as const;
type Command = keyof typeof COMMAND;

/** ESI: the command, and 0 when it is done. #PF counts in R15 and ends it. */
const guest = (pcids: boolean): string => `
  lidt [idtr]
  mov rax, ${PML4[0]}
  mov cr3, rax
  mov rax, cr0
  or eax, 0x10000
  mov cr0, rax
  ${pcids ? 'mov rax, cr4\nor eax, 0x20000\nmov cr4, rax' : ''}
  xor esi, esi
park:
  mov eax, esi
  test eax, eax
  jz park
  dec eax
  jz read
  dec eax
  jz write
  dec eax
  jz write
  dec eax
  jz flush
  dec eax
  jz load
  mov [descriptor], rcx
  mov [descriptor + 8], rbx
  invpcid rdx, [descriptor]
  jmp done
read:
  mov rdx, [rbx]
  jmp done
write:
  mov [rbx], rcx
  jmp done
flush:
  invlpg [rbx]
  jmp done
load:
  mov cr3, rbx
done:
  xor esi, esi
  jmp park
fault:
  add rsp, 8
  mov qword [rsp], done
  inc r15
  iretq
align 16
descriptor: dq 0, 0
idtr: dw 15 * 16 - 1
  dq idt
align 16
idt: times 14 dq 0, 0
  dw fault - $$, 0x08, 0x8e00, 0x10
  dq 0
`;
const [RCX, RDX, RBX, RSI, R15] = [1, 2, 3, 6, 15] as const;

/** A translation of a watched address: guest frame address, and what it may be used for. 0 as frame with `present` false: none. */
interface Translation {
  readonly present: boolean;
  readonly frame: number;
  readonly writable: boolean;
  readonly dirty: boolean;
}
const same = (a: Translation, b: Translation): boolean =>
  a.present === b.present && a.frame === b.frame && a.writable === b.writable && a.dirty === b.dirty;

/** What the guest's tables said of the watched addresses, by PCID, or by address space where there is none. */
class History {
  private readonly sets = new Map<number, Translation[][]>();
  /** Whether anything was edited since the address was last flushed. */
  private readonly edited = new Map<number, boolean[]>();

  of(pcid: number, page: number): readonly Translation[] {
    return this.sets.get(pcid)?.[page] ?? [];
  }
  isEdited(pcid: number, page: number): boolean {
    return this.edited.get(pcid)?.[page] ?? true;
  }
  edit(): void {
    for (const e of this.edited.values()) e.fill(true);
  }
  add(pcid: number, page: number, t: Translation): void {
    const set = (this.sets.get(pcid) ?? this.fresh(pcid))[page] ?? [];
    if (!set.some((x) => same(x, t))) set.push(t);
  }
  flush(pcid: number, page: number, t: Translation): void {
    const sets = this.sets.get(pcid) ?? this.fresh(pcid);
    sets[page] = [t];
    const edited = this.edited.get(pcid);
    if (edited) edited[page] = false;
  }
  private fresh(pcid: number): Translation[][] {
    const sets = Array.from({ length: PAGES }, (): Translation[] => []);
    this.sets.set(pcid, sets);
    this.edited.set(
      pcid,
      Array.from({ length: PAGES }, () => true),
    );
    return sets;
  }
}

class Oracle extends HostView {
  readonly history = new History();
  constructor(
    g: Guest,
    slots: LivingHost['slots'],
    private readonly shadowed: boolean,
    private readonly exact: boolean,
    /** The address space of each key of the history. */
    readonly spaceOf: ReadonlyMap<number, 0 | 1>,
    private readonly pcids: boolean,
  ) {
    super(g, slots);
  }

  /** The key of the history that a value of CR3 has. */
  private keyOf(cr3: bigint): number {
    return this.pcids ? Number(cr3 & 0xfffn) : (cr3 & ~0xfffn) === BigInt(PML4[1]) ? 1 : 0;
  }
  /** … that the guest's CR3 has, and the one that hardware walks by, which lags behind until the next VM entry. */
  get key(): number {
    return this.keyOf(this.g.machine.vcpu.registers().get(SLOT.CR3));
  }
  private get hardwareKey(): number {
    const loaded = this.g.machine.vm.shadow?.loaded;
    return loaded ? this.keyOf(loaded.paging.cr3) : this.key;
  }

  /** Guest physical to host physical, by slots and host tables. */
  physical(address: number): { readonly hpa: number; readonly writable: boolean } | undefined {
    const slot = this.slotAt(address);
    const found = slot && this.host(slot.hva + (address - slot.gpa));
    return found && { hpa: found.hpa, writable: found.writable && !slot.readonly };
  }
  private guestEntry(table: number, index: number): { readonly low: number; readonly frame: number } {
    const at = this.physical(table)?.hpa;
    // a table in swap is as it was; nobody writes it there
    if (at === undefined) return this.swapped(table, index);
    return { low: this.bytes.low(at + index * 8), frame: this.bytes.frame(at + index * 8) };
  }
  private swapped(table: number, index: number): { readonly low: number; readonly frame: number } {
    const slot = this.slotAt(table);
    const page = slot && this.g.machine.host.peekPage(hva(BigInt(slot.hva + (table - slot.gpa))));
    assert.ok(page, 'tables of the guest are never lost');
    const low = new DataView(page.buffer, page.byteOffset).getUint32(index * 8, true);
    return { low, frame: (low & 0xffff_f000) >>> 0 };
  }
  /** The guest's tables now. */
  now(page: number, space: 0 | 1 = this.spaceOf.get(this.key) ?? 0): Translation {
    const linear = linearOf(page);
    const pde = this.guestEntry(PD[space], (linear >>> 21) & 511);
    const none = { present: false, frame: 0, writable: false, dirty: false };
    if ((pde.low & P) === 0) return none;
    if ((pde.low & PS) !== 0)
      return {
        present: true,
        frame: pde.frame - (pde.frame % 0x20_0000) + (linear % 0x20_0000),
        writable: (pde.low & RW) !== 0,
        dirty: (pde.low & D) !== 0,
      };
    const pte = this.guestEntry(pde.frame, (linear >>> 12) & 511);
    if ((pte.low & P) === 0) return none;
    return {
      present: true,
      frame: pte.frame,
      writable: (pde.low & pte.low & RW) !== 0,
      dirty: (pte.low & D) !== 0,
    };
  }
  /** The guest's page table for a watched address, in the address space that it is in; undefined: none, or a large page. */
  tableOf(page: number): number | undefined {
    const pde = this.guestEntry(PD[this.spaceOf.get(this.key) ?? 0], (linearOf(page) >>> 21) & 511);
    return (pde.low & (P | PS)) === P ? pde.frame : undefined;
  }
  /** Notes what the tables say. Under exact shadowing nothing older counts. */
  observe(): void {
    for (const [pcid, space] of this.spaceOf)
      for (let page = 0; page < PAGES; page++) this.history.add(pcid, page, this.now(page, space));
  }
  flushAll(pcid: number, space: 0 | 1): void {
    for (let page = 0; page < PAGES; page++) this.history.flush(pcid, page, this.now(page, space));
  }

  // ---- shadow tables

  private readonly owners = new Map<number, { readonly hva: number; writable: boolean }>();

  checkShadow(): void {
    const { shadow } = this.g.machine.vm;
    if (!this.shadowed || !shadow) return;
    this.owners.clear();
    for (const page of shadow.pages.all()) {
      const table = Number(page.spt);
      const level = page.role & 7;
      for (let i = 0; i < 512; i++) {
        const low = this.bytes.low(table + 8 * i);
        if ((low & P) === 0 || (level > 1 && (low & PS) === 0) || this.marked(table + 8 * i)) continue;
        const span = 512 ** (level - 1);
        for (let n = 0; n < span; n += Math.max(1, span / 8))
          this.checkFrame(((page.gfns[i] ?? 0) + n) * PAGE, this.bytes.frame(table + 8 * i) + n * PAGE, low);
      }
    }
    const root = shadow.rootHpa;
    if (root !== undefined) for (let page = 0; page < PAGES; page++) this.checkLeaf(page, Number(root));
  }
  /** Bit 51: an MMIO mark of the modern kind. */
  private marked(entry: number): boolean {
    return (this.bytes.low(entry + 4) & 0x8_0000) !== 0;
  }
  /** A leaf's frame against its guest frame. */
  private checkFrame(address: number, frame: number, low: number): void {
    const name = `GPA 0x${address.toString(16)}`;
    const slot = this.slotAt(address);
    if (!slot) return assert.fail(`${name} is mapped and lies in no slot`);
    const found = this.host(slot.hva + (address - slot.gpa));
    if (found?.hpa !== frame)
      assert.fail(
        `${name} is mapped to 0x${frame.toString(16)}; the host has ${found ? `0x${found.hpa.toString(16)}` : 'nothing'}`,
      );
    const writable = (low & RW) !== 0;
    if (writable && (slot.readonly || !found.writable))
      assert.fail(`${name} is writable; slot and host do not both allow it`);
    const from = slot.hva + (address - slot.gpa);
    const owner = this.owners.get(frame);
    if (owner && owner.hva !== from && (writable || owner.writable))
      assert.fail(`${name} shares a frame with HVA 0x${owner.hva.toString(16)}, and one of them is writable`);
    this.owners.set(frame, { hva: from, writable: writable || owner?.writable === true });
    if (!this.g.machine.kernel.frames.isUsed(hpa(BigInt(frame)))) assert.fail(`${name} is mapped to a free frame`);
  }
  /** The shadow's walk of a watched address, and whether the guest's tables can have said so. */
  private checkLeaf(page: number, root: number): void {
    const linear = linearOf(page);
    let table = root;
    for (const span of [2 ** 39, 2 ** 30, 2 ** 21, 2 ** 12]) {
      const entry = table + 8 * (Math.floor(linear / span) % 512);
      const low = this.bytes.low(entry);
      if ((low & P) === 0 || this.marked(entry)) return;
      const frame = this.bytes.frame(entry);
      if (span === PAGE || (low & PS) !== 0) {
        const key = this.hardwareKey;
        const allowed = this.exact ? [this.now(page, this.spaceOf.get(key) ?? 0)] : this.history.of(key, page);
        this.judge(
          `shadow leaf of 0x${linear.toString(16)}`,
          allowed,
          frame + (span > PAGE ? linear % span : 0),
          (low & RW) !== 0,
        );
        return;
      }
      table = frame;
    }
  }
  private judge(name: string, allowed: readonly Translation[], frame: number, writable: boolean): void {
    const fits = (t: Translation): boolean =>
      t.present && this.physical(t.frame)?.hpa === frame && (!writable || (t.writable && t.dirty));
    if (!allowed.some(fits))
      assert.fail(
        `${name}: 0x${frame.toString(16)}${writable ? ', writable,' : ''} is none of ${JSON.stringify(allowed)}`,
      );
  }

  checkTlb(): void {
    const { machine } = this.g;
    // a VCPU that is to exit before its next instruction has not flushed yet
    if (!machine.vcpu.running || machine.cpu.state.get32(SLOT.PENDING_INTR) !== 0) return;
    for (const e of machine.cpu.tlb.entries()) {
      const page = Array.from({ length: PAGES }, (_, i) => i).find((i) => BigInt(linearOf(i)) === e.linear);
      if (page === undefined || e.vpid !== machine.vcpu.vpid) continue;
      const writable = e.writable && e.eptRights.w && e.dirty;
      this.judge(
        `TLB entry of 0x${e.linear.toString(16)}`,
        this.history.of(this.pcids ? e.pcid : this.hardwareKey, page),
        Number(e.hpa),
        writable,
      );
    }
  }
}

interface Campaign {
  readonly done: number;
  readonly commands: number;
  readonly guest: Guest;
}

function campaign(events: number, seed: number, options: Partial<MachineOptions>): Campaign {
  const pcids = options.shadow === 'modern';
  const g = new Guest(guest(pcids), 'flat64', {
    slots: [
      { gpa: 0n, size: BigInt(DATA), readonly: false },
      { gpa: BigInt(DATA), size: BigInt(SIZE), readonly: false },
      { gpa: BigInt(DATA + SIZE), size: BigInt(RAM - DATA - SIZE), readonly: false },
    ],
    hostBase: 0x4000_0000n,
    hostMemory: 32 << 20,
    ...options,
  });
  g.machine.onStep = undefined;
  const { machine } = g;
  const rnd = random(seed);
  const living = new LivingHost(g, rnd);
  const shadow = machine.vm.shadow;
  const spaceOf = new Map<number, 0 | 1>(
    pcids
      ? [
          [0, 0],
          [1, 0],
          [2, 1],
          [3, 1],
        ]
      : [
          [0, 0],
          [1, 1],
        ],
  );
  const oracle = new Oracle(g, living.slots, shadow !== undefined, shadow?.generation === 'classic', spaceOf, pcids);

  // the guest's tables: its own memory one to one in large pages, and the watched region
  const write = (address: number, value: number): void => {
    const bytes = new Uint8Array(8);
    new DataView(bytes.buffer).setBigUint64(0, BigInt(value), true);
    const slot = living.slots.find((s) => address >= s.gpa && address < s.gpa + s.size) ?? assert.fail('a slot');
    assert.ok(drain(machine.host.write(hva(BigInt(slot.hva + address - slot.gpa)), bytes)).ok);
  };
  const DONE = P | RW | A | D;
  for (const s of [0, 1] as const) {
    write(PML4[s], PDPT[s] | DONE);
    write(PDPT[s], IDENTITY | DONE);
    write(PDPT[s] + 8, PD[s] | DONE);
    write(PD[s], PT[s] | DONE);
    write(PD[s] + 8, (s === 0 ? PT[1] : PT[0]) | DONE);
  }
  for (let i = 0; i < RAM / 0x20_0000; i++) write(IDENTITY + 8 * i, (i * 0x20_0000) | DONE | PS);
  for (let i = 0; i < 8; i++) for (const table of PT) write(table + 8 * i, (DATA + rnd(64) * PAGE) | P | RW);
  for (let i = 0; i < 64; i++) write(DATA + i * PAGE, 0x1000 + i);
  for (let i = 0; i < 8; i++) write(LARGE + i * PAGE, 0x2000 + i);

  const register = (n: number): bigint => machine.vcpu.registers().get(n);
  const setRegister = (n: number, value: bigint): void => {
    if (machine.vcpu.running) machine.cpu.state.set(n, value);
    else machine.vcpu.regs.setGpr(n, value);
  };
  const run = (instructions: number): void => {
    const stop = machine.run(instructions, 1);
    if (stop.kind !== 'budget')
      assert.fail(JSON.stringify(stop, (_, v: unknown) => (typeof v === 'bigint' ? `0x${v.toString(16)}` : v)));
  };
  const judge = (): void => {
    oracle.observe();
    oracle.checkShadow();
    oracle.checkTlb();
  };
  /** Contents of a guest page, wherever the host keeps it; undefined in a hole. */
  const content = (address: number): bigint | undefined => {
    const slot = living.slots.find((s) => s.there && address >= s.gpa && address < s.gpa + s.size);
    if (!slot) return undefined;
    const page = machine.host.peekPage(hva(BigInt(slot.hva + (address & ~0xfff) - slot.gpa)));
    return page ? new DataView(page.buffer, page.byteOffset).getBigUint64(address & 0xfff, true) : 0n;
  };
  const readonlyAt = (address: number): boolean =>
    living.slots.some((s) => s.there && s.readonly && address >= s.gpa && address < s.gpa + s.size);

  // to its parking place, in its own tables
  for (let i = 0; i < 200; i++) run(60);
  let commands = 0;
  let serial = 1;
  /** While set, the host keeps still. */
  let calm = false;

  const command = (
    name: Command,
    rbx: number | bigint,
    rcx: bigint,
    rdx = 0n,
  ): { readonly faulted: boolean; readonly rdx: bigint; readonly disturbed: boolean } => {
    const faults = register(R15);
    const generation = machine.vm.memslots.generation;
    let disturbed = false;
    setRegister(RBX, BigInt(rbx));
    setRegister(RCX, rcx);
    setRegister(RDX, rdx);
    setRegister(RSI, BigInt(COMMAND[name]));
    for (let n = 0; register(RSI) !== 0n; n++) {
      run(1 + rnd(4));
      judge();
      if (!calm && rnd(3) === 0) {
        living.event();
        disturbed = true;
        judge();
      }
      assert.ok(n < 400, `${name} ends`);
    }
    commands++;
    return {
      faulted: register(R15) !== faults,
      rdx: register(RDX),
      disturbed: disturbed || machine.vm.memslots.generation !== generation,
    };
  };

  const access = (page = rnd(PAGES), writing = rnd(2) === 0): void => {
    const offset = 8 * rnd(3);
    const value = BigInt(0x1_0000 + serial++);
    const r = command(writing ? 'write' : 'read', linearOf(page) + offset, value);
    const allowed = oracle.history.of(oracle.key, page);
    const list = JSON.stringify(allowed);
    if (r.faulted) {
      assert.ok(
        allowed.some((t) => !t.present || (writing && !t.writable)),
        `a #PF at page ${page} that no translation gives: ${list}`,
      );
      return;
    }
    const good = allowed.filter((t) => t.present && (!writing || t.writable));
    assert.ok(good.length > 0, `no #PF at page ${page}, and every translation gives one: ${list}`);
    // what a slot change or a balloon did in between is not the guest's doing
    if (r.disturbed || good.some((t) => content(t.frame) === undefined)) return;
    if (!writing)
      assert.ok(
        good.some((t) => content(t.frame + offset) === r.rdx),
        `page ${page} reads 0x${r.rdx.toString(16)}: ${list}`,
      );
    else
      assert.ok(
        good.some((t) => readonlyAt(t.frame) || content(t.frame + offset) === value),
        `the write to page ${page} arrived nowhere: ${list}`,
      );
    if (writing && !oracle.history.isEdited(oracle.key, page))
      assert.ok(oracle.now(page).dirty, `page ${page} was written and is clean`);
  };
  const edit = (): void => {
    const upper = rnd(8) === 0;
    const table = upper ? PD[rnd(2) as 0 | 1] : PT[rnd(2) as 0 | 1];
    const at = table + 8 * rnd(upper ? 2 : 8);
    const flags =
      (rnd(8) === 0 ? 0 : P) | (rnd(4) === 0 ? 0 : RW) | (rnd(2) === 0 ? A : 0) | (rnd(4) === 0 ? A | D : 0);
    const target = upper ? (rnd(4) === 0 ? LARGE | PS : PT[rnd(2) as 0 | 1]) : DATA + rnd(64) * PAGE;
    store(at, target | flags);
  };
  const store = (at: number, value: number): void => {
    oracle.history.edit();
    command('edit', at, BigInt(value));
  };
  const flush = (page = rnd(PAGES)): void => {
    command('invlpg', linearOf(page) + rnd(PAGE), 0n);
    oracle.history.flush(oracle.key, page, oracle.now(page));
  };
  const switchTo = (): void => {
    const [key, space] = [...spaceOf][pcids ? 1 + rnd(3) : rnd(2)] ?? assert.fail('a space');
    const keep = pcids && rnd(2) === 0;
    oracle.observe();
    command('cr3', BigInt(PML4[space] | (pcids ? key : 0)) | (keep ? 1n << 63n : 0n), 0n);
    if (!keep) oracle.flushAll(key, space);
    judge();
  };
  /** A page in use whose entry changes, seen or not seen before it is flushed: what tables out of sync are about. */
  const remap = (page: number): void => {
    const table = oracle.tableOf(page);
    if (table === undefined) return;
    const at = table + 8 * (page & 7);
    const frame = (): number => DATA + rnd(64) * PAGE;
    store(at, frame() | DONE);
    flush(page);
    access(page, true);
    store(at, frame() | (rnd(2) === 0 ? DONE : P | (rnd(2) === 0 ? RW : 0)));
    if (rnd(2) === 0) access(page);
    if (rnd(4) === 0) switchTo();
    else flush(page);
    access(page);
  };
  /** A directory written so often that it is no longer shadowed, then used as one again, and written again. */
  const flood = (page: number): void => {
    const at = PD[spaceOf.get(oracle.key) ?? 0] + 8 * (page >> 3);
    for (let n = 0; n < 5; n++) store(at, PT[rnd(2) as 0 | 1] | DONE);
    flush(page);
    access(page);
    store(at, PT[rnd(2) as 0 | 1] | DONE);
    flush(page);
    access(page);
  };
  const story = (): void => {
    calm = rnd(4) > 0;
    if (rnd(3) > 0) remap(rnd(PAGES));
    else flood(rnd(PAGES));
    calm = false;
  };
  const byPcid = (): void => {
    const [pcid, space] = [...spaceOf][1 + rnd(3)] ?? assert.fail('a space');
    const type = rnd(4);
    const page = rnd(PAGES);
    command('invpcid', linearOf(page), BigInt(pcid), BigInt(type));
    if (type === 0) oracle.history.flush(pcid, page, oracle.now(page, space));
    else if (type === 1) oracle.flushAll(pcid, space);
    else for (const [p, s] of spaceOf) oracle.flushAll(p, s);
  };

  oracle.observe();
  while (living.done < events) {
    const kind = rnd(17);
    if (kind === 16) story();
    else if (kind < 6) access();
    else if (kind < 11) edit();
    else if (kind < 13) flush();
    else if (kind < 15 || !pcids) switchTo();
    else byPcid();
    for (let burst = rnd(4); burst > 0; burst--) {
      living.event();
      judge();
    }
  }
  return { done: living.done, commands, guest: g };
}

/** Events in all; PAGEWALK_ORACLE_EVENTS asks for a longer run. */
const EVENTS = Number(process.env['PAGEWALK_ORACLE_EVENTS'] ?? 8_000);

describe('shadow tables under a living host and a guest that edits its tables, judged by an oracle', () => {
  const variants: readonly (readonly [name: string, options: Partial<MachineOptions>])[] = [
    ['classic', { mmu: 'shadow', shadow: 'classic' }],
    ['modern, paging-structure caches', { mmu: 'shadow', shadow: 'modern', walkCaches: true }],
    ['modern, transparent huge pages, no VPID', { mmu: 'shadow', shadow: 'modern', hostPages: 'thp', vpid: false }],
    ['the same commands under EPT', {}],
  ];
  variants.forEach(([name, options], i) => {
    it(`holds: ${name}`, function () {
      this.timeout(600_000);
      const { done, commands, guest } = campaign(EVENTS / variants.length, 0x51ed_270b ^ (i * 0x1234_5678), options);
      assert.ok(done >= EVENTS / variants.length && commands > EVENTS / 16, `${done} events, ${commands} commands`);
      if (options.shadow === 'modern') assert.ok((guest.stats.invlpg ?? 0) > 0);
    });
  });
});
