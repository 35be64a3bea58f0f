/**
 * A guest that does what it is told, one instruction at a time, in every paging mode: its code is 32-bit, runs in compatibility mode once paging has four or five levels, and lies with
 * stack and tables in an identity map that all modes share. Two address spaces map a window of two small pages and a large one to frames that say who they are. Beside it runs a
 * model of what may be cached: every translation that an access has used since something that must invalidate it (SDM vol. 3, 4.10.4.1 and 11.9). A processor may also cache what
 * no access has used yet (4.10.2.3), and shadow tables do: there it is every translation that the tables have had since then.
 */
import * as assert from 'node:assert/strict';
import { gpa } from '../../../src/base/address';
import { must } from '../../../src/base/assert';
import { CR0, CR4, EFER } from '../../../src/isa/flags';
import { SLOT } from '../../../src/hw/state/layout';
import { drain } from '../../../src/trace/step';
import { slotHva } from '../../../src/kvm/memslots';
import type { MachineOptions } from '../../../src/vmm/options';
import { Guest } from '../../vmm/support/guest';

type OpName = 'read' | 'write' | 'fetch' | 'store' | 'cr0' | 'cr3' | 'cr4' | 'wrmsr' | 'invlpg';
const SOURCE = `
op_read:
  mov eax, [ebx]
  jmp stop
op_write:
  mov [ebx + 8], eax
  jmp stop
op_fetch:
  call ebx
  jmp stop
op_store:
  mov [ebx], eax
  jmp stop
op_cr0:
  mov cr0, eax
  jmp stop
op_cr3:
  mov cr3, eax
  jmp stop
op_cr4:
  mov cr4, eax
  jmp stop
op_wrmsr:
  wrmsr
  jmp stop
op_invlpg:
  invlpg [ebx]
  jmp stop
stop:
  nop
  hlt`;

const [RAX, RCX, RDX, RBX, RSP] = [0, 1, 2, 3, 4];
const P_RW = 3;
const PS = 0x80;
const G = 0x100;
const A = 0x20;
const D = 0x40;

/** The window: two pages, and where a large page begins. */
const PAGES = [0x40_0000, 0x40_1000, 0x80_0000] as const;
const LARGE = 2;
const FRAMES = [0, 1, 2, 3, 4, 5].map((k) => 0x30_0000 + k * 0x1000);
/** Frames of the large page. Without CR4.PSE a 4 MiB entry points to a page table instead, whose first entry leads to FRAMES[4 + j]. */
const BASES = [0x100_0000, 0x140_0000] as const;

const legacy = (s: number): number => 0x20_0000 + s * 0x1_0000;
/** PDPT of PAE paging, in the same page as the 32-bit page directory, so that one CR3 serves both. */
const PDPT_IN_PD = 0x800;
const IDENTITY_32 = 0x22_0000;
const window32 = (s: number): number => 0x23_0000 + s * 0x1000;
const directory64 = (s: number): number => 0x24_0000 + s * 0x1000;
const IDENTITY_64 = 0x25_0000;
const window64 = (s: number): number => 0x25_2000 + s * 0x1000;
const pml4 = (s: number): number => 0x26_0000 + s * 0x1000;
const pdpt64 = (s: number): number => 0x26_2000 + s * 0x1000;
const pml5 = (s: number): number => 0x26_4000 + s * 0x1000;

const on = (n: number): number => (1 << n) >>> 0;
type Format = 'none' | '32bit' | 'pae' | '4level' | '5level';

interface Translation {
  /** What a read of the page's first bytes gives. */
  readonly value: number;
  /** Where writes to it land. */
  readonly frame: number;
  readonly global: boolean;
  /** The entry that maps the page, with its accessed flag. */
  readonly leaf: number | undefined;
}

/** Small, so that flushes are quick. */
const TLB = { entries: 64, ways: 4 };

/** xorshift32. */
class Random {
  constructor(private state: number) {}
  below(n: number): number {
    let x = this.state | 0;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.state = x;
    return (x >>> 0) % n;
  }
  yes(oneIn: number): boolean {
    return this.below(oneIn) === 0;
  }
}

