/** Examples and the QEMU guests show the same to a guest's eyes under EPT and under both generations of shadow paging: output, end and registers. */
import * as assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { defaultOrigin } from '../../src/vmm/loader/image';
import { prepareProgram } from '../../src/session/launch/program';
import { createMachine } from '../../src/session/launch/launch';
import { cpuFor } from '../../src/session/launch/options';
import type { Machine } from '../../src/vmm/machine';
import type { Program } from '../../src/session/launch/program';
import { GUESTS } from '../suites/qemu/guests';

const EXAMPLES = new URL('../../examples/', import.meta.url);
const METHODS = [
  { mmu: 'ept', shadow: 'classic' },
  { mmu: 'shadow', shadow: 'classic' },
  { mmu: 'shadow', shadow: 'modern' },
  { mmu: 'npt', shadow: 'modern' },
] as const;
/** Asks KVM for asynchronous page faults, which it offers where hardware has a second level of tables: KVM_FEATURE_ASYNC_PF is part of what a guest sees. */
const NOT_UNDER_SHADOW: ReadonlySet<string> = new Set(['async-page-fault.asm']);
/** CR3, CR0, CR4, EFER and CR2 among them are the guest's own. */
const SLOTS = [...Array(16).keys(), 16, 64, 65, 66, 67, 69];

interface Shown {
  readonly debugcon: string;
  readonly serial: string;
  readonly end: string;
  readonly registers: readonly string[];
}

function run(program: Program, method: (typeof METHODS)[number]): { readonly shown: Shown; readonly machine: Machine } {
  const out = { debugcon: '', serial: '' };
  const hostBase = program.settings.hostBase >= 1n << 32n ? 0x4000_0000n : program.settings.hostBase;
  const made = createMachine(
    {
      ...program,
      settings: { ...program.settings, ...method, cpu: cpuFor(method.mmu, program.settings.cpu), hostBase },
    },
    {
      debugcon: (b) => (out.debugcon += String.fromCharCode(b)),
      serial: (b) => (out.serial += String.fromCharCode(b)),
    },
  );
  assert.ok(made.ok, made.ok ? '' : JSON.stringify(made.error));
  const machine = made.value;
  let stop = machine.run(10_000);
  for (let i = 0; i < 100 && stop.kind === 'budget'; i++) stop = machine.run(10_000);
  const end = stop.kind === 'end' ? `${stop.end.kind} ${stop.end.code} ${stop.end.rip}` : stop.kind;
  const s = machine.vcpu.registers();
  return { shown: { ...out, end, registers: SLOTS.map((n) => s.get(n).toString(16)) }, machine };
}

function compare(
  file: string,
  source: string,
  options: ReadonlyMap<never, never> | ReadonlyMap<'start', readonly string[]>,
): readonly Machine[] {
  const program = prepareProgram({ file, bytes: new TextEncoder().encode(source), options });
  assert.ok(program.ok, program.ok ? '' : JSON.stringify(program.error));
  const methods = METHODS.filter(({ mmu }) => mmu !== 'shadow' || !NOT_UNDER_SHADOW.has(file));
  const runs = methods.map((m) => run(program.value, m));
  for (const [i, r] of runs.entries()) assert.deepEqual(r.shown, runs[0]?.shown, JSON.stringify(methods[i]));
  return runs.map((r) => r.machine);
}

describe('the guest sees no difference under shadow paging and NPT', () => {
  for (const name of readdirSync(EXAMPLES).filter((n) => n.endsWith('.asm'))) {
    it(name, () => void compare(name, readFileSync(new URL(name, EXAMPLES), 'utf8'), new Map()));
  }
  for (const g of GUESTS) {
    it(
      g.name,
      () =>
        void compare(
          'guest.asm',
          `org ${defaultOrigin(g.start)}\n${g.source.replace(/^\s*org .*$/m, '')}`,
          new Map([['start', [g.start]]]),
        ),
    );
  }
});
