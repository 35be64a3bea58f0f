/** What the machine itself does in a second, run as the command line runs it: assembled, loaded, and driven in slices. */
import { performance } from 'node:perf_hooks';
import { prepareProgram } from '../../src/session/program';
import { Session } from '../../src/session/session';
import type { BenchGuest } from './guests';

const SLICE = 2_000_000;

/** Seconds of one run of the guest to its end; throws where it does not end as a guest should. */
export function timeRun({ source }: BenchGuest): number {
  const program = prepareProgram({ file: 'bench.asm', bytes: new TextEncoder().encode(source), options: new Map() });
  if (!program.ok) throw new Error(program.error.map(({ message }) => message).join('\n'));
  const made = Session.create(program.value);
  if (!made.ok) throw new Error(made.error.map(({ message }) => message).join('\n'));
  const target = made.value;
  target.continue_();
  const start = performance.now();
  for (;;) {
    const result = target.run(SLICE);
    if (result.kind === 'running') continue;
    if (result.kind === 'stopped' || result.end.code !== 0) {
      throw new Error(`the guest did not halt: ${result.kind === 'stopped' ? result.stop.why : result.end.why}`);
    }
    return (performance.now() - start) / 1000;
  }
}

/** Work in a second: the best of several runs, the first of them only to warm up. */
export function rate(guest: BenchGuest, runs = 4): number {
  let best = 0;
  for (let i = 0; i < runs; i++) best = Math.max(best, guest.work / timeRun(guest));
  return best;
}
