import { invariant } from '../../base/assert';
import type { HostMemory } from '../memory/host-memory';
import type { TlbContext } from './context';
import type { WalkCache, WalkCacheSnapshot } from './walk-cache';

/**
 * An entry is 16 words of 32 bits in the machine's memory, at these offsets:
 *
 *   PAGE     linear page number 31:0
 *   TAG      linear page number 51:32, context << 20
 *   FAST     fast word: one bit per access class (hw/paging/access) that needs no walk; 0 = invalid entry
 *   OFFSET   offset of the page in the machine's memory
 *   GPA      guest physical page address, 64 bits
 *   HPA      host physical page address, 64 bits
 *   RIGHTS   RIGHT below
 *   SIZES    log2 of the guest page size | log2 of the second level's page size << 8 | protection key << 16
 *   FILLED   sequence number of the fill (FIFO age)
 *   CONTEXT  context id
 */
const PAGE = 0;
const TAG = 1;
const FAST = 2;
const OFFSET = 3;
const GPA = 4;
const HPA = 6;
const RIGHTS = 8;
const SIZES = 9;
const FILLED = 10;
const CONTEXT = 11;
const ENTRY_WORDS = 16;
const TLB_AREA_OFFSET = 0x4_0000;
const TLB_AREA_SIZE = 0x1_0000;
export const MAX_TLB_ENTRIES = TLB_AREA_SIZE / (ENTRY_WORDS * 4);

/** Bits of an entry's RIGHTS: the guest translation's rights (ANDed over levels), then the second level's. */
export const RIGHT = {
  W: 1,
  U: 2,
  XD: 4,
  G: 8,
  D: 0x10,
  EPT_R: 0x20,
  EPT_W: 0x40,
  EPT_X: 0x80,
  EPT_D: 0x100,
  CODE: 0x200,
  PAGED: 0x400,
} as const;

/** One entry as a person reads it. */
export interface TlbEntryView extends TlbContext {
  readonly set: number;
  readonly way: number;
  readonly linear: bigint;
  readonly gpa: bigint;
  readonly hpa: bigint;
  readonly global: boolean;
  readonly writable: boolean;
  readonly user: boolean;
  readonly executable: boolean;
  readonly dirty: boolean;
  readonly eptRights: { readonly r: boolean; readonly w: boolean; readonly x: boolean };
  readonly guestPageShift: number;
  readonly eptPageShift: number;
  readonly protectionKey: number;
  /** 0 = newest fill. */
  readonly age: number;
}

/** What a walk hands over to be cached. */
export interface TlbFill {
  readonly linear: bigint;
  readonly gpa: bigint;
  readonly hpa: bigint;
  readonly offset: number;
  readonly rights: number;
  readonly guestPageShift: number;
  readonly eptPageShift: number;
  readonly protectionKey: number;
}

const MAX_CONTEXTS = 4095;

/**
 * The TLB of one CPU, functional rather than decorative: a stale entry stays and is used until something the architecture
 * says invalidates it. The micro-op runner's fast path reads these very words, so that what is displayed is what is used.
 * All entries map 4 KiB; a large page is cached as fragments that remember its size.
 */
export class Tlb {
  readonly words: Int32Array;
  /** Entries per set, and sets − 1. Zero ways: the TLB is off and every access walks. */
  readonly ways: number;
  readonly setMask: number;
  /** context << 20 of the current address space, and of its global entries. */
  tag = 0;
  globalTag = 0;
  hits = 0;
  misses = 0;
  private sequence = 0;
  private contexts: TlbContext[] = [{ vpid: 0, pcid: 0, eptp: 0n }];
  private contextIds = new Map<string, number>();
  /** Next way to replace, per set. */
  private readonly victims: Uint8Array;

  constructor(
    readonly memory: HostMemory,
    cpu: number,
    readonly entryCount: number,
    ways: number,
    /** Paging-structure caches: whatever is dropped here is dropped there. Absent: walks begin at the root. */
    readonly walkCache?: WalkCache,
  ) {
    this.ways = entryCount === 0 ? 0 : ways;
    const sets = this.ways === 0 ? 1 : entryCount / this.ways;
    invariant(Number.isInteger(sets) && (sets & (sets - 1)) === 0, 'the number of TLB sets is a power of two');
    invariant(entryCount <= MAX_TLB_ENTRIES, `at most ${MAX_TLB_ENTRIES} TLB entries`);
    this.setMask = sets - 1;
    this.words = new Int32Array(
      memory.buffer,
      TLB_AREA_OFFSET + cpu * TLB_AREA_SIZE,
      Math.max(1, entryCount) * ENTRY_WORDS,
    );
    this.victims = new Uint8Array(sets);
  }

