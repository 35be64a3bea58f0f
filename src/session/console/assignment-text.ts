/** `target = value` as a console has it, split; `target += 1` and the like stand for `target = target + (1)`. */
export interface AssignmentText {
  readonly target: string;
  readonly value: string;
}

const COMPOUND = /(<<|>>|[-+*/%&|^])$/;

/** Undefined where the text assigns nothing. `==`, `!=`, `<=` and `>=` compare, and so does an `=` in brackets. */
export function splitAssignment(text: string): AssignmentText | undefined {
  let depth = 0;
  for (let i = 0; i < text.length; i++) {
    const c = text[i];
    if (c === '(' || c === '[') depth++;
    else if (c === ')' || c === ']') depth--;
    else if (c === '"' || c === "'") return undefined;
    else if (c === '=' && depth === 0) {
      const before = text.slice(0, i);
      if (text[i + 1] === '=' || /[=!]$/.test(before) || /(^|[^<])<$|(^|[^>])>$/.test(before)) return undefined;
      const operator = COMPOUND.exec(before)?.[1] ?? '';
      const target = before.slice(0, before.length - operator.length).trim();
      const value = text.slice(i + 1).trim();
      return { target, value: operator === '' ? value : `(${target}) ${operator} (${value})` };
    }
  }
  return undefined;
}
