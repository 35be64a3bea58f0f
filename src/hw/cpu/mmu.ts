import type { Gpa, Hpa } from '../../base/address';
import { gpa as asGpa, hpa as asHpa } from '../../base/address';
import { bit, isCanonical } from '../../base/bits';
import { VECTOR } from '../../isa/exceptions';
import { FRAME_MASK, PTE_RW, PTE_US, PTE_XD } from '../../isa/entries';
import { CR4, RFLAGS } from '../../isa/flags';
import type { HostMemory } from '../memory/host-memory';
import {
  ACCESS_OF_CLASS,
  CLASSES,
  CLASS_FETCH,
  CLASS_READ,
  CLASS_WRITE,
  WHO_SUPERVISOR,
  WHO_SUPERVISOR_AC,
  WHO_USER,
  type Access,
} from '../paging/access';
import { FORMATS, decodeControls, levelShift, type PagingControls } from '../paging/controls';
import { type Eptp, eptFlagsMissing, updateEptAccessedDirty, walkEpt } from '../paging/ept';
import { updateAccessedDirty, walkOrdinary, type EntryPort } from '../paging/ordinary';
import { pageFaultErrorCode } from '../paging/page-fault';
import { denied } from '../paging/permissions';
import { WalkSink, type Rights, type WalkFailure, type WalkStep } from '../paging/trace';
import { WalkOut, type WalkStart } from '../paging/walk-out';
import type { CpuState } from '../state/cpu-state';
import { SLOT } from '../state/layout';
import { NO_ENTRY, RIGHT, type Tlb } from '../tlb/tlb';
import { eptFaultExit } from '../vmx/ept-exit';
import { type PmlLog, pmlFullExit } from '../vmx/pml';
import { IMPLICIT_READ, IMPLICIT_WRITE, type Core, type MemoryPort } from './core';
import type { DebugUnit } from './debug-unit';
import { newCounters, type CpuCounters } from './counters';

/** What a probe found: a walk by the same code, with no A/D update, no fill, no fault and nothing counted. */
export interface Probe {
  readonly ok: boolean;
  readonly gpa: Gpa | undefined;
  readonly hpa: Hpa | undefined;
  /** log2 of the guest's and the second level's page size; 12 where there is no such level. */
  readonly guestPageShift: number;
  readonly eptPageShift: number;
  /** Rights of the guest walk and of the EPT walk of the final address, each ANDed over its levels. */
  readonly guestRights: Rights | undefined;
  readonly eptRights: Rights | undefined;
  /** The guest walk, second-level walks nested in it, and the second-level walk of the final address. */
  readonly steps: readonly WalkStep[];
  readonly finalSteps: readonly WalkStep[];
  readonly references: number;
  readonly failure: WalkFailure | undefined;
}

/** The fast-word bits of reads and writes. */
const DATA_CLASSES = (1 << CLASS_FETCH) - 1;

const OP_OF: Readonly<Record<Access['op'], number>> = { read: CLASS_READ, write: CLASS_WRITE, fetch: CLASS_FETCH };

/**
 * A CPU's memory port: TLB, then the guest's tables, then EPT. Also the guest walk's entry port, since each entry's own address is a GPA that goes through EPT first.
 */
export class Mmu implements MemoryPort, EntryPort {
  readonly table = 'guest' as const;
  controls: PagingControls;
  counters: CpuCounters = newCounters();
  private eptp: Eptp | undefined;
  private vpid = 0;
  private pml: PmlLog | undefined;
  /** The walk ended because the page-modification log has no room for what it must set. */
  private pmlFull = false;
  private readonly out = new WalkOut();
  private readonly eptOut = new WalkOut();
  private guestLoads = 0;
  private nestedLoads = 0;
  private probing = false;
  private readonly countGuest = (): void => void this.guestLoads++;
  private readonly countNested = (): void => void this.nestedLoads++;
  /** fastOf by rights, while protection keys are off; −1 = not computed. */
  private readonly fastCache = new Int32Array(0x800).fill(-1);

