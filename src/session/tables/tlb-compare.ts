/**
 * Cached translations against the tables in memory as they are now. Tables are read by the hardware's own walker, through the memslots, so that looking fills, counts and faults
 * nothing.
 */
import { hex } from '../../base/hex';
import type { Access } from '../../hw/paging/access';
import { FORMATS, levelShift, type PagingFormat } from '../../hw/paging/controls';
import { translateSecondLevel } from '../../hw/paging/second-level';
import { OrdinaryWalk, walkOrdinary, type OrdinaryTables } from '../../hw/paging/ordinary';
import type { WalkFailure } from '../../hw/paging/trace';
import { WalkOut } from '../../hw/paging/walk-out';
import type { TlbContext } from '../../hw/tlb/context';
import type { TlbEntryView } from '../../hw/tlb/tlb';
import type { WalkCacheView } from '../../hw/tlb/walk-cache';
import { FRAME_MASK, PTE_P, PTE_PS, PTE_RW, PTE_US, PTE_XD } from '../../isa/entries';
import { SoftwareEntryPort } from '../translate/guest-physical';
import { guestAdvice, hypervisorAdvice, type Advice } from './invalidation';
import { shadowTables } from './shadow-tables';
import type { CachedTables, TlbEntryState, TlbStaleness, TlbTags, WalkCacheState } from './tlb-state';
import type { Translator } from '../translate/translator';

/** Supervisor, data, nothing written: rights are compared, not asked for. */
const ANYONE: Access = { op: 'read', user: false, implicit: false };

/** Compares cached translations with the tables of one moment. */
export class TlbComparison {
  private readonly tables: OrdinaryTables | undefined;
  private readonly out = new WalkOut();
  private readonly pcid: number;
  private readonly root: bigint;

  constructor(private readonly g: Translator) {
    this.tables = g.shadow
      ? shadowTables(g, g.shadow)
      : { port: new SoftwareEntryPort(g.physical), root: g.cr3, controls: g.controls, pdptes: g.pdptes };
    this.pcid = g.controls.pcide ? Number(g.cr3 & 0xfffn) : 0;
    this.root = g.nested?.root ?? 0n;
  }

  /** Of the tables that the CPU walks first. */
  get format(): PagingFormat {
    return this.tables?.controls.format ?? 'none';
  }

  entry(e: TlbEntryView): TlbEntryState {
    const mine = e.vpid === this.g.vpid && e.eptp === this.root;
    const loaded = e.global || e.pcid === this.pcid;
    const compared = !mine ? 'nothing' : loaded ? 'all' : 'second-level';
    const stale = !mine ? undefined : ((loaded ? this.firstLevel(e) : undefined) ?? this.secondLevel(e));
    return {
      set: e.set,
      way: e.way,
      linear: e.linear,
      gpa: e.gpa,
      hpa: e.hpa,
      tags: this.tags(e),
      current: mine && loaded,
      guestPageSize: 2 ** e.guestPageShift,
      secondPageSize: 2 ** e.eptPageShift,
      rights: { r: true, w: e.writable, x: e.executable, user: e.user },
      secondRights: e.eptRights,
      dirty: e.dirty,
      protectionKey: e.protectionKey,
      age: e.age,
      drops: this.guests(e).advice,
      compared,
      ...(stale ? { stale } : {}),
    };
  }

  cached(e: WalkCacheView): WalkCacheState {
    const current = e.vpid === this.g.vpid && e.eptp === this.root && e.pcid === this.pcid;
    const stale = current ? this.table(e) : undefined;
    return {
      level: e.level,
      linear: e.linear,
      size: this.format === 'none' ? 0n : 1n << BigInt(levelShift(this.format, e.level)),
      table: e.table,
      tableHpa: this.g.physical.memory.hpaOf(e.offset),
      tags: this.tags(e),
      current,
      writable: e.writable,
      user: e.user,
      executeDisable: e.executeDisable,
      ...(stale ? { stale } : {}),
    };
  }

