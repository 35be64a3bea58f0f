/**
 * A debug target without a machine: it does what a test tells it to. The adapter's own behaviour at its edges (a guest that never
 * stops, a target that throws, output, restarts) is tested with it; what people see is tested with real guests.
 */
import { hexBytes } from '../../src/base/hex';
import { ok } from '../../src/base/result';
import type { DebugTarget } from '../../src/session/api';
import { formatReference } from '../../src/session/guest/memory';
import type { EndInfo, Output, RunResult, StopInfo } from '../../src/session/types';
import { sessionError } from '../../src/session/diagnostics';
import { prepareProgram, type Program } from '../../src/session/launch/program';

export const stopAt = (kind: StopInfo['kind'], more: Partial<StopInfo> = {}): StopInfo => ({
  kind,
  title: `stopped: ${kind}`,
  why: `because of ${kind}`,
  breakpoints: [],
  final: false,
  ...more,
});

const PROGRAM = prepareProgram({
  file: 'fake.asm',
  bytes: new TextEncoder().encode('bits 16\nhlt\n'),
  options: new Map(),
});

type Writable<T> = { -readonly [K in keyof T]: T[K] };

export class FakeTarget implements DebugTarget {
  get program(): Program {
    if (!PROGRAM.ok) throw new Error('the program of the fake target assembles');
    return PROGRAM.value;
  }
  /** What the next calls of `advance` do; the last one stays for all further calls. */
  script: (() => RunResult)[] = [];
  readonly asked: string[] = [];
  written: Output[] = [];
  paused = false;
  runs = 0;
  /** Rows of each view. */
  rows = 3;
  private nextId: number;

  /** @param firstId where this target's own breakpoint ids begin: no two targets agree on them */
  constructor(firstId = 100) {
    this.nextId = firstId;
  }

  /** Runs until `pause`. */
  static readonly spinning = (target: FakeTarget) => (): RunResult =>
    target.paused ? target.stop(stopAt('pause')) : { kind: 'running' };

  stop(stop: StopInfo): RunResult {
    this.run.stopped = stop;
    return { kind: 'stopped', stop };
  }
  end(code: number): RunResult {
    const end: EndInfo = { kind: 'halt', code, rip: 0n, why: 'The guest halted.', reason: [] };
    this.run.ended = end;
    return { kind: 'ended', end };
  }

  readonly run: Writable<DebugTarget['run']> = {
    stopped: stopAt('entry'),
    ended: undefined,
    // it has none
    stopAtDirectives: () => undefined,
    continue_: () => this.ask('continue'),
    stepIn: (granularity, target) =>
      this.ask(`step in ${granularity}${target === undefined ? '' : ` to the ${target}`}`),
    stepTargets: () => [{ kind: 'call', label: 'call f' }],
    stepOver: (granularity) => this.ask(`step over ${granularity}`),
    stepOut: () => this.ask('step out'),
    pause: () => {
      this.paused = true;
    },
    advance: () => {
      this.runs++;
      const [next] = this.script;
      if (this.script.length > 1) this.script.shift();
      return next ? next() : this.stop(stopAt('step'));
    },
  };
  readonly output: DebugTarget['output'] = { take: () => this.written.splice(0) };

  readonly breakpoints: DebugTarget['breakpoints'] = {
    setSource: (file, list) =>
      list.map(({ line }) => ({
        id: this.nextId++,
        verified: true,
        location: { file, line },
        address: BigInt(line),
      })),
    setInstruction: (list) => list.map(({ address }) => ({ id: this.nextId++, verified: true, address })),
    checkFunction: () => undefined,
    setFunctions: (list) => list.map(() => ({ id: this.nextId++, verified: true })),
    setFilters: (list) => list.map(({ filter }) => ({ id: this.nextId++, verified: true, message: filter })),
  };
  readonly symbols: DebugTarget['symbols'] = {
    codeLines: (_file, from, to) => Array.from({ length: to - from + 1 }, (_, i) => from + i),
    codeAt: (file, line) => ({ file, line, address: BigInt(line), length: 1, code: true }),
    symbolOf: () => undefined,
  };

  readonly stack: DebugTarget['stack'] = {
    frames: () => {
      const location = { file: '/guests/fake.asm', line: 2 };
      return [
        {
          id: 0,
          kind: 'hypervisor',
          name: 'handle_cpuid',
          actor: 'kvm',
          mode: 'kernel',
          document: { id: 7, name: 'exit', line: this.runs },
        },
        { id: 1, kind: 'guest', name: 'start', actor: 'guest', mode: 'non-root', address: 0x7c00n, location },
      ];
    },
    document: () => Array.from({ length: this.runs }, (_, i) => `step ${i + 1}`).join('\n'),
  };
  readonly tables: DebugTarget['tables'] = {
    maps: {
      sets: () => [],
      page: () => ok({ rows: [], total: 0 }),
      find: () => ok({ path: [], present: false }),
      strips: () => ok([]),
    },
    tlb: () => ({ sets: 0, ways: 0, hits: 0, misses: 0, entries: [], total: 0, staleCount: 0 }),
    pagemap: () => [],
    memoryMap: () => {
      const host = { frames: 0, used: 0, swapPages: 0, swapUsed: 0, base: 0n };
      return { generation: 0, slots: [], holes: [], vmas: [], runs: [], host };
    },
  };
  get exits(): DebugTarget['exits'] {
    throw new Error('this target has no exits');
  }
  readonly views: DebugTarget['views'] = {
    statistics: () => [['exits', this.runs]],
    controls: () => ({ kind: 'none', areas: [], unmet: [] }),
    page: (path, start = 0, count = 1000) => {
      if (path === 'ept') throw new Error('a broken view');
      const all = Array.from({ length: this.rows }, (_, i) => ({
        path: `${path}/${i}`,
        name: `row ${i}`,
        value: `value ${i}`,
        kind: 'field' as const,
        raw: BigInt(i),
        children: path === 'tlb' ? 500 : 0,
        editable: path === 'registers',
      }));
      return ok({ nodes: all.slice(start, start + count), total: all.length });
    },
  };
  readonly console: DebugTarget['console'] = {
    setValue: (path, text) => {
      this.asked.push(`set ${path} ${text}`);
      return ok(text);
    },
    evaluate: (text) =>
      text === 'nothing'
        ? { ok: false, error: [sessionError('unknownName', 'there is no `nothing`', 'expression')] }
        : ok({ text: `${text}!`, value: 42n, kind: 'number' }),
    assign: (target, value) => {
      this.asked.push(`assign ${target} ${value}`);
      return ok({ text: value, kind: 'register' });
    },
    complete: (text) => [`${text}x`],
    hover: () => undefined,
    rowActions: () => [],
  };
  readonly translate: DebugTarget['translate'] = () => {
    const rights = { r: true, w: false, x: false, user: false };
    return {
      kind: 'forward',
      chain: { ok: true, gva: 42n, rights, references: 0, tlb: { hit: false, stale: null }, stages: [] },
    };
  };
  readonly memory: DebugTarget['memory'] = {
    read: (at, length) => ({
      address: at,
      bytes: new Uint8Array(Math.min(length, 4)).fill(0xaa),
      unreadable: Math.max(0, length - 4),
    }),
    edit: (at, bytes) => {
      this.asked.push(`write ${formatReference(at)} ${hexBytes(bytes)}`);
      return ok(bytes.length);
    },
  };
  readonly disassembly: DebugTarget['disassembly'] = { around: () => [] };

  private ask(what: string): void {
    this.asked.push(what);
    this.run.stopped = undefined;
    this.paused = false;
  }
}