  /** Word index of the entry for a linear address given as two 32-bit halves, whatever its rights; −1 on a miss. */
  find(lo: number, hi: number): number {
    const vpn = (lo >>> 12) | (hi << 20);
    const high = (hi >> 12) & 0xfffff;
    const words = this.words;
    let e = (vpn & this.setMask) * this.ways * ENTRY_WORDS;
    for (let way = 0; way < this.ways; way++, e += ENTRY_WORDS) {
      if (words[e + PAGE] === vpn && words[e + FAST] !== 0) {
        const tag = words[e + TAG] as number;
        if (tag === (high | this.tag) || tag === (high | this.globalTag)) return e;
      }
    }
    return -1;
  }

  /** Word index of an entry that allows an access of the class whose bit in the fast word is `bit` without a walk; −1 where there is none. */
  findFast(lo: number, hi: number, bit: number): number {
    const vpn = (lo >>> 12) | (hi << 20);
    const high = (hi >> 12) & 0xfffff;
    const words = this.words;
    let e = (vpn & this.setMask) * this.ways * ENTRY_WORDS;
    for (let way = 0; way < this.ways; way++, e += ENTRY_WORDS) {
      if (words[e + PAGE] === vpn && ((words[e + FAST] as number) & bit) !== 0) {
        const tag = words[e + TAG] as number;
        if (tag === (high | this.tag) || tag === (high | this.globalTag)) return e;
      }
    }
    return -1;
  }

  /** Makes `context` current; later look-ups see its entries and the global ones of its VPID and EPTP. */
  setContext(vpid: number, pcid: number, eptp: bigint): void {
    if (this.contexts.length + 2 > MAX_CONTEXTS) {
      this.flushAll();
      this.contexts = [{ vpid: 0, pcid: 0, eptp: 0n }];
      this.contextIds.clear();
    }
    this.tag = this.contextId(vpid, pcid, eptp) << 20;
    this.globalTag = this.contextId(vpid, -1, eptp) << 20;
  }
  /** What translations are cached under now. */
  get context(): TlbContext {
    return this.contexts[this.tag >>> 20] as TlbContext;
  }
  private contextId(vpid: number, pcid: number, eptp: bigint): number {
    const key = `${vpid}/${pcid}/${eptp}`;
    let id = this.contextIds.get(key);
    if (id === undefined) {
      id = this.contexts.length;
      this.contexts.push({ vpid, pcid, eptp });
      this.contextIds.set(key, id);
    }
    return id;
  }

  /** Caches a translation under the current context, replacing an older one of the same page or the set's oldest. `fast`: the FAST word. */
  fill(f: TlbFill, fast: number): void {
    if (this.ways === 0) return;
    const words = this.words;
    const lo = Number(f.linear & 0xffff_ffffn);
    const hi = Number((f.linear >> 32n) & 0xffff_ffffn);
    const vpn = (lo >>> 12) | (hi << 20) | 0;
    const set = vpn & this.setMask;
    const first = set * this.ways * ENTRY_WORDS;
    let e = this.find(lo, hi);
    for (let way = 0; e < 0 && way < this.ways; way++)
      if (words[first + way * ENTRY_WORDS + FAST] === 0) e = first + way * ENTRY_WORDS;
    if (e < 0) {
      const way = this.victims[set] as number;
      this.victims[set] = (way + 1) % this.ways;
      e = first + way * ENTRY_WORDS;
    }
    const tag = (f.rights & RIGHT.G) !== 0 ? this.globalTag : this.tag;
    this.vpid0Filled ||= this.contexts[tag >>> 20]?.vpid === 0;
    words[e + PAGE] = vpn;
    words[e + TAG] = ((hi >>> 12) & 0xfffff) | tag;
    words[e + FAST] = fast | VALID;
    words[e + OFFSET] = f.offset;
    put64(words, e + GPA, f.gpa);
    put64(words, e + HPA, f.hpa);
    words[e + RIGHTS] = f.rights;
    words[e + SIZES] = f.guestPageShift | (f.eptPageShift << 8) | (f.protectionKey << 16);
    words[e + FILLED] = ++this.sequence;
    words[e + CONTEXT] = tag >>> 20;
  }

