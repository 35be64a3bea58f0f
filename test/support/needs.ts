/**
 * Tests against a program that a machine may lack ask for it here: where it is absent the test is skipped by name, and
 * `npm test` prints why.
 */
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';

const REASONS = Symbol.for('pagewalk.skip-reasons');
type Reasons = Map<Mocha.Runnable | Mocha.Suite, string>;

function reasons(): Reasons {
  const shared = globalThis as unknown as Record<symbol, Reasons | undefined>;
  return (shared[REASONS] ??= new Map());
}

/** The full path of a program on PATH, or undefined. */
export function which(program: string): string | undefined {
  for (const dir of (process.env['PATH'] ?? '').split(delimiter)) {
    const path = join(dir, program);
    try {
      accessSync(path, constants.X_OK);
      return path;
    } catch {
      // not here
    }
  }
  return undefined;
}

/** Skips the running test (or, from a `before` hook, its whole suite) and notes why. */
export function skipBecause(context: Mocha.Context, why: string): never {
  const runnable = context.runnable();
  const isHook = 'type' in runnable && runnable.type === 'hook';
  reasons().set(isHook && runnable.parent ? runnable.parent : runnable, why);
  return context.skip();
}

/** The path of `program`, for a test or `before` hook that cannot do without: `const nasm = needs(this, 'nasm')`. */
export function needs(context: Mocha.Context, program: string): string {
  return which(program) ?? skipBecause(context, `no ${program} on PATH`);
}