  constructor(
    private readonly state: CpuState,
    readonly memory: HostMemory,
    readonly tlb: Tlb,
    private readonly physicalBits: number,
  ) {
    this.controls = this.decode();
    this.updateContext();
  }

  get space(): 'gpa' | 'hpa' {
    return this.eptp ? 'gpa' : 'hpa';
  }
  readonly loaded = this.countGuest;

  // ---- what translations depend on

  private decode(): PagingControls {
    const s = this.state;
    return decodeControls(s.get(SLOT.CR0), s.get(SLOT.CR4), s.get(SLOT.EFER), s.get32(SLOT.PKRU), this.physicalBits);
  }
  controlsChanged(): void {
    this.controls = this.decode();
    this.settleRights();
    this.updateContext();
    this.breakFetch();
  }
  /** EPT and VPID of the VM entered, or none. With VPID 0, entries of VPID 0 do not survive VM entries and exits (SDM vol. 3, 29.4.1). */
  setSecondLevel(eptp: Eptp | undefined, vpid: number, pml?: PmlLog): void {
    if (vpid === 0) this.tlb.dropVpid0();
    this.eptp = eptp;
    this.pml = pml;
    this.vpid = vpid;
    this.controls = this.decode();
    // most VM exits run no code of the host's on this CPU: `settleRights` waits for the next run
    this.updateContext();
    this.breakFetch();
  }
  /** Recomputes the fast words where a control that rights depend on is another than when they were last computed. Due before instructions run after `setSecondLevel`. */
  settleRights(): void {
    const c = this.controls;
    const key = (c.format === 'none' ? 1 : 0) | (c.wp ? 2 : 0) | (c.nxe ? 4 : 0) | (c.smep ? 8 : 0) | (c.smap ? 16 : 0);
    if (key === this.rightsKey && !c.pke && !this.rightsPke) return;
    this.rightsKey = key;
    this.rightsPke = c.pke;
    this.fastCache.fill(-1);
    this.tlb.refreshFast(this.wordOf);
  }
  private rightsKey = -1;
  private rightsPke = false;
  get secondLevel(): Eptp | undefined {
    return this.eptp;
  }
  private updateContext(): void {
    const pcid = this.controls.pcide ? Number(this.state.get(SLOT.CR3) & 0xfffn) : 0;
    this.tlb.setContext(this.vpid, pcid, this.eptp?.root ?? 0n);
  }
  private breakFetch(): void {
    this.state.set32(SLOT.FETCH_CONTINUES, 0);
  }

  // ---- invalidation (SDM vol. 3, 4.10.4)

  cr3Loaded(_core: Core, keep: boolean): void {
    this.updateContext();
    if (!keep) {
      const pcid = this.controls.pcide ? Number(this.state.get(SLOT.CR3) & 0xfffn) : 0;
      this.tlb.drop((c) => c.vpid === this.vpid && c.pcid === pcid);
    }
    this.breakFetch();
  }
  flush(_core: Core, globals: boolean): void {
    this.tlb.drop((c) => c.vpid === this.vpid && (globals || c.pcid !== -1));
    this.breakFetch();
  }
  /** Drops every fragment of the page (of whatever size it was cached as) that holds `linear`, in the current PCID and global. */
  invlpg(_core: Core, linear: bigint): void {
    const pcid = this.controls.pcide ? Number(this.state.get(SLOT.CR3) & 0xfffn) : 0;
    this.tlb.drop((c, e) => c.vpid === this.vpid && (c.pcid === pcid || c.pcid === -1) && this.inSamePage(e, linear));
    this.breakFetch();
  }
  private inSamePage(e: number, linear: bigint): boolean {
    if (e === NO_ENTRY) return true;
    const shift = BigInt(this.tlb.guestPageShiftOf(e));
    return this.tlb.linearOf(e) >> shift === linear >> shift;
  }
  /** INVEPT (SDM vol. 3, 31.3): 'single' drops what was derived from the EPTP's tables, 'all' from any. */
  invept(type: 'single' | 'all', eptp: bigint): void {
    const root = eptp & 0x000f_ffff_ffff_f000n;
    this.tlb.drop((c) => c.eptp !== 0n && (type === 'all' || c.eptp === root));
    this.breakFetch();
  }
  invvpid(type: 'address' | 'single' | 'all' | 'retain-globals', vpid: number, linear: bigint): void {
    this.tlb.drop((c, e) => {
      if (c.vpid === 0) return false;
      if (type === 'all') return true;
      if (c.vpid !== vpid) return false;
      return type === 'single' || (type === 'retain-globals' ? c.pcid !== -1 : this.inSamePage(e, linear));
    });
    this.breakFetch();
  }

