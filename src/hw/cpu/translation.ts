import { bit } from '../../base/bits';
import { VECTOR } from '../../isa/exceptions';
import { CR4, RFLAGS } from '../../isa/flags';
import type { HostMemory } from '../memory/host-memory';
import {
  ACCESS_OF_CLASS,
  CLASS_FETCH,
  CLASS_READ,
  CLASS_WRITE,
  WHO_SUPERVISOR,
  WHO_SUPERVISOR_AC,
  WHO_USER,
  type Access,
} from '../paging/access';
import { decodeControls, FORMATS, type PagingControls, type PagingModel } from '../paging/controls';
import type { SecondLevelTables } from '../paging/second-level';
import { pageFaultErrorCode, pageFaultReason } from '../paging/page-fault';
import type { PhysicalPort } from '../paging/physical';
import { WalkSink } from '../paging/trace';
import type { WalkOut, WalkStart } from '../paging/walk-out';
import type { CpuState } from '../state/cpu-state';
import { SLOT } from '../state/layout';
import { NO_ENTRY, RIGHT, type Tlb } from '../tlb/tlb';
import { nestedPageFaultExit } from '../svm/npf-exit';
import { eptFaultExit } from '../vmx/ept-exit';
import { type PmlLog, pmlFullExit } from '../vmx/pml';
import type { Core } from './core';
import type { CpuCounters } from './counters';
import type { DebugUnit } from './debug-unit';
import { FastRights } from './fast-rights';
import { GuestWalk } from './guest-walk';
import type { Platform } from './platform';
import { probeWalk, type Probe } from './probe';

/** Instead of an offset: no RAM answers, but a device may. */
export const DEVICE = -2;
/** What a TLB entry has of the second level: taken away where the host took the memory behind it back. */
const SECOND_RIGHTS = RIGHT.EPT_R | RIGHT.EPT_W | RIGHT.EPT_X | RIGHT.EPT_D;

const OP_OF: Readonly<Record<Access['op'], number>> = { read: CLASS_READ, write: CLASS_WRITE, fetch: CLASS_FETCH };

/**
 * What a CPU's translations are and how long they last: TLB, then the walk of the guest's tables and the second level (nested-walk). Keeps both by the architecture's
 * invalidation rules, and turns a walk's failure into an event.
 */
export abstract class Translation {
  controls: PagingControls;
  private vpid = 0;
  protected readonly walk: GuestWalk;
  private readonly rights: FastRights;
  protected watch: DebugUnit | undefined;
  /** The physical address of the last access that came to a device. */
  protected deviceAddress = 0n;

  constructor(
    protected readonly state: CpuState,
    readonly memory: HostMemory,
    readonly tlb: Tlb,
    private readonly model: PagingModel,
    protected readonly platform?: Platform,
  ) {
    this.controls = this.decode();
    this.walk = new GuestWalk(state, memory, tlb, this.controls);
    this.walk.physical = platform?.physical;
    this.rights = new FastRights(tlb, this.controls);
    this.updateContext();
  }

  get counters(): CpuCounters {
    return this.walk.counters;
  }
  get secondLevel(): SecondLevelTables | undefined {
    return this.walk.secondLevel;
  }

  // ---- what translations depend on