  /** Recomputes the fast words of all entries: CR0.WP, CR4.SMEP/SMAP, EFER.NXE or PKRU changed, which bear on rights without dropping entries. */
  refreshFast(fastOf: (rights: number, protectionKey: number) => number): void {
    for (let e = 0; e < this.words.length; e += ENTRY_WORDS) {
      if (this.words[e + FAST] !== 0) this.words[e + FAST] = fastOf(this.rightsOf(e), this.protectionKeyOf(e)) | VALID;
    }
  }

  /** Marks or unmarks the entries of a physical page as holding decoded code, so that stores into it take the slow path. */
  setCodePage(offset: number, code: boolean, fastOf: (rights: number, protectionKey: number) => number): void {
    const words = this.words;
    for (let e = 0; e < words.length; e += ENTRY_WORDS) {
      if (words[e + FAST] !== 0 && this.offsetOf(e) === offset) {
        words[e + RIGHTS] = code
          ? (words[e + RIGHTS] as number) | RIGHT.CODE
          : (words[e + RIGHTS] as number) & ~RIGHT.CODE;
        words[e + FAST] = fastOf(this.rightsOf(e), this.protectionKeyOf(e)) | VALID;
      }
    }
  }

  /** Where the page behind the entry at word index e is now: another host page, or other rights of it. */
  moveHost(e: number, hpa: bigint, offset: number, rights: number, fast: number): void {
    const words = this.words;
    words[e + FAST] = fast | VALID;
    words[e + OFFSET] = offset;
    put64(words, e + HPA, hpa);
    words[e + RIGHTS] = rights;
  }
  /** Takes `taken` from the rights of the entries whose guest physical page satisfies `which`. Returns how many had any of them. */
  withdrawHost(
    which: (gpa: bigint) => boolean,
    taken: number,
    fastOf: (rights: number, protectionKey: number) => number,
  ): number {
    const words = this.words;
    let n = 0;
    for (let e = 0; e < words.length; e += ENTRY_WORDS) {
      const rights = words[e + RIGHTS] as number;
      if (words[e + FAST] === 0 || (rights & taken) === 0 || !which(this.gpaOf(e))) continue;
      words[e + RIGHTS] = rights & ~taken;
      words[e + FAST] = fastOf(rights & ~taken, this.protectionKeyOf(e)) | VALID;
      n++;
    }
    return n;
  }

  /** Drops what VPID 0 cached; nothing to do while it has cached nothing since the last time. */
  dropVpid0(): void {
    this.walkCache?.drop((c) => c.vpid === 0);
    if (!this.vpid0Filled) return;
    this.vpid0Filled = false;
    this.drop((c) => c.vpid === 0);
  }
  private vpid0Filled = true;
  dropAt(e: number): void {
    this.words[e + FAST] = 0;
  }
  flushAll(): void {
    this.walkCache?.drop(() => true);
    this.words.fill(0);
    this.victims.fill(0);
  }
  /**
   * Drops the entries whose context satisfies `which` (global entries have pcid −1). For paging-structure caches the entry is NO_ENTRY: what invalidates a page of a
   * context invalidates all of these of the context (SDM vol. 3, 4.10.4.1). Returns how many translations went.
   */
  drop(which: (c: TlbContext, entry: number) => boolean): number {
    this.walkCache?.drop((c) => which(c, NO_ENTRY));
    let n = 0;
    for (let e = 0; e < this.words.length; e += ENTRY_WORDS) {
      if (this.words[e + FAST] !== 0 && which(this.contexts[this.words[e + CONTEXT] as number] as TlbContext, e)) {
        this.words[e + FAST] = 0;
        n++;
      }
    }
    return n;
  }