export class ModeSwitcher {
  private readonly guest: Guest;
  private readonly stop: bigint;
  private readonly has: { readonly pcid: boolean; readonly la57: boolean };
  private cr0 = on(CR0.PE) | on(CR0.ET) | on(CR0.NE);
  private cr4 = 0;
  private efer = 0;
  /** CR3's address space, what kind of root it is, and the PCID in force. */
  private space = 0;
  private root: 'legacy' | 'pml4' | 'pml5' | 'unknown' = 'unknown';
  private pcid = 0;
  /** CR3 bits 11:0, which must be zero where CR4.PCIDE is set. */
  private cr3Low = 0;
  private counter = 0;
  private random = new Random(1);
  /** What accesses have used since the last thing that must invalidate it: by PCID and page, and global ones by page. */
  private readonly cached = new Map<number, Map<number, Translation[]>>();
  private readonly globals = new Map<number, Translation[]>();
  /** Tables were edited since the last load of CR3 or flush of everything. */
  private edited = false;
  private readonly ahead: boolean;
  private log: (readonly [string, ...number[]])[] = [];
  /** Where pages of guest RAM are: the host moves none. */
  private readonly offsets = new Map<number, number>();
  readonly counts = { accesses: 0, stale: 0, switches: 0 };

  constructor(options: Partial<MachineOptions>) {
    this.ahead = options.mmu === 'shadow';
    this.guest = new Guest(SOURCE, 'flat32', { ...options, memory: 32n << 20n, hostMemory: 96 << 20, tlb: TLB });
    this.stop = must(this.guest.symbols.get('stop'), 'a label');
    this.prepare();
    const { machine } = this.guest;
    machine.exits.recording = false;
    machine.cpu.breakpoints.add(this.stop);
    machine.cpu.breakpoints.add(must(this.guest.symbols.get('op_read'), 'a label'));
    assert.equal(machine.run(1000).kind, 'breakpoint');
    machine.cpu.breakpoints.delete(must(this.guest.symbols.get('op_read'), 'a label'));
    const model = machine.accelerator.guestModel;
    this.has = { pcid: model.has('PCID'), la57: model.has('LA57') };
    this.run('cr0', { [RAX]: this.cr0 });
  }

  /** Frames, tables and an identity map of 4 MiB, written into guest RAM before the guest runs. */
  private prepare(): void {
    const code = (address: number, value: number): void => {
      // mov eax, value; ret
      this.poke8(address + 0x10, 0xb8);
      this.poke(address + 0x11, value);
      this.poke8(address + 0x15, 0xc3);
    };
    FRAMES.forEach((f, k) => {
      this.poke(f, 0xf000_0000 + k);
      code(f, 0xf000_0000 + k);
    });
    PAGES.forEach((p, i) => {
      this.poke(p, 0xa000_0000 + i);
      code(p, 0xa000_0000 + i);
    });
    BASES.forEach((b, j) => {
      const entry = this.baseValue(j);
      this.poke(b, entry);
      code(b, entry);
    });
    for (let i = 0; i < 1024; i++) {
      this.poke(IDENTITY_32 + i * 4, (i << 12) | P_RW);
      this.poke(IDENTITY_64 + i * 8, (i << 12) | P_RW);
    }
    for (const s of [0, 1]) {
      this.poke(legacy(s), IDENTITY_32 | P_RW);
      this.poke(legacy(s) + 4, window32(s) | P_RW);
      this.poke(legacy(s) + 8, (BASES[s] ?? 0) | P_RW | PS);
      this.poke(legacy(s) + PDPT_IN_PD, directory64(s) | 1);
      this.poke(directory64(s), IDENTITY_64 | P_RW);
      this.poke(directory64(s) + 8, (IDENTITY_64 + 0x1000) | P_RW);
      this.poke(directory64(s) + 16, window64(s) | P_RW);
      this.poke(directory64(s) + 32, (BASES[s] ?? 0) | P_RW | PS);
      this.poke(pml4(s), pdpt64(s) | P_RW);
      this.poke(pdpt64(s), directory64(s) | P_RW);
      this.poke(pml5(s), pml4(s) | P_RW);
      for (let i = 0; i < LARGE; i++) {
        this.poke(window32(s) + i * 4, (FRAMES[(i + s) % 4] ?? 0) | P_RW);
        this.poke(window64(s) + i * 8, (FRAMES[(i + s + 1) % 4] ?? 0) | P_RW);
      }
    }
  }
  private baseValue(j: number): number {
    return ((FRAMES[4 + j] ?? 0) | P_RW | A | D) >>> 0;
  }