  // ---- rights as the runner's fast word

  private readonly fastOf = (rights: number, protectionKey: number): number => {
    if (this.controls.pke) return this.computeFast(rights, protectionKey);
    let fast = this.fastCache[rights] as number;
    if (fast < 0) fast = this.fastCache[rights] = this.computeFast(rights, 0);
    return fast;
  };
  private computeFast(rights: number, protectionKey: number): number {
    const ordinary = {
      writable: (rights & RIGHT.W) !== 0,
      user: (rights & RIGHT.U) !== 0,
      executeDisable: (rights & RIGHT.XD) !== 0,
      protectionKey,
    };
    let fast = 0;
    for (let c = 0; c < CLASSES; c++) {
      const access = ACCESS_OF_CLASS[c] as Access;
      const second =
        access.op === 'read' ? RIGHT.EPT_R : access.op === 'write' ? RIGHT.EPT_W | RIGHT.EPT_D | RIGHT.D : RIGHT.EPT_X;
      if ((rights & second) !== second) continue;
      if ((rights & RIGHT.PAGED) !== 0 && denied(ordinary, access, c % 3 === WHO_SUPERVISOR_AC, this.controls))
        continue;
      fast |= 1 << c;
    }
    // stores into decoded code go the slow way
    return (rights & RIGHT.CODE) !== 0 ? fast & ~(7 << CLASS_WRITE) : fast;
  }
  /** A page starts or ends to hold decoded blocks. */
  setCodePage(offset: number, code: boolean): void {
    this.tlb.setCodePage(offset, code, this.wordOf);
  }

  /** What a TLB entry's fast word holds: while data breakpoints are set, every data access goes the slow way, where they are looked at. */
  private readonly wordOf = (rights: number, protectionKey: number): number => {
    const fast = this.fastOf(rights, protectionKey);
    return this.watch ? fast & ~DATA_CLASSES : fast;
  };
  private watch: DebugUnit | undefined;
  setWatch(watch: DebugUnit | undefined): void {
    this.watch = watch;
    this.tlb.refreshFast(this.wordOf);
  }

  // ---- translation

  private classOf(access: Access): number {
    const who = access.user
      ? WHO_USER
      : access.implicit || !this.state.systemFlag(RFLAGS.AC)
        ? WHO_SUPERVISOR
        : WHO_SUPERVISOR_AC;
    return OP_OF[access.op] + who;
  }

  /** Offset in the machine's memory of the byte at `linear`, or −1 with `core.event` set. */
  private translate(core: Core, linear: bigint, cls: number): number {
    const tlb = this.tlb;
    const lo = Number(BigInt.asIntN(32, linear));
    const e = tlb.find(lo, Number(BigInt.asIntN(32, linear >> 32n)));
    if (e >= 0) {
      const rights = (tlb.words[e + 8] as number) & ~RIGHT.CODE;
      if ((this.fastOf(rights, (tlb.words[e + 9] as number) >>> 16) & (1 << cls)) !== 0) {
        tlb.hits++;
        return ((tlb.words[e + 3] as number) >>> 0) + (lo & 0xfff);
      }
      // a right or the dirty flag is missing: the entry goes and the tables decide
      tlb.dropAt(e);
    }
    tlb.misses++;
    return this.walkAndFill(core, linear, cls);
  }

