/** What the tables of exceptions and their reasons share: an instruction on a bare core, or a guest under every method, that breaks a rule. */
import * as assert from 'node:assert/strict';
import { PAGEWALK_X64, type CpuidModel } from '../../../src/hw/cpu/cpuid-model';
import type { FaultEvent } from '../../../src/hw/state/event';
import { vectorName } from '../../../src/isa/exceptions';
import { because, explainReason, type RuleName } from '../../../src/isa/reasons/index';
import type { MachineOptions, StartKind } from '../../../src/vmm/options';
import { Machine, SLOT, type Mode } from '../../hw/system/machine';
import { Guest } from './guest';

/** A rule, an instruction that breaks it, and what a person reads. */
export interface Example {
  readonly rule: RuleName;
  readonly source: string;
  readonly exception: string;
  readonly sentence: string;
}
/** What the tests have seen so far. */
export const examples: Example[] = [];

export const METHODS: readonly { readonly name: string; readonly options: Partial<MachineOptions> }[] = [
  { name: 'ept', options: { mmu: 'ept' } },
  { name: 'npt', options: { mmu: 'npt', cpu: 'pagewalk-svm' } },
  { name: 'classic shadow', options: { mmu: 'shadow', shadow: 'classic', hostBase: 0x4000_0000n } },
  { name: 'modern shadow', options: { mmu: 'shadow', shadow: 'modern', hostBase: 0x4000_0000n } },
  { name: 'software', options: { mmu: 'software' } },
];

/** What an instruction alone raises, on a core in `mode`. */
interface Setup {
  readonly model?: CpuidModel;
  readonly cpl3?: true;
  readonly prepare?: (m: Machine) => void;
  /** Delivers vector n instead of running the source. */
  readonly deliver?: number;
  /** The exception is that of delivering what the source raises. */
  readonly delivered?: true;
}
export function check(rule: RuleName, mode: Mode, source: string, sentence: string, setup: Setup = {}): void {
  it(`${rule}: ${source}`, () => {
    const m = new Machine(mode, undefined, setup.model ?? PAGEWALK_X64);
    if (setup.cpl3) m.setLevel(3);
    setup.prepare?.(m);
    const event = raised(m, source, setup);
    assert.ok(event, 'an exception is raised');
    assert.equal(explainReason(event.why).why, sentence);
    assert.equal(event.why.rule, rule);
    examples.push({ rule, source, exception: vectorName(event.vector), sentence });
  });
}

function raised(m: Machine, source: string, { deliver, delivered }: Setup): FaultEvent | undefined {
  if (deliver !== undefined) return refused(m, { kind: 'fault', vector: deliver, why: because('opcode-ud') });
  m.run(source);
  const event = m.core.event?.kind === 'fault' ? m.core.event : undefined;
  return event && delivered ? refused(m, event) : event;
}
function refused(m: Machine, event: FaultEvent): FaultEvent | undefined {
  const d = m.deliverEvent(event);
  return !d.ok && d.event.kind === 'fault' ? d.event : undefined;
}

export const rax = (m: Machine, v: bigint): void => m.state.set(0, v);
export const rcx = (m: Machine, v: bigint): void => m.state.set(1, v);
export const cr4 = (m: Machine, bits: bigint): void => m.state.set(SLOT.CR4, m.state.get(SLOT.CR4) | bits);
export const cr0 = (m: Machine, bits: bigint): void => m.state.set(SLOT.CR0, m.state.get(SLOT.CR0) | bits);
export const push = (m: Machine, size: number, ...values: bigint[]): void =>
  values.forEach((v, i) => m.write(Number(m.state.get(4)) + i * size, size, v));
export const wrmsr = (m: Machine, msr: number, value: bigint): void => {
  rcx(m, BigInt(msr));
  rax(m, value & 0xffff_ffffn);
  m.state.set(2, value >> 32n);
};
export const NOT_CANONICAL = 0x8000_0000_0000n;

interface GuestSetup {
  readonly start?: StartKind;
  readonly methods?: typeof METHODS;
  readonly options?: Partial<MachineOptions>;
}
/** What leads a guest to a triple fault, under every method alike. */
export function guest(
  rule: RuleName,
  exception: string,
  source: string,
  sentence: string | RegExp,
  setup: GuestSetup = {},
): void {
  it(`${rule}, by ${(setup.methods ?? METHODS).map((m) => m.name).join(', ')}`, () => {
    for (const { name, options } of setup.methods ?? METHODS) {
      const g = new Guest(source, setup.start ?? 'flat64', { ...options, ...setup.options });
      const end = g.end();
      assert.equal(end.kind, 'triple-fault', `${name}: ${end.why}`);
      const { event } =
        g.machine.cpu.chain.latest.find(({ event: e }) => e.kind === 'fault' && e.why.rule === rule) ?? {};
      assert.ok(event?.kind === 'fault', `${name}: ${end.why}`);
      const { why } = explainReason(event.why);
      if (typeof sentence === 'string') assert.equal(why, sentence, name);
      else assert.match(why, sentence, name);
      assert.equal(vectorName(event.vector), exception, name);
      examples.push({ rule, source: source.trim(), exception, sentence: why });
    }
  });
}
