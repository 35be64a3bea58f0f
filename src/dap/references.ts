/**
 * Numbers that the client holds for objects of the current stop: rows of the Variables view, and generated documents.
 * Numbers are never reused, so one from an earlier stop is recognized instead of naming something else.
 */
export class References {
  private next = 1;
  private byNumber = new Map<number, string>();
  private byPath = new Map<string, number>();

  /** The number of the view node at `path`. */
  of(path: string): number {
    const known = this.byPath.get(path);
    if (known !== undefined) return known;
    const number = this.next++;
    this.byNumber.set(number, path);
    this.byPath.set(path, number);
    return number;
  }

  pathOf(number: number): string | undefined {
    return this.byNumber.get(number);
  }

  /** The guest continues: earlier references become invalid. */
  clear(): void {
    this.byNumber.clear();
    this.byPath.clear();
  }
}

export interface GeneratedDocument {
  readonly reference: number;
  readonly name: string;
  readonly text: string;
}

/** Documents stay readable after the guest continues, since an editor may still show them; their number is limited. */
const KEPT_DOCUMENTS = 200;

/**
 * The generated documents of hypervisor frames by DAP source reference. VS Code reads a reference's text once and keeps it, so each
 * text has a reference of its own; the target's numbers will not do, since a restarted guest numbers its documents from the start.
 */
export class Documents {
  private next = 1;
  private readonly byReference = new Map<number, GeneratedDocument>();
  private readonly byText = new Map<string, GeneratedDocument>();

  of(name: string, text: string): GeneratedDocument {
    const key = `${name}\n${text}`;
    const known = this.byText.get(key);
    if (known) return known;
    const made = { reference: this.next++, name, text };
    this.byReference.set(made.reference, made);
    this.byText.set(key, made);
    for (const [reference, old] of this.byReference) {
      if (this.byReference.size <= KEPT_DOCUMENTS) break;
      this.byReference.delete(reference);
      this.byText.delete(`${old.name}\n${old.text}`);
    }
    return made;
  }

  get all(): readonly GeneratedDocument[] {
    return [...this.byReference.values()];
  }
  get(reference: number): GeneratedDocument | undefined {
    return this.byReference.get(reference);
  }
}
