/** What the machine itself does in a second, run as the command line runs it: assembled, loaded, and driven in slices. */
import { performance } from 'node:perf_hooks';
import type { OptionTexts } from '../../src/session/launch/options';
import { prepareProgram } from '../../src/session/launch/program';
import { Session } from '../../src/session/session';
import type { BenchGuest } from './guests';

const SLICE = 2_000_000;

/** Seconds of one run of the guest to its end, by the wall and of processor time; throws where it ends otherwise. */
export function runToEnd(
  { source }: BenchGuest,
  options: OptionTexts = new Map(),
): Rate & { readonly session: Session } {
  const program = prepareProgram({ file: 'bench.asm', bytes: new TextEncoder().encode(source), options });
  if (!program.ok) throw new Error(program.error.map(({ message }) => message).join('\n'));
  const made = Session.create(program.value);
  if (!made.ok) throw new Error(made.error.map(({ message }) => message).join('\n'));
  const target = made.value;
  target.run.continue_();
  const [start, used] = [performance.now(), process.cpuUsage()];
  for (;;) {
    const result = target.run.advance(SLICE);
    if (result.kind === 'running') continue;
    if (result.kind === 'stopped' || result.end.code !== 0) {
      throw new Error(`the guest did not halt: ${result.kind === 'stopped' ? result.stop.why : result.end.why}`);
    }
    const { user, system } = process.cpuUsage(used);
    return { wall: (performance.now() - start) / 1e3, processor: (user + system) / 1e6, session: target };
  }
}

/** By the wall, and of processor time: on a machine that is busy with other things only the second says what a run costs. */
export interface Rate {
  readonly wall: number;
  readonly processor: number;
}

/** Work in a second: the best of several runs, the first of them only to warm up. */
export function rate(guest: BenchGuest, runs = 4, options?: OptionTexts): Rate {
  const rates = Array.from({ length: runs }, () => runToEnd(guest, options));
  const best = (key: keyof Rate): number => Math.max(...rates.map((each) => guest.work / each[key]));
  return { wall: best('wall'), processor: best('processor') };
}
