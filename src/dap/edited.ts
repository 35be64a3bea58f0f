/** The texts that the running image was made from, and where their lines are after edits. */
import { EditedLines } from '../session/run/edited-lines';
import type { LinePlace } from '../session/run/edited-lines';

export const CHANGED_LINE =
  'this line has changed since the guest was assembled; restart the guest to set a breakpoint here';

/** A source as it was at launch. */
export interface SourceText {
  readonly text: string;
  /** Nasm's syntax, whose comments begin with a semicolon. */
  readonly isNasm: boolean;
}

export class EditedSources {
  private sources: ReadonlyMap<string, SourceText> = new Map();
  private readonly edits = new Map<string, EditedLines>();

  /** The sources of another image; nothing has been edited since. */
  launched(sources: ReadonlyMap<string, SourceText>): void {
    this.sources = sources;
    this.edits.clear();
  }

  get files(): readonly string[] {
    return [...this.sources.keys()];
  }

  /**
   * Records a file's current text. Returns whether it would make a different image; undefined: it is not a source of
   * this one.
   */
  edit(file: string, text: string): boolean | undefined {
    const source = this.sources.get(file);
    if (!source) return undefined;
    this.edits.delete(file);
    if (text === source.text) return false;
    const lines = new EditedLines(source.text, text, source.isNasm);
    this.edits.set(file, lines);
    return lines.differs;
  }

  isEdited(file: string): boolean {
    return this.edits.has(file);
  }
  toCurrent(file: string, line: number): LinePlace {
    return this.edits.get(file)?.toCurrent(line) ?? { line, exact: true };
  }
  toAssembled(file: string, line: number): number | undefined {
    const lines = this.edits.get(file);
    return lines ? lines.toAssembled(line) : line;
  }
}