  /** One random sequence, from paging off. */
  sequence(seed: number): void {
    this.random = new Random(Math.imul(seed, 0x9e37_79b1) | 1);
    for (let i = 0; i < 4; i++) this.random.below(2);
    this.log = [['sequence', seed]];
    this.off();
    if (this.random.yes(2)) this.access();
    if (!this.random.yes(8)) this.turnOn();
    for (let i = 6 + this.random.below(12); i > 0; i--) this.step();
  }

  private step(): void {
    if (this.ahead) PAGES.forEach((_, page) => this.cache(page, this.fresh(page)));
    const { random } = this;
    const kind = random.below(24);
    if (kind < 10) return this.access();
    if (kind < 15) return this.edit();
    if (kind < 16) return this.invlpg();
    if (kind < 18) return this.loadCr3(random.below(2));
    if (kind < 20) return this.toggleCr4();
    if (kind < 21) return this.toggleEfer();
    if (kind < 22) return this.setCr0(this.cr0 ^ on(CR0.WP));
    this.counts.switches++;
    if (this.paging) this.off();
    else this.turnOn();
  }

  // ---- the modes

  private get paging(): boolean {
    return (this.cr0 & on(CR0.PG)) !== 0;
  }
  private bit4(n: number): boolean {
    return (this.cr4 & on(n)) !== 0;
  }
  private get long(): boolean {
    return this.paging && (this.efer & on(EFER.LME)) !== 0;
  }
  private get format(): Format {
    if (!this.paging) return 'none';
    if (this.long) return this.bit4(CR4.LA57) ? '5level' : '4level';
    return this.bit4(CR4.PAE) ? 'pae' : '32bit';
  }
  private get wantedRoot(): 'legacy' | 'pml4' | 'pml5' {
    if ((this.efer & on(EFER.LME)) === 0) return 'legacy';
    return this.bit4(CR4.LA57) ? 'pml5' : 'pml4';
  }

