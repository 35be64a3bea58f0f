/** What recording costs a run, and what a timeline of ten million exits takes: to record, to keep, to ask. */
import { performance } from 'node:perf_hooks';
import { kvmStep, step } from '../../src/trace/step';
import { prepareProgram } from '../../src/session/launch/program';
import { Session } from '../../src/session/session';
import { TILE_BINS, tileOf } from '../../src/session/exits/tile';
import { ExitLog, type Moment } from '../../src/vmm/exits/exit-log';
import { summary, type Times } from './adapter';
import type { BenchGuest } from './guests';

function processorTime(source: string, recording: boolean): number {
  const program = prepareProgram({ file: 'bench.asm', bytes: new TextEncoder().encode(source), options: new Map() });
  const made = program.ok ? Session.create(program.value) : program;
  if (!made.ok) throw new Error(made.error.map(({ message }) => message).join('\n'));
  const target = made.value;
  target.machine.exits.recording = recording;
  target.run.continue_();
  const before = process.cpuUsage();
  while (target.run.advance(2_000_000).kind === 'running');
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1e6;
}

/** Speed with recording over speed without, by processor time: the best of several runs each, in turn. */
export function recordingRatio({ source }: BenchGuest, runs = 4): number {
  const best = { on: Infinity, off: Infinity };
  for (let i = 0; i < runs; i++) {
    best.off = Math.min(best.off, processorTime(source, false));
    best.on = Math.min(best.on, processorTime(source, true));
  }
  return best.off / best.on;
}

const STEPS = [
  step('cpu', 'root', 'VM exit', '', 700),
  kvmStep('vmx_handle_exit', '', 150),
  kvmStep('kvm_emulate_cpuid', '', 100),
  step('cpu', 'non-root', 'VMRESUME', '', 700),
];
const REASONS = [10, 30, 48, 49, 28];

export interface TimelineCost {
  /** Nanoseconds of processor time to record an exit of four Steps. */
  readonly perExit: number;
  readonly mebibytes: number;
  /** A screen of 1000 pixels at a random place and zoom: two or three tiles. */
  readonly screen: Times;
}

/** The log of a run of so many exits of a few kinds, a few instructions from each other. */
export function longRun(exits: number): { readonly log: ExitLog; readonly moment: Moment } {
  const log = new ExitLog();
  let moment: Moment = { instructions: 0, guest: 0, walks: 0 };
  for (let i = 0; i < exits; i++) {
    const reason = REASONS[i % 97 === 0 ? i % 5 : 0] ?? 10;
    const linear = 0x10_0000n + BigInt(i & 63);
    moment = { instructions: (i + 1) * 4, guest: (i + 1) * 4, walks: 4 * i };
    log.begin(
      {
        ...{ reason, name: `reason ${reason}`, qualification: 0n, gpa: undefined, gva: undefined, rip: linear, linear },
        ...{ instructionLength: 2, interruptionInfo: 0, of: 'vmcs', cause: { kind: 'other' } },
      },
      0,
      moment,
    );
    for (const s of STEPS) log.step(s);
    log.finish();
  }
  return { log, moment };
}

export function timelineCost(exits: number): TimelineCost {
  const heap = (): number => process.memoryUsage().arrayBuffers + process.memoryUsage().heapUsed;
  const before = heap();
  const used = process.cpuUsage();
  const { log, moment } = longRun(exits);
  const { user, system } = process.cpuUsage(used);
  const perExit = ((user + system) / exits) * 1e3;
  const mebibytes = (heap() - before) / 2 ** 20;
  const total = log.now(moment);
  const times: number[] = [];
  let seed = 1;
  const random = (): number => (seed = (seed * 48_271) % 0x7fff_ffff) / 0x7fff_ffff;
  for (let i = 0; i < 400; i++) {
    const level = Math.floor(random() * Math.log2(total / 500));
    const span = TILE_BINS * 2 ** level;
    const first = Math.floor((random() * Math.max(0, total - 2 * span)) / span);
    const asked = performance.now();
    for (let index = first; index < first + 3; index++) tileOf(log, moment, level, index);
    times.push(performance.now() - asked);
  }
  return { perExit, mebibytes, screen: summary(times) };
}
