/** A bug of our own. Caught once per request at the dap and lsp boundary and reported; the session stays usable. */
export class InvariantError extends Error {
  constructor(readonly invariant: string) {
    super(`Pagewalk invariant broken: ${invariant}`);
    this.name = 'InvariantError';
  }
}

export function invariant(condition: boolean, what: string): asserts condition {
  if (!condition) throw new InvariantError(what);
}

/** Marks the end of an exhaustive switch: a missing case is a compile error. */
export function assertUnreachable(x: never): never {
  throw new InvariantError(`unreachable case ${JSON.stringify(x)}`);
}

/** The value of a lookup that cannot fail. */
export function must<T>(x: T | undefined | null, what: string): T {
  if (x === undefined || x === null) throw new InvariantError(what);
  return x;
}