  private off(): void {
    if (this.bit4(CR4.PCIDE)) this.setCr4(this.cr4 & ~on(CR4.PCIDE));
    if (this.paging) this.setCr0(this.cr0 & ~on(CR0.PG));
  }
  private turnOn(): void {
    const { random } = this;
    const lme = random.yes(2);
    if (lme !== ((this.efer & on(EFER.LME)) !== 0)) this.setEfer(this.efer ^ on(EFER.LME));
    if (lme && !this.bit4(CR4.PAE)) this.setCr4(this.cr4 | on(CR4.PAE));
    if (this.root !== this.wantedRoot || random.yes(2)) this.loadCr3(random.below(2));
    if (random.yes(2)) this.access();
    this.setCr0((this.cr0 | on(CR0.PG)) >>> 0);
  }
  private setCr0(value: number): void {
    const pg = ((value ^ this.cr0) & on(CR0.PG)) !== 0;
    this.run('cr0', { [RAX]: value >>> 0 });
    this.cr0 = value >>> 0;
    if (pg) this.flushAll();
  }
  private setCr4(value: number): void {
    this.run('cr4', { [RAX]: value >>> 0 });
    const changed = value ^ this.cr4;
    const pcideCleared = this.bit4(CR4.PCIDE) && (value & on(CR4.PCIDE)) === 0;
    const smepSet = !this.bit4(CR4.SMEP) && (value & on(CR4.SMEP)) !== 0;
    this.cr4 = value >>> 0;
    if ((changed & (on(CR4.PSE) | on(CR4.PGE) | on(CR4.PAE))) !== 0 || pcideCleared) this.flushAll();
    else if (smepSet) this.cached.delete(this.pcid);
    if (pcideCleared) this.pcid = 0;
  }
  private toggleCr4(): void {
    const { random } = this;
    const bits: number[] = [CR4.PSE, CR4.PGE, CR4.SMEP, CR4.SMAP];
    if (!this.long) bits.push(CR4.PAE);
    if (this.has.la57 && !this.long) bits.push(CR4.LA57);
    if (this.has.pcid && this.long && (this.bit4(CR4.PCIDE) || this.cr3Low === 0)) bits.push(CR4.PCIDE, CR4.PCIDE);
    const n = bits[random.below(bits.length)] ?? CR4.PGE;
    // LME needs PAE with paging
    if (n === CR4.PAE && (this.efer & on(EFER.LME)) !== 0) return;
    this.setCr4(this.cr4 ^ on(n));
  }
  private toggleEfer(): void {
    this.setEfer(this.efer ^ on(this.paging || this.random.yes(2) ? EFER.NXE : EFER.LME));
  }
  private setEfer(value: number): void {
    this.run('wrmsr', { [RCX]: 0xc000_0080, [RAX]: value >>> 0, [RDX]: 0 });
    this.efer = value >>> 0;
  }
  private loadCr3(space: number): void {
    this.root = this.paging ? this.root : this.wantedRoot;
    this.space = space;
    const pcid = this.bit4(CR4.PCIDE) ? space + 1 : 0;
    const table = { legacy: legacy(space) | PDPT_IN_PD, pml4: pml4(space), pml5: pml5(space), unknown: 0 }[this.root];
    this.run('cr3', { [RAX]: table | pcid });
    this.pcid = pcid;
    this.cr3Low = (table | pcid) & 0xfff;
    this.cached.delete(pcid);
    this.edited = false;
  }

  // ---- tables and accesses

  private edit(): void {
    const { random } = this;
    const s = random.below(2);
    const page = random.below(PAGES.length);
    const wide = this.format === 'none' ? random.yes(2) : this.format !== '32bit';
    const global = random.yes(3) ? G : 0;
    const [at, entry] =
      page === LARGE
        ? [wide ? directory64(s) + 32 : legacy(s) + 8, (BASES[random.below(2)] ?? 0) | P_RW | PS | global]
        : [wide ? window64(s) + page * 8 : window32(s) + page * 4, (FRAMES[random.below(4)] ?? 0) | P_RW | global];
    this.run('store', { [RBX]: at, [RAX]: entry });
    this.edited = true;
  }
  private invlpg(): void {
    const page = this.random.below(PAGES.length);
    this.run('invlpg', { [RBX]: PAGES[page] ?? 0 });
    this.cached.get(this.pcid)?.delete(page);
    this.globals.delete(page);
  }

  /** The translation that the tables give now. */
  private fresh(page: number): Translation {
    const linear = PAGES[page] ?? 0;
    const { format } = this;
    if (format === 'none') return { value: this.peek(linear), frame: linear, global: false, leaf: undefined };
    const s = this.space;
    const pge = this.bit4(CR4.PGE);
    const small = (leaf: number): Translation => {
      const entry = this.peek(leaf);
      const frame = entry & ~0xfff;
      return { value: this.peek(frame), frame, global: pge && (entry & G) !== 0, leaf };
    };
    const wide = format !== '32bit';
    if (page !== LARGE) return small(wide ? window64(s) + page * 8 : window32(s) + page * 4);
    const leaf = wide ? directory64(s) + 32 : legacy(s) + 8;
    const base = this.peek(leaf) & ~0xfff;
    if (!wide && !this.bit4(CR4.PSE)) return small(base);
    return { value: this.peek(base), frame: base, global: pge && (this.peek(leaf) & G) !== 0, leaf };
  }

