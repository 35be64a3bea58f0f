import type { DiagnosticSink } from './diagnostics';
import type { LogicalLine, Token } from './lexer';
import { lineSpan } from './lexer';
import { spell } from './token-text';

/** Where lines are shown: of a macro's expansion its outermost call. */
export interface Site {
  readonly file: string;
  readonly line: number;
  readonly column: number;
}

/** What `%line` says of the lines that follow it: shown as `file`, counted from `line` in steps of `step`. */
interface Renumbering {
  readonly file: string;
  readonly line: number;
  readonly step: number;
  readonly from: number;
}

/** Lines as `%line` numbers them (NASM manual, 4.10.1); an included file begins with numbers of its own. */
export class LineNumbers {
  private renumbered: Renumbering | undefined;

  constructor(private readonly sink: DiagnosticSink) {}

  placeOf(line: LogicalLine, first: Token): Site {
    const r = this.renumbered;
    if (r === undefined) return { file: line.file, line: line.line, column: first.column };
    return { file: r.file, line: r.line + (line.line - r.from - 1) * r.step, column: first.column };
  }

  /** `%line 10+1 other.asm`: the next line is line 10 of other.asm. */
  renumber(rest: readonly Token[], line: LogicalLine): void {
    const m = /^(\d+)(?:\+(\d+))?(.*)$/.exec(spell(rest));
    if (!m) {
      this.sink.error(
        'preprocessor',
        '%line takes a line number, a step and a file: %line 10+1 other.asm',
        lineSpan(line),
      );
      return;
    }
    const file = (m[3] ?? '').trim().replace(/^(["'`])(.*)\1$/, '$2');
    this.renumbered = {
      file: file || (this.renumbered?.file ?? line.file),
      line: Number(m[1]),
      step: Number(m[2] ?? 1),
      from: line.line,
    };
  }

  /** Runs `read` over another file. */
  inOtherFile(read: () => void): void {
    const outer = this.renumbered;
    this.renumbered = undefined;
    read();
    this.renumbered = outer;
  }
}
