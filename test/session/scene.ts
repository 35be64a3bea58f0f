import * as assert from 'node:assert/strict';
import { formatDiagnostic } from '../../src/base/diagnostic';
import { prepareProgram } from '../../src/session/launch/program';
import { checkOptions } from '../../src/session/launch/options';
import { Session } from '../../src/session/session';
import type { RunResult } from '../../src/session/types';

/** A session on a guest given as text. */
export function open(source: string, options: Readonly<Record<string, string>> = {}): Session {
  const texts = checkOptions(
    Object.entries(options).map(([key, value]) => ({ key, value })),
    'command-line',
    'test',
  ).options;
  const program = prepareProgram({ file: 'guest.asm', bytes: new TextEncoder().encode(source), options: texts });
  if (!program.ok) throw new Error(program.error.map(formatDiagnostic).join('\n'));
  const made = Session.create(program.value);
  if (!made.ok) throw new Error(made.error.map(formatDiagnostic).join('\n'));
  return made.value;
}

const BUDGET = 100_000;

/** Runs to the next stop or end. */
export function wait(s: Session): RunResult {
  for (let i = 0; i < 100; i++) {
    const r = s.run.advance(BUDGET);
    if (r.kind !== 'running') return r;
  }
  throw new Error('the guest neither stops nor ends');
}

/** `kind top-frame` of the next stop, or `ended kind code`. */
export function next(s: Session): string {
  const r = wait(s);
  if (r.kind === 'stopped') return `${r.stop.kind} ${s.stack.frames()[0]?.name ?? ''}`;
  return r.kind === 'ended' ? `ended ${r.end.kind} ${r.end.code}` : r.kind;
}

/** The text of an expression's value, or its errors. */
export function value(s: Session, text: string): string {
  const v = s.console.evaluate(text);
  return v.ok ? v.value.text : v.error.map((d) => `${d.code} ${d.message}`).join('\n');
}

/** The rows of a view as `name = value`. */
export function rows(s: Session, path: string, count = 100): readonly string[] {
  const page = s.views.page(path, 0, count);
  assert.ok(page.ok, path);
  return page.value.nodes.map((n) => `${n.name} = ${n.value}`);
}

/** Everything that a run can be told apart by. */
export function fingerprint(s: Session): unknown {
  s.output.take();
  const { stop: _stop, ...rest } = s.report({ serial: '', debugcon: '' });
  return rest;
}