  private walkAndFill(core: Core, linear: bigint, cls: number): number {
    const access = ACCESS_OF_CLASS[cls] as Access;
    const ac = cls % 3 === WHO_SUPERVISOR_AC;
    const write = access.op === 'write';
    const out = this.out;
    const c = this.controls;
    this.guestLoads = 0;
    this.nestedLoads = 0;
    const paged = c.format !== 'none';
    const start = paged ? this.walkStart(linear) : undefined;
    const pdptes = c.format === 'pae' ? this.pdptes() : undefined;
    let began = start;
    let guestOk = walkOrdinary(this, this.state.get(SLOT.CR3), c, linear, access, ac, out, undefined, pdptes, start);
    if (!guestOk && start && out.failedTable !== 'ept') {
      // a page fault invalidates what led to it (SDM vol. 3, 4.10.4.1): as with the TLB, the tables decide
      const now = this.tlb.context;
      this.tlb.walkCache?.drop((x) => x.vpid === now.vpid && x.pcid === now.pcid && x.eptp === now.eptp);
      began = undefined;
      guestOk = walkOrdinary(this, this.state.get(SLOT.CR3), c, linear, access, ac, out, undefined, pdptes);
    }
    if (!guestOk) return this.walkFailed(core, linear, access);
    if (paged && !updateAccessedDirty(this, c, write, out, this.noteAccessedDirty))
      return this.walkFailed(core, linear, access);
    if (paged && this.tlb.walkCache) this.fillWalkCache(linear, began);
    const gpa = out.address;
    let hpa = gpa;
    const second = this.eptOut;
    let rights: number = RIGHT.EPT_R | RIGHT.EPT_W | RIGHT.EPT_X | RIGHT.EPT_D;
    if (this.eptp) {
      if (!walkEpt(this.memory, this.eptp, gpa, access.op, this.physicalBits, second, undefined, this.countNested)) {
        this.copyFailure(second, false);
        return this.walkFailed(core, linear, access);
      }
      if (!this.setEptFlags(gpa, write)) return this.walkFailed(core, linear, access);
      hpa = second.address;
      rights =
        (second.readable ? RIGHT.EPT_R : 0) |
        (second.writable ? RIGHT.EPT_W : 0) |
        (second.executable ? RIGHT.EPT_X : 0) |
        (second.dirty ? RIGHT.EPT_D : 0);
    }
    this.counters.walks++;
    this.counters.guestReferences += this.guestLoads;
    this.counters.nestedReferences += this.nestedLoads;
    const at = this.memory.offsetOf(hpa);
    if (at < 0) {
      core.event = {
        kind: 'bus',
        space: 'memory',
        op: access.op === 'write' ? 'write' : 'read',
        address: hpa,
        size: 1,
      };
      return -1;
    }
    rights |= paged
      ? RIGHT.PAGED |
        (out.writable ? RIGHT.W : 0) |
        (out.user ? RIGHT.U : 0) |
        (out.executeDisable ? RIGHT.XD : 0) |
        (out.global ? RIGHT.G : 0) |
        (out.dirty ? RIGHT.D : 0)
      : RIGHT.W | RIGHT.U | RIGHT.D;
    const page = at & 0xfff;
    const offset = at - page;
    if (this.memory.codeFrames[this.memory.frameOf(at)]) rights |= RIGHT.CODE;
    this.tlb.fill(
      {
        linear: linear & ~0xfffn,
        gpa: gpa & ~0xfffn,
        hpa: hpa & ~0xfffn,
        offset,
        rights,
        guestPageShift: out.pageShift,
        eptPageShift: this.eptp ? second.pageShift : 12,
        protectionKey: out.protectionKey,
      },
      this.wordOf(rights, out.protectionKey),
    );
    return at;
  }

  // ---- paging-structure caches

