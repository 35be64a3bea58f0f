import type { WalkStart } from '../paging/walk-out';
import type { TlbContext } from './context';

interface Cached extends WalkStart {
  readonly context: TlbContext;
}

/** One entry as a person reads it. */
export interface WalkCacheView extends TlbContext {
  /** 2 = PDE cache, 3 = PDPTE cache, 4 = PML4 cache, 5 = PML5 cache. */
  readonly level: number;
  /** First linear address that it is used for. */
  readonly linear: bigint;
  readonly table: bigint;
  /** Offset of that table in the machine's memory. */
  readonly offset: number;
  readonly writable: boolean;
  readonly user: boolean;
  readonly executeDisable: boolean;
}

/** Entries per cache. Real sizes are not documented; these are small, and smaller towards the root, as measured on Intel processors. */
const SIZES: Readonly<Record<number, number>> = { 2: 32, 3: 8, 4: 4, 5: 2 };
const TOP = 5;

/**
 * Paging-structure caches (SDM vol. 3, 4.10.3 and, with EPT, the combined ones of 28.4.1): entries that lead to another table, by the part of the linear address above it.
 * Like the TLB they are functional: what they hold is used until something the architecture says invalidates it. An entry knows where the next table lies in host
 * memory, so that a walk from it needs no second-level walk for that table.
 */
export class WalkCache {
  private readonly levels = new Map<number, Map<string, Cached>>();
  /** Walks that began at a cached entry. */
  hits = 0;

  private static key(shift: number, linear: bigint, context: TlbContext): string {
    return `${linear >> BigInt(shift)}/${context.vpid}/${context.pcid}/${context.eptp}`;
  }

  /** The lowest table that a cached entry leads to for `linear`. `shiftOf`: log2 of what an entry of a level spans; `root`: level of the root table. */
  find(linear: bigint, context: TlbContext, root: number, shiftOf: (level: number) => number): WalkStart | undefined {
    const found = this.peek(linear, context, root, shiftOf);
    if (found) this.hits++;
    return found;
  }
  /** What `find` would give, counting nothing. */
  peek(linear: bigint, context: TlbContext, root: number, shiftOf: (level: number) => number): WalkStart | undefined {
    for (let level = 2; level <= root; level++) {
      const found = this.levels.get(level)?.get(WalkCache.key(shiftOf(level), linear, context));
      if (found) return found;
    }
    return undefined;
  }

  /** Keeps the entry of `level` on the way to `linear`, in place of the oldest one where the cache is full. */
  fill(level: number, shift: number, linear: bigint, context: TlbContext, to: Omit<WalkStart, 'level'>): void {
    let cache = this.levels.get(level);
    if (!cache) this.levels.set(level, (cache = new Map<string, Cached>()));
    const key = WalkCache.key(shift, linear, context);
    if (!cache.has(key) && cache.size >= (SIZES[level] ?? 0))
      for (const oldest of cache.keys()) {
        cache.delete(oldest);
        break;
      }
    cache.set(key, { ...to, level: level - 1, context });
  }

  drop(which: (context: TlbContext) => boolean): void {
    for (const cache of this.levels.values()) for (const [key, e] of cache) if (which(e.context)) cache.delete(key);
  }

  /** All entries, by level. `shiftOf` as in `find`. */
  entries(shiftOf: (level: number) => number): WalkCacheView[] {
    const out: WalkCacheView[] = [];
    for (let level = 2; level <= TOP; level++) {
      for (const [key, e] of this.levels.get(level) ?? []) {
        const { table, offset, writable, user, executeDisable, context } = e;
        out.push({
          ...context,
          level,
          linear: BigInt.asUintN(64, BigInt(key.slice(0, key.indexOf('/'))) << BigInt(shiftOf(level))),
          table,
          offset,
          writable,
          user,
          executeDisable,
        });
      }
    }
    return out;
  }

  save(): WalkCacheSnapshot {
    return { levels: [...this.levels].map(([level, cache]) => [level, [...cache]]), hits: this.hits };
  }
  restore(s: WalkCacheSnapshot): void {
    this.levels.clear();
    for (const [level, cache] of s.levels) this.levels.set(level, new Map(cache));
    this.hits = s.hits;
  }
}

export interface WalkCacheSnapshot {
  readonly levels: readonly (readonly [number, readonly (readonly [string, Cached])[]])[];
  readonly hits: number;
}
