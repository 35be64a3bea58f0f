/** `npm run bench`: prints what this machine does; with words after `--`, the rows whose names have one of them. Nothing is asserted; times depend on what else it is doing. */
import { cpus } from 'node:os';
import { join } from 'node:path';
import type { Times } from './adapter';
import { launchTimes, stepTimes } from './adapter';
import { assemblyTimes } from './asm';
import { recordingRatio, timelineCost } from './exits';
import { keystrokeTimes } from './language';
import { coldWalks, exits, firstTouches, integerLoop } from './guests';
import type { Rate } from './machine';
import { rate } from './machine';
import { METHODS, NAIVE, fill, type Filled } from './methods';

const adapter = join(__dirname, '../dist/dap.js');
const server = join(__dirname, '../dist/server.js');

const per = (unit: number, name: string, { wall, processor }: Rate): string => {
  const digits = unit === 1e6 ? 1 : 0;
  return `${(wall / unit).toFixed(digits)} ${name}/s (${(processor / unit).toFixed(digits)} in a second of processor time)`;
};
const million = (r: Rate): string => per(1e6, 'million', r);
const thousand = (r: Rate): string => per(1e3, 'thousand', r);
const times = ({ median, p95, count }: Times): string =>
  `median ${median.toFixed(1)} ms, 95th percentile ${p95.toFixed(1)} ms (${count} times)`;

function assembly(): string {
  const { own, nasm } = assemblyTimes(20_000);
  const ratio =
    nasm === undefined ? 'no nasm to compare with' : `${(own / nasm).toFixed(1)} times nasm's ${nasm.toFixed(0)} ms`;
  return `${own.toFixed(0)} ms, ${ratio}`;
}

function timeline(): string {
  const { perExit, mebibytes, screen } = timelineCost(10_000_000);
  return `${perExit.toFixed(0)} ns to record an exit, ${mebibytes.toFixed(0)} MiB kept; a screen of tiles ${times(screen)}`;
}

const full = ({ pages, frames, tables, wall, processor }: Filled): string =>
  `${pages} pages in ${wall.toFixed(1)} s (${processor.toFixed(1)} s of processor time); ${frames} host frames, ${tables} of them no guest RAM`;

const ROWS: readonly { readonly name: string; readonly measure: () => string | Promise<string> }[] = [
  { name: 'guest instructions, integer loop', measure: () => million(rate(integerLoop(3_000_000))) },
  { name: 'cold 4×4 walks, 24 references each', measure: () => thousand(rate(coldWalks(300_000))) },
  { name: 'EPT violations, first touch of a page', measure: () => thousand(rate(firstTouches(20_000))) },
  { name: 'CPUID exits', measure: () => thousand(rate(exits(50_000))) },
  {
    name: 'speed with exits recorded, of that without',
    measure: () =>
      `${recordingRatio(exits(30_000)).toFixed(2)} (CPUID), ${recordingRatio(firstTouches(15_000)).toFixed(2)} (first touches)`,
  },
  { name: 'a timeline of ten million exits', measure: timeline },
  {
    name: 'mmu=software, integer loop',
    measure: () => million(rate(integerLoop(3_000_000), 4, new Map([['mmu', ['software']]]))),
  },
  { name: 'the same without a TLB', measure: () => thousand(rate(integerLoop(30_000), 2, NAIVE)) },
  ...METHODS.map(({ name, options }) => ({
    name: `1 GiB in 4 KiB pages, ${name}`,
    measure: () => full(fill(1024, options)),
  })),
  { name: 'assembling 20,000 lines', measure: assembly },
  { name: 'F5 to stopped, adapter process', measure: async () => times(await launchTimes(adapter, 15)) },
  { name: 'step to stopped, adapter process', measure: async () => times(await stepTimes(adapter, 300)) },
  { name: 'keystroke to diagnostics, 5,000 lines', measure: async () => times(await keystrokeTimes(server, 102)) },
];

async function main(): Promise<void> {
  process.stdout.write(`Node ${process.version}, ${cpus()[0]?.model ?? 'unknown processor'}\n\n`);
  const words = process.argv.slice(2);
  const rows = ROWS.filter(({ name }) => words.length === 0 || words.some((w) => name.includes(w)));
  const width = Math.max(...rows.map(({ name }) => name.length));
  for (const { name, measure } of rows) process.stdout.write(`${name.padEnd(width)}  ${await measure()}\n`);
}

void main();
