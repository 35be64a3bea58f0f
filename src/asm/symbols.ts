import type { Span } from '../base/diagnostic';
import type { Value } from './value';
import { UNKNOWN } from './value';

export interface SymbolEntry {
  readonly name: string;
  readonly span: Span;
  readonly kind: 'label' | 'constant';
  value: Value;
  /** The pass that last defined it. */
  pass: number;
  section: number | undefined;
  /** Where a label stands in its section. */
  offset: number;
  followedBy: 'code' | 'data' | undefined;
}

/** Labels and constants, with the values of the previous pass until the current pass defines them again. */
export class SymbolTable {
  private readonly entries = new Map<string, SymbolEntry>();
  private pass = 0;
  /** Names that the source declares `extern`. */
  readonly externals = new Set<string>();
  /** Whether a value moved in this pass: then another pass is needed. */
  moved = false;

  beginPass(): void {
    this.pass++;
    this.moved = false;
  }

  /** Whether symbols defined later are known: this is not the first pass. */
  get isLater(): boolean {
    return this.pass > 1;
  }

  /** In the first pass an unseen name may still come; later it is undefined. */
  lookup(name: string): Value | undefined {
    const e = this.entries.get(name);
    if (e) return e.value;
    return this.pass === 1 ? UNKNOWN : undefined;
  }

  /** @returns the earlier definition where the name is defined twice in one pass */
  define(
    name: string,
    kind: 'label' | 'constant',
    value: Value,
    span: Span,
    section: number | undefined,
  ): SymbolEntry | { duplicate: SymbolEntry } {
    const old = this.entries.get(name);
    if (!old) {
      const e: SymbolEntry = {
        name,
        span,
        kind,
        value,
        pass: this.pass,
        section,
        offset: Number(value.number),
        followedBy: undefined,
      };
      this.entries.set(name, e);
      this.moved = true;
      return e;
    }
    // As in NASM, a constant may be given the same value again.
    if (old.pass === this.pass && kind === 'constant' && old.kind === 'constant' && sameValue(old.value, value))
      return old;
    if (old.pass === this.pass) return { duplicate: old };
    if (!sameValue(old.value, value)) this.moved = true;
    old.value = value;
    old.pass = this.pass;
    old.section = section;
    old.offset = Number(value.number);
    return old;
  }

  /** Confirms a label that stands where it stood in the pass before; the common case, which allocates nothing. */
  confirm(name: string, section: number, offset: number): SymbolEntry | undefined {
    const e = this.entries.get(name);
    if (!e || e.pass === this.pass || e.section !== section || e.offset !== offset) return undefined;
    e.pass = this.pass;
    return e;
  }

  entry(name: string): SymbolEntry | undefined {
    return this.entries.get(name);
  }

  /**
   * Redefines a label of the previous pass, at `offset` of its section. @returns false if this pass has already
   * defined it
   */
  move(e: SymbolEntry, section: number, offset: number): boolean {
    if (e.pass === this.pass || e.kind !== 'label' || e.section !== section) return false;
    e.pass = this.pass;
    if (e.offset === offset) return true;
    this.moved = true;
    e.offset = offset;
    e.value = { number: BigInt(offset), terms: e.value.terms, unknown: false };
    return true;
  }

  all(): readonly SymbolEntry[] {
    return [...this.entries.values()].filter((e) => e.pass === this.pass);
  }
}

function sameValue(a: Value, b: Value): boolean {
  if (a.number !== b.number || a.unknown !== b.unknown || a.terms.length !== b.terms.length) return false;
  return a.terms.every((t, i) => {
    const u = b.terms[i];
    return (
      u !== undefined && t.kind === 'section' && u.kind === 'section' && t.section === u.section && t.times === u.times
    );
  });
}