  /** Linear address of the page of the entry at word index e. */
  linearOf(e: number): bigint {
    const vpn =
      BigInt((this.words[e + PAGE] as number) >>> 0) | (BigInt((this.words[e + TAG] as number) & 0xfffff) << 32n);
    return BigInt.asUintN(64, BigInt.asIntN(64, vpn << 12n));
  }
  guestPageShiftOf(e: number): number {
    return (this.words[e + SIZES] as number) & 0xff;
  }
  /** RIGHT bits. */
  rightsOf(e: number): number {
    return this.words[e + RIGHTS] as number;
  }
  protectionKeyOf(e: number): number {
    return (this.words[e + SIZES] as number) >>> 16;
  }
  /** Offset of its page in the machine's memory. */
  offsetOf(e: number): number {
    return (this.words[e + OFFSET] as number) >>> 0;
  }
  gpaOf(e: number): bigint {
    return get64(this.words, e + GPA);
  }
  hpaOf(e: number): bigint {
    return get64(this.words, e + HPA);
  }

  /** All valid entries, by set and way. */
  entries(): TlbEntryView[] {
    const out: TlbEntryView[] = [];
    for (let e = 0; e < this.words.length && this.ways > 0; e += ENTRY_WORDS)
      if (this.words[e + FAST] !== 0) out.push(this.view(e));
    return out;
  }
  /** The entry that a look-up of `linear` in the current context would use, if any. Changes nothing. */
  peek(linear: bigint): TlbEntryView | undefined {
    const e = this.find(Number(BigInt.asIntN(32, linear)), Number(BigInt.asIntN(32, linear >> 32n)));
    return e < 0 ? undefined : this.view(e);
  }
  private view(e: number): TlbEntryView {
    const w = this.words;
    const rights = this.rightsOf(e);
    const index = e / ENTRY_WORDS;
    const context = this.contexts[w[e + CONTEXT] as number] as TlbContext;
    return {
      ...context,
      set: Math.floor(index / this.ways),
      way: index % this.ways,
      linear: this.linearOf(e),
      gpa: this.gpaOf(e),
      hpa: this.hpaOf(e),
      global: (rights & RIGHT.G) !== 0,
      writable: (rights & RIGHT.W) !== 0,
      user: (rights & RIGHT.U) !== 0,
      executable: (rights & RIGHT.XD) === 0,
      dirty: (rights & RIGHT.D) !== 0,
      eptRights: { r: (rights & RIGHT.EPT_R) !== 0, w: (rights & RIGHT.EPT_W) !== 0, x: (rights & RIGHT.EPT_X) !== 0 },
      guestPageShift: this.guestPageShiftOf(e),
      eptPageShift: ((w[e + SIZES] as number) >> 8) & 0xff,
      protectionKey: this.protectionKeyOf(e),
      age: this.sequence - (w[e + FILLED] as number),
    };
  }

  save(): TlbSnapshot {
    return {
      words: this.words.slice(),
      victims: this.victims.slice(),
      contexts: this.contexts.slice(),
      sequence: this.sequence,
      hits: this.hits,
      misses: this.misses,
      walkCache: this.walkCache?.save(),
    };
  }
  /** The address space that is loaded follows from the controls: `setContext` comes after this. */
  restore(s: TlbSnapshot): void {
    this.words.set(s.words);
    this.vpid0Filled = true;
    this.victims.set(s.victims);
    this.contexts = s.contexts.slice();
    this.contextIds = new Map(s.contexts.map((c, i) => [`${c.vpid}/${c.pcid}/${c.eptp}`, i]));
    this.sequence = s.sequence;
    this.hits = s.hits;
    this.misses = s.misses;
    if (s.walkCache) this.walkCache?.restore(s.walkCache);
  }
}

export interface TlbSnapshot {
  readonly words: Int32Array;
  readonly victims: Uint8Array;
  readonly contexts: readonly TlbContext[];
  readonly sequence: number;
  readonly hits: number;
  readonly misses: number;
  readonly walkCache: WalkCacheSnapshot | undefined;
}

/** Stands for an entry of the paging-structure caches where a TLB entry is asked about. */
export const NO_ENTRY = -1;

/** Bit of the fast word that says "valid" where no access class is fast. */
const VALID = 1 << 16;

function put64(words: Int32Array, at: number, v: bigint): void {
  words[at] = Number(BigInt.asIntN(32, v));
  words[at + 1] = Number(BigInt.asIntN(32, v >> 32n));
}
function get64(words: Int32Array, at: number): bigint {
  return (BigInt((words[at + 1] as number) >>> 0) << 32n) | BigInt((words[at] as number) >>> 0);
}
