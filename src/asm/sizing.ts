import type { SizeFacts } from './instruction';
import type { Output } from './output';
import type { DataItem, Statement } from './statement';
import type { SymbolEntry, SymbolTable } from './symbols';

/** What a statement does in a sizing pass when nothing that decides its size has changed: it moves its label and takes its bytes. */
interface Settled {
  readonly section: number;
  /** Bytes. */
  readonly length: number;
  readonly label: SymbolEntry | undefined;
  /** Where a jump leads whose short form is in question, and whether that form reached. */
  readonly jump: { readonly target: SymbolEntry; readonly addend: number; readonly reached: boolean } | undefined;
}

/** Bytes of a jump with an 8-bit displacement. */
const SHORT_JUMP = 2;

/**
 * Jumps over jumps can take hundreds of passes to settle. Here a pass over statements of a known size is an addition each; the
 * statement is laid out in full again only where its jump's reach has changed.
 */
export class Sizing {
  private readonly settled: (Settled | undefined)[] = [];
  /** Statements that were laid out in full. */
  work = 0;

  constructor(
    private readonly output: Output,
    private readonly symbols: SymbolTable,
  ) {}

  /** Whether statement `i` was dealt with; where not, it is to be laid out in full. */
  pass(i: number): boolean {
    const known = this.settled[i];
    const { section, absolute } = this.output;
    if (known && absolute === undefined && section.id === known.section) {
      const { label, jump, length } = known;
      const at = section.offset;
      // its own label moves with it: a jump to itself always reaches
      const reaches = jump === undefined || this.reaches(jump, section.id, at, label);
      if (
        reaches &&
        this.output.canAdvance(length) &&
        (label === undefined || this.symbols.move(label, section.id, at))
      ) {
        section.offset = at + length;
        return true;
      }
    }
    this.work++;
    return false;
  }

  private reaches(
    { target, addend, reached }: NonNullable<Settled['jump']>,
    section: number,
    at: number,
    own: SymbolEntry | undefined,
  ): boolean {
    if (target.section === undefined) return false;
    const to = target === own ? at : target.offset;
    const delta = to + addend - (at + SHORT_JUMP);
    return (target.section === section && delta >= -128 && delta <= 127) === reached;
  }

  /** Notes what statement `i` came to, laid out in full from `start`. */
  note(i: number, s: Statement, start: number, facts: SizeFacts | undefined): void {
    this.settled[i] = this.settle(s, start, facts);
  }

  private settle(s: Statement, start: number, facts: SizeFacts | undefined): Settled | undefined {
    const { output, symbols } = this;
    const { section } = output;
    if (s.times !== undefined || output.absolute !== undefined || section.nobits) return undefined;
    const isSteady =
      s.body.kind === 'none' || (s.body.kind === 'data' && s.body.items.every(isSteadyItem)) || facts !== undefined;
    if (!isSteady) return undefined;
    const label = s.label && symbols.entry(s.label.name);
    if (s.label && label?.section !== section.id) return undefined;
    const target = facts?.jump && symbols.entry(facts.jump.symbol);
    if (facts?.jump && (target?.kind !== 'label' || target.section === undefined)) return undefined;
    const jump = facts?.jump && target && { target, addend: facts.jump.addend, reached: facts.jump.reached };
    return { section: section.id, length: section.offset - start, label, jump };
  }
}

/** Whether an item takes as many bytes whatever its value is. */
const isSteadyItem = (item: DataItem): boolean => item.kind !== 'repeat';
