/** One of our own bugs. Caught once per request at the dap and lsp edge, reported, and the session stays usable. */
export class InvariantError extends Error {
  constructor(readonly invariant: string) {
    super(`Pagewalk invariant broken: ${invariant}`);
    this.name = 'InvariantError';
  }
}

export function invariant(condition: boolean, what: string): asserts condition {
  if (!condition) throw new InvariantError(what);
}

/** The end of an exhaustive switch: a compile error when a case is missing. */
export function assertUnreachable(x: never): never {
  throw new InvariantError(`unreachable case ${JSON.stringify(x)}`);
}

/** The value of a lookup that cannot miss. */
export function must<T>(x: T | undefined | null, what: string): T {
  if (x === undefined || x === null) throw new InvariantError(what);
  return x;
}