  private walkStart(linear: bigint): WalkStart | undefined {
    const { walkCache, context } = this.tlb;
    const { format } = this.controls;
    if (!walkCache || format === 'none') return undefined;
    return walkCache.find(linear, context, FORMATS[format].levels, (level) => levelShift(format, level));
  }
  /** Keeps the entries above the leaf of the walk in `out`, which completed with its accessed flags set. `start`: where it began, if not at the root. */
  private fillWalkCache(linear: bigint, start: WalkStart | undefined): void {
    const { walkCache, context } = this.tlb;
    const { format } = this.controls;
    const { out } = this;
    if (!walkCache || format === 'none') return;
    // PAE's third level is in registers and not among the entries
    let level = start?.level ?? (format === 'pae' ? 2 : FORMATS[format].levels);
    let [writable, user, executeDisable] = [
      start?.writable ?? true,
      start?.user ?? true,
      start?.executeDisable ?? false,
    ];
    for (let i = 0; i < out.depth - 1; i++, level--) {
      const entry = out.entries[i] as bigint;
      writable &&= (entry & PTE_RW) !== 0n;
      user &&= (entry & PTE_US) !== 0n;
      executeDisable ||= format !== '32bit' && (entry & PTE_XD) !== 0n;
      const table = format === '32bit' ? entry & 0xffff_f000n : entry & FRAME_MASK;
      const next = out.offsets[i + 1] as number;
      walkCache.fill(level, levelShift(format, level), linear, context, {
        table,
        offset: next - (next % 4096),
        writable,
        user,
        executeDisable,
      });
    }
  }

  private readonly noteAccessedDirty = (): void => void this.counters.accessedDirtyWrites++;

  private pdptes(): bigint[] {
    return [0, 1, 2, 3].map((i) => this.state.get(SLOT.PDPTE0 + i));
  }

  /** Turns the failure in `out` into the architectural event. */
  private walkFailed(core: Core, linear: bigint, access: Access): -1 {
    const out = this.out;
    this.counters.failedWalks++;
    this.counters.failedGuestReferences += this.guestLoads;
    this.counters.failedNestedReferences += this.nestedLoads;
    if (this.pmlFull) {
      this.pmlFull = false;
      core.event = { kind: 'exit', exit: pmlFullExit() };
      return -1;
    }
    if (out.failedTable === 'ept') {
      const e = this.eptOut;
      core.event = {
        kind: 'exit',
        exit: eptFaultExit({
          misconfiguration: out.reason === 'misconfiguration' || out.reason === 'no-memory',
          access: access.op,
          tableWalk: out.onTableWalk,
          tableWrite: out.onTableWalk && this.tableWrite,
          gpa: out.failedAddress,
          linear,
          readable: e.readable,
          writable: e.writable,
          executable: e.executable,
          accessedDirty: this.eptp?.accessedDirty === true,
        }),
      };
      return -1;
    }
    if (out.reason === 'non-canonical') core.raise(VECTOR.GP, 0);
    else if (out.reason === 'no-memory')
      core.event = { kind: 'bus', space: 'memory', op: 'read', address: out.failedAddress, size: 8 };
    else
      core.event = {
        kind: 'fault',
        vector: VECTOR.PF,
        errorCode: pageFaultErrorCode(out.reason, access, this.controls, out),
        cr2: linear,
      };
    return -1;
  }

  // ---- EntryPort: guest table entries

  private tableWrite = false;

  locate(address: bigint, write: boolean, out: WalkOut, sink: WalkSink | undefined): number {
    if (!this.eptp) {
      const at = this.memory.offsetOf(address);
      if (at < 0) out.fail('guest', 'no-memory', 0, 0n, address);
      return at;
    }
    const second = this.eptOut;
    // with accessed and dirty flags enabled, accesses to guest paging structures are treated as writes (SDM vol. 3, 29.3.3.2)
    const asWrite = write || this.eptp.accessedDirty;
    if (
      !walkEpt(
        this.memory,
        this.eptp,
        address,
        asWrite ? 'write' : 'read',
        this.physicalBits,
        second,
        sink ? (s) => sink.nested(s) : undefined,
        this.probing || write ? undefined : this.countNested,
      )
    ) {
      this.tableWrite = asWrite;
      this.copyFailure(second, true);
      return -1;
    }
    if (!this.probing && !this.setEptFlags(address, asWrite)) return -1;
    return this.memory.offsetOf(second.address);
  }
  /** EPT's accessed and dirty flags for the walk in `eptOut`, and the page-modification log. False: the log is full, and nothing was changed. */
  private setEptFlags(gpa: bigint, write: boolean): boolean {
    if (this.eptp?.accessedDirty !== true) return true;
    const { pml, eptOut } = this;
    const missing = pml ? eptFlagsMissing(write, eptOut) : 'none';
    if (missing !== 'none' && pml?.full === true) {
      this.pmlFull = true;
      return false;
    }
    this.counters.accessedDirtyWrites += updateEptAccessedDirty(this.memory, write, eptOut);
    if (missing === 'dirty') pml?.add(gpa);
    return true;
  }
  private copyFailure(from: WalkOut, onTableWalk: boolean): void {
    const f = from.failure();
    this.out.fail(f.table, f.reason, f.level, f.entry, f.address);
    this.out.onTableWalk = onTableWalk;
  }