  private tags(c: TlbContext): TlbTags {
    return {
      vpid: c.vpid,
      pcid: c.pcid < 0 ? null : c.pcid,
      ...(c.eptp === 0n ? {} : { eptp: c.eptp }),
      ...(this.g.nested?.kind === 'npt' ? { asid: c.vpid } : {}),
    };
  }

  /** The guest's tables, or the shadow's where the CPU walks those. */
  private firstLevel(e: TlbEntryView): TlbStaleness | undefined {
    if (!this.tables) return undefined;
    const { out, g } = this;
    const missing = this.walk(this.tables, e.linear, out);
    // the table's page is not there to be read: nothing can be said
    if (missing === 'no-memory') return undefined;
    // without paging a physical address is 32 bits of the linear one, and everything is allowed
    const difference =
      missing !== undefined
        ? ({ kind: 'absent', why: `${this.whose} have no translation of ${hex(e.linear)} any more` } as const)
        : out.address !== e.gpa
          ? ({
              kind: 'elsewhere',
              now: out.address,
              why: `${this.whose} lead to ${g.shadow ? 'HPA' : 'GPA'} ${hex(out.address)} now, the entry to ${hex(e.gpa)}`,
            } as const)
          : this.format === 'none'
            ? undefined
            : this.narrowed(e, out);
    return difference && this.staleFirst(e, difference);
  }
  private get whose(): string {
    return this.g.shadow ? 'the shadow tables' : "the guest's tables";
  }

  private narrowed(e: TlbEntryView, out: WalkOut): Pick<TlbStaleness, 'kind' | 'now' | 'why'> | undefined {
    const nxe = this.tables?.controls.nxe === true;
    const lost = [
      e.writable && !out.writable ? 'writing' : '',
      e.user && !out.user ? 'user access' : '',
      e.executable && out.executeDisable && nxe ? 'execution' : '',
    ].filter((t) => t !== '');
    const now = out.address;
    if (lost.length > 0)
      return { kind: 'wider', now, why: `${this.whose} no longer allow ${lost.join(' or ')}; the entry does` };
    if (e.dirty && !out.dirty)
      return { kind: 'dirty', now, why: 'the dirty flag was cleared: a write through the entry does not set it again' };
    return undefined;
  }

  /** Shadow tables follow the guest's: where the guest's own have changed too, it is the guest that has not flushed. */
  private staleFirst(e: TlbEntryView, d: Pick<TlbStaleness, 'kind' | 'now' | 'why'>): TlbStaleness {
    const { g } = this;
    const { guest: flushGuest, second } = g.flushDue;
    const kvms = g.shadow !== undefined && second;
    const guestMoved = !kvms && (!g.shadow || this.guestMoved(e));
    const where = guestMoved ? 'guest' : 'shadow';
    const requested = flushGuest || kvms;
    return { ...d, where, ...(guestMoved ? this.guests(e) : this.hypervisors('shadow')), requested };
  }
  private guestMoved(e: TlbEntryView): boolean {
    const { g } = this;
    const own: OrdinaryTables = {
      port: new SoftwareEntryPort(g.physical),
      root: g.cr3,
      controls: g.controls,
      pdptes: g.pdptes,
    };
    const out = new WalkOut();
    const missing = this.walk(own, e.linear, out);
    if (missing === 'no-memory') return false;
    if (missing !== undefined || (e.writable && !out.writable)) return true;
    const at = g.physical.hpaOf(out.address);
    return at !== undefined && at !== e.hpa;
  }

  private guests(e: { readonly pcid: number }): Advice {
    const { vpid, controls, hasInvpcid } = this.g;
    return guestAdvice(e.pcid, { vpid, pcide: controls.pcide, invpcid: hasInvpcid, pcid: this.pcid });
  }
  private hypervisors(where: Exclude<CachedTables, 'guest'>): Advice {
    return hypervisorAdvice(where, this.g.vpid);
  }