  private decode(): PagingControls {
    const s = this.state;
    return decodeControls(s.get(SLOT.CR0), s.get(SLOT.CR4), s.get(SLOT.EFER), s.get32(SLOT.PKRU), this.model);
  }
  controlsChanged(): void {
    this.controls = this.decode();
    this.settleRights();
    this.updateContext();
    this.breakFetch();
  }
  /**
   * The second level of the guest entered, or none, and what tags its translations: VPID or ASID. With VPID 0, entries of VPID 0 do not survive VM entries and exits (SDM vol. 3,
   * 28.4.1); `tagged`: SVM's host, ASID 0, keeps its own.
   */
  setSecondLevel(tables: SecondLevelTables | undefined, tag: number, pml?: PmlLog, tagged = false): void {
    if (tag === 0 && !tagged) this.tlb.dropVpid0();
    this.walk.secondLevel = tables;
    this.walk.pml = pml;
    this.vpid = tag;
    this.controls = this.decode();
    // most VM exits run no code of the host's on this CPU: `settleRights` waits for the next run
    this.updateContext();
    this.breakFetch();
  }
  /** Due before instructions run after `setSecondLevel`. */
  settleRights(): void {
    this.rights.settle(this.controls);
  }
  private updateContext(): void {
    const pcid = this.controls.pcide ? Number(this.state.get(SLOT.CR3) & 0xfffn) : 0;
    this.tlb.setContext(this.vpid, pcid, this.walk.secondLevel?.root ?? 0n);
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
  /** INVEPT (SDM vol. 3, 30.3): 'single' drops what was derived from the EPTP's tables, 'all' from any. */
  invept(type: 'single' | 'all', eptp: bigint): void {
    const root = eptp & 0x000f_ffff_ffff_f000n;
    this.tlb.drop((c) => c.eptp !== 0n && (type === 'all' || c.eptp === root));
    this.breakFetch();
  }
  /** TLB_CONTROL and INVLPGA: by ASID (AMD APM vol. 2, 15.16). */
  flushAsid(asid: number, globals: boolean): void {
    this.tlb.drop((c) => c.vpid === asid && (globals || c.pcid !== -1));
    this.breakFetch();
  }
  flushAsidAddress(asid: number, linear: bigint): void {
    this.tlb.drop((c, e) => c.vpid === asid && this.inSamePage(e, linear));
    this.breakFetch();
  }
  flushAll(): void {
    this.tlb.flushAll();
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

  /** A page starts or ends to hold decoded blocks. */
  setCodePage(offset: number, code: boolean): void {
    this.tlb.setCodePage(offset, code, this.rights.wordOf);
  }
  /** Data breakpoints: whom to tell of data accesses. */
  setWatch(watch: DebugUnit | undefined): void {
    this.watch = watch;
    this.rights.watchData(watch !== undefined);
  }

  // ---- translation

  protected classOf(access: Access): number {
    const who = access.user
      ? WHO_USER
      : access.implicit || !this.state.systemFlag(RFLAGS.AC)
        ? WHO_SUPERVISOR
        : WHO_SUPERVISOR_AC;
    return OP_OF[access.op] + who;
  }

  /** Offset in the machine's memory of the byte at `linear`, or −1 with `core.event` set. */
  protected translate(core: Core, linear: bigint, cls: number): number {
    const tlb = this.tlb;
    const lo = Number(BigInt.asIntN(32, linear));
    const e = tlb.find(lo, Number(BigInt.asIntN(32, linear >> 32n)));
    if (e >= 0) {
      const rights = tlb.rightsOf(e) & ~RIGHT.CODE;
      if ((this.rights.allowed(rights, tlb.protectionKeyOf(e)) & (1 << cls)) !== 0) {
        tlb.hits++;
        return tlb.offsetOf(e) + (lo & 0xfff);
      }
      const { physical } = this.walk;
      if (physical && this.rights.allowed(rights | SECOND_RIGHTS, tlb.protectionKeyOf(e)) & (1 << cls))
        return this.findAgain(core, physical, e, cls, lo & 0xfff);
      // a right or the dirty flag is missing: the entry goes and the tables decide
      tlb.dropAt(e);
    }
    tlb.misses++;
    return this.walkAndFill(core, linear, cls);
  }

  /** The TLB's translation holds, and the memory behind it is to be found anew: the host moved it, or did not yet allow such an access. */
  private findAgain(core: Core, physical: PhysicalPort, e: number, cls: number, within: number): number {
    const { tlb, walk } = this;
    const address = tlb.gpaOf(e) + BigInt(within);
    const { op } = ACCESS_OF_CLASS[cls] as Access;
    const found = walk.findAgain(physical, address, op);
    if (!found && walk.secondOut.reason !== 'no-memory') return this.memoryAbsent(core, address, op);
    tlb.hits++;
    if (!found) return this.atDevice(address);
    const at = this.memory.offsetOf(walk.secondOut.address);
    let rights = (tlb.rightsOf(e) & ~(SECOND_RIGHTS | RIGHT.CODE)) | secondRights(walk.secondOut);
    if (this.memory.codeFrames[this.memory.frameOf(at)]) rights |= RIGHT.CODE;
    const fast = this.rights.wordOf(rights, tlb.protectionKeyOf(e));
    tlb.moveHost(e, walk.secondOut.address & ~0xfffn, at - (at & 0xfff), rights, fast);
    return at;
  }
  private atDevice(address: bigint): typeof DEVICE {
    this.deviceAddress = address;
    return DEVICE;
  }
  /** RAM that the host has to bring first; the access will be made again, and counts then. */
  protected memoryAbsent(core: Core, address: bigint, op: Access['op'], purpose?: 'table'): -1 {
    const about = purpose ?? (op === 'fetch' ? 'code' : undefined);
    const event = { kind: 'bus', space: 'memory', op: op === 'write' ? op : 'read', address, size: 1 } as const;
    core.event = about ? { ...event, purpose: about } : event;
    return -1;
  }
  /** The host changed what is behind guest physical pages that satisfy `which`: TLB entries forget where that was, and keep what the guest's tables said. Returns how many. */
  withdrawHost(which: (gpa: bigint) => boolean): number {
    this.breakFetch();
    return this.tlb.withdrawHost(which, SECOND_RIGHTS, this.rights.wordOf);
  }

  private walkAndFill(core: Core, linear: bigint, cls: number): number {
    const access = ACCESS_OF_CLASS[cls] as Access;
    const { out, secondOut: second } = this.walk;
    const c = this.controls;
    if (!this.walk.walk(c, linear, access, cls % 3 === WHO_SUPERVISOR_AC)) return this.walkFailed(core, linear, access);
    const gpa = out.address;
    const { device } = this.walk;
    const mapped = this.walk.secondLevel !== undefined || this.walk.physical !== undefined;
    const hpa = device ? 0n : mapped ? second.address : gpa;
    const at = device ? 0 : this.memory.offsetOf(hpa);
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
    let rights = device ? 0 : mapped ? secondRights(second) : SECOND_RIGHTS;
    rights |=
      c.format !== 'none'
        ? RIGHT.PAGED |
          (out.writable ? RIGHT.W : 0) |
          (out.user ? RIGHT.U : 0) |
          (out.executeDisable ? RIGHT.XD : 0) |
          (out.global ? RIGHT.G : 0) |
          (out.dirty ? RIGHT.D : 0)
        : RIGHT.W | RIGHT.U | RIGHT.D;
    if (!device && this.memory.codeFrames[this.memory.frameOf(at)]) rights |= RIGHT.CODE;
    this.tlb.fill(
      {
        linear: linear & ~0xfffn,
        gpa: gpa & ~0xfffn,
        hpa: hpa & ~0xfffn,
        offset: at - (at & 0xfff),
        rights,
        guestPageShift: out.pageShift,
        eptPageShift: mapped && !device ? second.pageShift : 12,
        protectionKey: out.protectionKey,
      },
      this.rights.wordOf(rights, out.protectionKey),
    );
    const levels = c.format === 'none' ? 0 : FORMATS[c.format].levels;
    this.platform?.lookedUp?.(linear, access, { kind: device ? 'device' : 'memory', gpa, levels });
    return device ? this.atDevice(gpa) : at;
  }

  /** Turns the failure in `out` into the architectural event. */
  protected walkFailed(core: Core, linear: bigint, access: Access): -1 {
    const { out, secondOut: second } = this.walk;
    if (this.walk.pmlFull) {
      this.walk.pmlFull = false;
      core.event = { kind: 'exit', exit: pmlFullExit() };
      return -1;
    }
    if (out.failedTable === 'host') {
      // it is the access after that which counts
      this.tlb.misses--;
      return out.onTableWalk
        ? this.memoryAbsent(core, out.failedAddress, this.walk.tableWrite ? 'write' : 'read', 'table')
        : this.memoryAbsent(core, out.failedAddress, access.op);
    }
    if (out.failedTable === 'npt') {
      const present = out.reason !== 'not-present';
      core.event = {
        kind: 'exit',
        exit: nestedPageFaultExit({
          tableWalk: out.onTableWalk,
          access: access.op,
          present,
          reserved: out.reason === 'reserved-bit' || out.reason === 'no-memory',
          gpa: out.failedAddress,
          noExecute: this.walk.secondLevel?.kind === 'npt' && this.walk.secondLevel.controls.nxe,
        }),
      };
      return -1;
    }
    if (out.failedTable === 'ept') {
      core.event = {
        kind: 'exit',
        exit: eptFaultExit({
          misconfiguration: out.reason === 'misconfiguration' || out.reason === 'no-memory',
          access: access.op,
          tableWalk: out.onTableWalk,
          tableWrite: out.onTableWalk && this.walk.tableWrite,
          gpa: out.failedAddress,
          linear,
          readable: second.readable,
          writable: second.writable,
          executable: second.executable,
          accessedDirty: this.walk.secondLevel?.accessedDirty === true,
        }),
      };
      return -1;
    }
    this.platform?.lookedUp?.(linear, access, { kind: 'fault' });
    if (out.reason === 'non-canonical') core.raise(VECTOR.GP, pageFaultReason(out, access, this.controls), 0);
    else if (out.reason === 'no-memory' && this.walk.physical === undefined)
      core.event = { kind: 'bus', space: 'memory', op: 'read', address: out.failedAddress, size: 8 };
    else
      core.event = {
        kind: 'fault',
        vector: VECTOR.PF,
        why: pageFaultReason(out, access, this.controls),
        errorCode: pageFaultErrorCode(out.reason, access, this.controls, out),
        cr2: linear,
        access: access.op,
      };
    return -1;
  }

  /** The walk of `linear` as it would go now, changing and counting nothing. `start`: an entry of the paging-structure caches to begin at. */
  probeWalk(linear: bigint, access: Access, sink = new WalkSink(), start?: WalkStart): Probe {
    const ac = this.classOf(access) % 3 === WHO_SUPERVISOR_AC;
    return probeWalk(this.walk, this.controls, linear, access, ac, sink, start);
  }

  /** Whether PAE paging's PDPTEs are loaded into registers with CR3: nested paging walks them instead. */
  get loadsPdptes(): boolean {
    return this.walk.secondLevel?.kind !== 'npt';
  }
  save(): { readonly tables: bigint | undefined; readonly vpid: number; readonly counters: CpuCounters } {
    return { tables: this.walk.secondLevel?.value, vpid: this.vpid, counters: { ...this.counters } };
  }
  /** The state's registers and the TLB are restored by their owners, before this. */
  restore(s: ReturnType<Translation['save']>, tables: SecondLevelTables | undefined, pml?: PmlLog): void {
    this.walk.secondLevel = tables;
    this.walk.pml = pml;
    this.vpid = s.vpid;
    this.walk.counters = { ...s.counters };
    this.controls = this.decode();
    this.rights.forget();
    this.settleRights();
    this.updateContext();
  }

  /** Whether CR4.PGE is on: global entries exist. */
  get globals(): boolean {
    return bit(this.state.get(SLOT.CR4), CR4.PGE);
  }
}

const secondRights = (second: WalkOut): number =>
  (second.readable ? RIGHT.EPT_R : 0) |
  (second.writable ? RIGHT.EPT_W : 0) |
  (second.executable ? RIGHT.EPT_X : 0) |
  (second.dirty ? RIGHT.EPT_D : 0);