  /** The walk of `linear` as it would go now, changing and counting nothing. The TLB is not consulted: see `tlb.peek` for what it would answer. */
  probeWalk(linear: bigint, access: Access, sink = new WalkSink()): Probe {
    const c = this.controls;
    const out = this.out;
    const guestLoads = this.guestLoads;
    this.probing = true;
    const ok = walkOrdinary(
      this,
      this.state.get(SLOT.CR3),
      c,
      linear,
      access,
      this.classOf(access) % 3 === WHO_SUPERVISOR_AC,
      out,
      sink,
      c.format === 'pae' ? this.pdptes() : undefined,
    );
    this.probing = false;
    this.guestLoads = guestLoads;
    const base = { steps: sink.steps, guestPageShift: ok ? out.pageShift : 12, eptPageShift: 12, eptRights: undefined };
    if (!ok) {
      // a denied access still has a translation: software can say where it would have gone
      return {
        ...base,
        ok: false,
        gpa: undefined,
        hpa: undefined,
        guestRights: undefined,
        finalSteps: sink.takeFinal(),
        references: WalkSink.references(sink.steps),
        failure: out.failure(),
      };
    }
    const guestRights: Rights = { r: true, w: out.writable, x: !(out.executeDisable && c.nxe), user: out.user };
    const gpa = out.address;
    if (!this.eptp) {
      return {
        ...base,
        ok: true,
        gpa: asGpa(gpa),
        hpa: asHpa(gpa),
        guestRights,
        finalSteps: [],
        references: WalkSink.references(sink.steps),
        failure: undefined,
      };
    }
    const second = this.eptOut;
    const good = walkEpt(this.memory, this.eptp, gpa, access.op, this.physicalBits, second, (s) => sink.nested(s));
    const finalSteps = sink.takeFinal();
    return {
      ...base,
      ok: good,
      gpa: asGpa(gpa),
      hpa: good ? asHpa(second.address) : undefined,
      guestRights,
      eptPageShift: good ? second.pageShift : 12,
      eptRights: { r: second.readable, w: second.writable, x: second.executable, user: true },
      finalSteps,
      references: WalkSink.references(sink.steps) + finalSteps.length,
      failure: good ? undefined : second.failure(),
    };
  }

  // ---- MemoryPort

  /** Linear addresses must be canonical for the current width; outside paging they are 32 bits wide in all modes we run without it. */
  private canonical(core: Core, linear: bigint, size: number): boolean {
    const format = this.controls.format;
    const width = format === 'none' ? 64 : FORMATS[format].linearBits;
    if (width <= 32 || width === 64) return true;
    if (isCanonical(linear, width) && isCanonical(BigInt.asUintN(64, linear + BigInt(size - 1)), width)) return true;
    core.raise(VECTOR.GP, 0);
    return false;
  }
  private nextPage(linear: bigint): bigint {
    const next = (linear & ~0xfffn) + 4096n;
    return this.controls.format === '4level' || this.controls.format === '5level'
      ? BigInt.asUintN(64, next)
      : next & 0xffff_ffffn;
  }