  private secondLevel(e: TlbEntryView): TlbStaleness | undefined {
    const { g } = this;
    if (!g.nested) return undefined;
    const name = g.nested.kind === 'ept' ? 'EPT' : 'NPT';
    const where = g.nested.kind;
    const { memory } = g.physical;
    const { ok, out } = translateSecondLevel({ memory, tables: g.nested, physicalBits: g.physicalBits }, e.gpa, 'read');
    const gone = !ok && out.reason !== 'not-readable';
    const stale = (kind: TlbStaleness['kind'], why: string, now?: bigint): TlbStaleness => ({
      kind,
      where,
      why,
      ...this.hypervisors(where),
      requested: g.flushDue.second,
      ...(now === undefined ? {} : { now }),
    });
    if (gone) return stale('absent', `the ${name} has no entry for GPA ${hex(e.gpa)} any more`);
    if (out.address !== e.hpa)
      return stale(
        'elsewhere',
        `the ${name} leads to HPA ${hex(out.address)} now, the entry to ${hex(e.hpa)}`,
        out.address,
      );
    const lost = [
      e.eptRights.r && !out.readable ? 'reading' : '',
      e.eptRights.w && !out.writable ? 'writing' : '',
      e.eptRights.x && !out.executable ? 'execution' : '',
    ].filter((t) => t !== '');
    return lost.length > 0
      ? stale('wider', `the ${name} no longer allows ${lost.join(' or ')}; the entry does`, out.address)
      : undefined;
  }

  /** An entry of the paging-structure caches against the entry of its level in memory. */
  private table(e: WalkCacheView): TlbStaleness | undefined {
    const { tables, out, g } = this;
    if (!tables || tables.controls.format === 'none') return undefined;
    const { format } = tables.controls;
    const top = format === 'pae' ? 2 : FORMATS[format].levels;
    this.walk(tables, e.linear, out);
    const depth = top - e.level;
    const entries = Array.from(out.entries.subarray(0, Math.min(out.depth, depth + 1)));
    const last = entries[depth];
    // the walk could not read so far down: a table's page is out
    if (last === undefined && out.reason === 'no-memory') return undefined;
    const stale = (kind: TlbStaleness['kind'], why: string, now?: bigint): TlbStaleness => ({
      kind,
      why,
      where: g.shadow ? 'shadow' : 'guest',
      ...(g.shadow ? this.hypervisors('shadow') : this.guests(e)),
      requested: g.flushDue.guest,
      ...(now === undefined ? {} : { now }),
    });
    if (last === undefined || (last & PTE_P) === 0n || (e.level <= 3 && (last & PTE_PS) !== 0n))
      return stale('absent', `no table hangs below that entry of level ${e.level} any more`);
    const table = format === '32bit' ? last & 0xffff_f000n : last & FRAME_MASK;
    if (table !== e.table) return stale('elsewhere', `the entry of level ${e.level} leads to ${hex(table)} now`, table);
    const every = (bit: bigint): boolean => entries.every((x) => (x & bit) !== 0n);
    const denied = format !== '32bit' && entries.some((x) => (x & PTE_XD) !== 0n);
    if ((e.writable && !every(PTE_RW)) || (e.user && !every(PTE_US)) || (!e.executeDisable && denied))
      return stale('wider', `the entries down to level ${e.level} allow less now`);
    const at = g.shadow ? e.offset : g.physical.offsetOf(e.table);
    if (at >= 0 && at !== e.offset)
      return {
        kind: 'elsewhere',
        why: `the table's page is at HPA ${hex(g.physical.memory.hpaOf(at))} now`,
        where: g.nested?.kind ?? 'ept',
        requested: g.flushDue.second,
        ...this.hypervisors(g.nested?.kind ?? 'ept'),
      };
    return undefined;
  }

  /** Walks; undefined: there is a translation, whatever it allows. Otherwise why there is none. */
  private walk(t: OrdinaryTables, linear: bigint, out: WalkOut): WalkFailure['reason'] | undefined {
    if (walkOrdinary(new OrdinaryWalk(t, out), linear, ANYONE, true)) return undefined;
    switch (out.reason) {
      case 'not-present':
      case 'reserved-bit':
      case 'no-memory':
      case 'non-canonical':
        return out.reason;
      default:
        return undefined;
    }
  }
}