  private access(): void {
    const page = this.random.below(PAGES.length);
    const op = (['read', 'write', 'fetch'] as const)[this.random.below(3)] ?? 'read';
    const linear = PAGES[page] ?? 0;
    const fresh = this.fresh(page);
    const own = this.cached.get(this.pcid)?.get(page) ?? [];
    const usable = [...own, ...(this.globals.get(page) ?? [])];
    const value = (this.counter = (this.counter + 1) >>> 0);
    this.run(op, { [RBX]: op === 'fetch' ? linear + 0x10 : linear, [RAX]: value });
    this.counts.accesses++;
    const of = (t: Translation): number => (op === 'write' ? this.peek(t.frame + 8) : t.value);
    const got = op === 'write' ? value : Number(this.guest.machine.cpu.state.get(RAX) & 0xffff_ffffn);
    // the flags of an entry that is read as data change as it is walked
    const same = (t: Translation): boolean => ((of(t) ^ got) & ~(A | D)) === 0 || of(t) === got;
    if (![fresh, ...usable].some(same))
      this.fail(`${op} of page ${page} in ${this.format}: ${got.toString(16)}`, fresh);
    if (!same(fresh)) {
      this.counts.stale++;
      return;
    }
    if ((this.ahead ? !this.edited : usable.length === 0) && fresh.leaf !== undefined) {
      const flags = op === 'write' ? A | D : A;
      if ((this.peek(fresh.leaf) & flags) !== flags)
        this.fail(`${op} of page ${page} in ${this.format} walked and set no flag`, fresh);
    }
    this.cache(page, fresh);
  }
  private cache(page: number, fresh: Translation): void {
    const into = fresh.global ? this.globals : this.pages();
    const list = into.get(page) ?? [];
    if (!list.some((t) => t.frame === fresh.frame)) into.set(page, [...list, fresh]);
  }
  private pages(): Map<number, Translation[]> {
    let pages = this.cached.get(this.pcid);
    if (!pages) this.cached.set(this.pcid, (pages = new Map<number, Translation[]>()));
    return pages;
  }
  private flushAll(): void {
    this.cached.clear();
    this.globals.clear();
    this.edited = false;
  }

  // ---- the machine

  /** Runs one of the guest's instructions to `stop`. */
  private run(op: OpName, registers: Readonly<Record<number, number>>): void {
    const { machine, symbols } = this.guest;
    this.log.push([op, ...Object.values(registers)]);
    const { state } = machine.cpu;
    for (const [i, v] of Object.entries(registers)) state.set(Number(i), BigInt(v >>> 0));
    state.set(RSP, 0x8_0000n);
    state.rip = must(symbols.get(`op_${op}`), 'a label');
    state.set32(SLOT.FETCH_CONTINUES, 0);
    let stop = machine.run(1000);
    for (let i = 0; i < 20 && stop.kind === 'budget'; i++) stop = machine.run(1000);
    if (stop.kind !== 'breakpoint' || stop.linear !== this.stop)
      this.fail(stop.kind === 'end' ? stop.end.why : stop.kind, undefined);
  }
  private fail(what: string, fresh: Translation | undefined): never {
    assert.fail(
      `${what}; the tables say ${fresh ? fresh.value.toString(16) : '-'}\n${this.log.map(([name, ...values]) => [name, ...values.map((v) => v.toString(16))].join(' ')).join('\n')}`,
    );
  }
  private offset(address: number): number {
    const known = this.offsets.get(address >>> 12);
    if (known !== undefined) return known + (address & 0xfff);
    const { machine } = this.guest;
    const slot = must(machine.ram.memslots.find(gpa(BigInt(address))), 'RAM');
    const found = drain(machine.host.resolve(slotHva(slot, gpa(BigInt(address))), true));
    assert.ok(found.ok);
    const offset = machine.memory.offsetOf(found.value);
    this.offsets.set(address >>> 12, offset - (address & 0xfff));
    return offset;
  }
  private peek(address: number): number {
    return this.guest.machine.memory.view.getUint32(this.offset(address), true);
  }
  private poke(address: number, value: number): void {
    this.guest.machine.memory.view.setUint32(this.offset(address), value >>> 0, true);
  }
  private poke8(address: number, value: number): void {
    this.guest.machine.memory.view.setUint8(this.offset(address), value);
  }
}