  load(core: Core, linear: bigint, size: number, access: Access, dst: number, intent: boolean): boolean {
    if (!this.canonical(core, linear, size)) return false;
    let cls = this.classOf(access);
    if (intent) cls += CLASS_WRITE - CLASS_READ;
    const first = this.translate(core, linear, cls);
    if (first < 0) return false;
    if (this.watch && access !== IMPLICIT_READ) this.watch.access(linear, size, false);
    const view = this.memory.view;
    const r32 = this.state.r32;
    const here = 4096 - Number(linear & 0xfffn);
    if (size <= here) {
      r32[dst * 2] =
        size === 1 ? view.getUint8(first) : size === 2 ? view.getUint16(first, true) : view.getInt32(first, true);
      r32[dst * 2 + 1] = size === 8 ? view.getInt32(first + 4, true) : 0;
      return true;
    }
    const second = this.translate(core, this.nextPage(linear), cls);
    if (second < 0) return false;
    let value = 0n;
    for (let i = size - 1; i >= 0; i--)
      value = (value << 8n) | BigInt(view.getUint8(i < here ? first + i : second + i - here));
    this.state.set(dst, value);
    return true;
  }

  store(core: Core, linear: bigint, size: number, access: Access, src: number): boolean {
    if (!this.canonical(core, linear, size)) return false;
    const cls = this.classOf(access);
    const first = this.translate(core, linear, cls);
    if (first < 0) return false;
    if (this.watch && access !== IMPLICIT_WRITE) this.watch.access(linear, size, true);
    const view = this.memory.view;
    const r32 = this.state.r32;
    const here = 4096 - Number(linear & 0xfffn);
    if (size <= here) {
      this.memory.noteWrite(first, size);
      const lo = r32[src * 2] as number;
      if (size === 1) view.setInt8(first, lo);
      else if (size === 2) view.setInt16(first, lo, true);
      else view.setInt32(first, lo, true);
      if (size === 8) view.setInt32(first + 4, r32[src * 2 + 1] as number, true);
      return true;
    }
    const second = this.translate(core, this.nextPage(linear), cls);
    if (second < 0) return false;
    this.memory.noteWrite(first, here);
    this.memory.noteWrite(second, size - here);
    let value = this.state.get(src);
    for (let i = 0; i < size; i++, value >>= 8n)
      view.setUint8(i < here ? first + i : second + i - here, Number(value & 0xffn));
    return true;
  }

  probe(core: Core, linear: bigint, size: number, access: Access): boolean {
    if (!this.canonical(core, linear, size)) return false;
    const cls = this.classOf(access);
    if (this.translate(core, linear, cls) < 0) return false;
    return Number(linear & 0xfffn) + size <= 4096 || this.translate(core, this.nextPage(linear), cls) >= 0;
  }

  readPhysical(core: Core, address: bigint): bigint | undefined {
    const at = this.locate(address, false, this.out, undefined);
    if (at >= 0) return this.memory.view.getBigUint64(at, true);
    this.walkFailed(core, address, ACCESS_OF_CLASS[CLASS_READ + WHO_SUPERVISOR] as Access);
    return undefined;
  }

  /** Offset of the code byte at `linear`, asking the TLB; −1 with `core.event` set. */
  fetch(core: Core, linear: bigint): number {
    if (!this.canonical(core, linear, 1)) return -1;
    return this.translate(core, linear, CLASS_FETCH + (this.state.cpl === 3 ? WHO_USER : WHO_SUPERVISOR));
  }

  save(): { readonly eptp: bigint | undefined; readonly vpid: number; readonly counters: CpuCounters } {
    return { eptp: this.eptp?.value, vpid: this.vpid, counters: { ...this.counters } };
  }
  /** The state's registers and the TLB are restored by their owners, before this. */
  restore(s: ReturnType<Mmu['save']>, eptp: Eptp | undefined, pml?: PmlLog): void {
    this.eptp = eptp;
    this.pml = pml;
    this.vpid = s.vpid;
    this.counters = { ...s.counters };
    this.controls = this.decode();
    this.rightsKey = -1;
    this.settleRights();
    this.updateContext();
  }

  /** Whether CR4.PGE is on: global entries exist. */
  get globals(): boolean {
    return bit(this.state.get(SLOT.CR4), CR4.PGE);
  }
}
