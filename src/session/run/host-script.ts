/** The directives of a guest file that act when the guest reaches their lines: `; @host`, and the checks. */
import type { Span } from '../../base/diagnostic';
import { hex } from '../../base/hex';
import type { Result } from '../../base/result';
import { err } from '../../base/result';
import type { Due } from './checks';
import type { GuestView } from '../guest/view';
import type { HostCommand } from '../console/host-commands';
import type { HostEvents } from '../console/host-events';
import type { SymbolTable } from '../guest/symbols';
import type { Output, StopInfo } from '../types';

/** `; @host swap-out 0x5000` at a line: done before the first instruction on that line, or behind it, runs. */
export interface HostDirective {
  readonly text: string;
  readonly command: HostCommand;
  readonly span: Span;
}

/** What came of a directive that the guest reached. */
export interface HostOutcome {
  readonly file: string;
  readonly line: number;
  readonly text: string;
  readonly ok: boolean;
  /** One sentence; where it was not done, why. */
  readonly outcome: string;
  /** Guest instructions before it. */
  readonly instructions: number;
}

/** A directive in a loop is carried out each time; so many outcomes are kept. */
const MOST_OUTCOMES = 1000;

export class HostScript {
  /** In order, the first MOST_OUTCOMES. */
  readonly outcomes: HostOutcome[] = [];
  private readonly byAddress = new Map<bigint, (HostDirective | Due)[]>();
  /** Where and when directives were carried out last: an instruction that runs again after an exit is reached once. */
  private last: { readonly linear: bigint; readonly retired: number } | undefined;

  constructor(
    directives: readonly HostDirective[],
    checks: readonly Due[],
    private readonly places: readonly { readonly hva: bigint; readonly span: Span }[],
    symbols: SymbolTable,
    private readonly guest: GuestView,
    private readonly events: HostEvents,
    private readonly output: (o: Output) => void,
  ) {
    for (const d of [...directives, ...checks].sort((a, b) => a.span.start.line - b.span.start.line)) {
      const at = symbols.codeAt(d.span.file, d.span.start.line)?.address;
      if (at !== undefined) this.byAddress.set(at, [...(this.byAddress.get(at) ?? []), d]);
    }
  }

  /** At the end of the run: frames of `@host place` that no page got. */
  finish(): void {
    for (const { page, frame, why } of this.events.unplaced()) {
      const span = this.places.find((p) => p.hva >> 12n === page >> 12n)?.span;
      if (span) this.tell(`place ${hex(page)} ${hex(frame)}`, span, err(why));
    }
  }

  /** Where the CPU must stop for them. */
  get addresses(): Iterable<bigint> {
    return this.byAddress.keys();
  }

  /**
   * To be called wherever the guest stands between two instructions.
   * @returns the stop that a check asks for
   */
  arrive(): StopInfo | undefined {
    if (this.byAddress.size === 0) return undefined;
    const linear = this.guest.linearRip;
    const due = this.byAddress.get(linear);
    const { retired } = this.guest;
    if (!due || (this.last?.linear === linear && this.last.retired === retired)) return undefined;
    this.last = { linear, retired };
    let stop: StopInfo | undefined;
    for (const d of due) {
      if ('act' in d) {
        stop = d.act() ?? stop;
        continue;
      }
      this.tell(d.text, d.span, this.events.do(d.command).outcome);
    }
    return stop;
  }

  private tell(what: string, span: Span, outcome: Result<string, string>): void {
    const words = outcome.ok ? outcome.value : outcome.error;
    const text = `@host ${what}: ${outcome.ok ? '' : 'cannot be done: '}${words}\n`;
    const location = { file: span.file, line: span.start.line };
    this.output({ channel: 'log', text, location });
    if (this.outcomes.length >= MOST_OUTCOMES) return;
    const { retired } = this.guest;
    this.outcomes.push({ ...location, text: what, ok: outcome.ok, outcome: words, instructions: retired });
  }
}
