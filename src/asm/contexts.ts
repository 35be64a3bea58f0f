/** One level of the context stack (NASM manual, 4.7). Its number makes the names that are local to it unique. */
export interface Context {
  /** Undefined for `%push` without a name. */
  readonly name: string | undefined;
  readonly id: number;
}

/** A macro that pushes without end exceeds this limit. */
const MAX_CONTEXTS = 10_000;

/** The stack of `%push`, `%pop` and `%repl`. A name `%$x` belongs to the top, `%$$x` to the one below, and so on. */
export class ContextStack {
  private readonly stack: Context[] = [];
  private made = 0;

  /** @returns false where the stack is full */
  push(name: string | undefined): boolean {
    if (this.stack.length >= MAX_CONTEXTS) return false;
    this.stack.push({ name, id: ++this.made });
    return true;
  }

  pop(): Context | undefined {
    return this.stack.pop();
  }

  /** Renames the top; its local names stay. */
  rename(name: string | undefined): void {
    const top = this.stack.pop();
    if (top) this.stack.push({ name, id: top.id });
  }

  get top(): Context | undefined {
    return this.stack[this.stack.length - 1];
  }

  /** What `%$x` stands for as a macro's or label's name: `..@3.x`, or undefined where no such context is open. */
  resolve(local: string): string | undefined {
    const m = /^%(\$+)(.*)$/.exec(local);
    const context = this.stack[this.stack.length - (m?.[1]?.length ?? 0)];
    return m && context ? `${prefixOf(context)}${m[2] ?? ''}` : undefined;
  }
}

/** How the names that are local to a context begin. */
export const prefixOf = (context: Context): string => `..@${context.id}.`;
