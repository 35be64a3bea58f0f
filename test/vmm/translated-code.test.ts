/** What translating code costs where the VMM emulates the CPU: each instruction once, however often it runs, and again after it was written. */
import * as assert from 'node:assert/strict';
import { COSTS, cost } from '../../src/trace/costs';
import { DEFAULT_OPTIONS, type MachineOptions } from '../../src/vmm/options';
import { Compare } from '../../src/session/compare/compare';
import { parseMethods } from '../../src/session/compare/methods';
import { prepareProgram } from '../../src/session/launch/program';
import { Guest } from './support/guest';

const SOFTWARE: Partial<MachineOptions> = {
  ...DEFAULT_OPTIONS,
  mmu: 'software',
  memory: 16n << 20n,
  hostMemory: 64 << 20,
};

/** Cycles of translation at the end, run in slices of `budget` instructions. */
function translation(source: string, budget = 10_000): number {
  const g = new Guest(source, 'flat64', SOFTWARE);
  let stop = g.machine.run(budget);
  for (let i = 0; i < 100_000 && stop.kind === 'budget'; i++) stop = g.machine.run(budget);
  assert.equal(stop.kind, 'end');
  return g.machine.accelerator.cycles().translation ?? assert.fail('no translation');
}
function check(source: string, blocks: number, instructions: number): void {
  assert.equal(translation(source), cost('translateBlock', blocks) + cost('translateInstruction', instructions));
}

const LOOP = (n: number): string => `mov ecx, ${n}\nagain: inc rax\ndec ecx\njnz again\nhlt`;
const SELF_MODIFYING = `
  mov ecx, 3
  lea rbx, [patched + 1]
again: call patched
  inc byte [rbx]
  dec ecx
  jnz again
  hlt
align 4096
patched: mov al, 1
  ret`;

describe('translated code', () => {
  it('costs once, however often it runs', () => {
    check(LOOP(2), 2, 5);
    check(LOOP(1000), 2, 5);
  });
  it('code that is not reached costs nothing', () => check(`jmp over\n${'nop\n'.repeat(50)}over: hlt`, 2, 2));
  it('costs again after the guest wrote to it', () => {
    const once = translation(SELF_MODIFYING.replace('mov ecx, 3', 'mov ecx, 1'));
    const thrice = translation(SELF_MODIFYING);
    assert.equal(thrice - once, 2 * (cost('translateBlock') + cost('translateInstruction', 2)));
  });
  it('is the same stepped and run', () => {
    for (const source of [LOOP(20), SELF_MODIFYING]) assert.equal(translation(source, 1), translation(source));
  });
  it('goes on from a snapshot as it would have gone', () => {
    const g = new Guest(LOOP(400), 'flat64', SOFTWARE);
    g.machine.run(100);
    const saved = g.machine.save();
    g.halt();
    const { cycles } = g.machine;
    g.machine.restore(saved);
    g.halt();
    assert.equal(g.machine.cycles, cycles);
  });
});

describe('what dominates a comparison', () => {
  const program = prepareProgram({
    file: 'guest.asm',
    bytes: new TextEncoder().encode(`; @guest start=flat64 memory=16M\nbits 64\n${LOOP(10)}\n`),
    options: new Map(),
  });
  const methods = parseMethods('ept,software', 'methods');

  it('a small guest: faults of the host under EPT, translation in software, which is not cheaper', () => {
    assert.ok(program.ok, program.ok ? '' : JSON.stringify(program.error));
    assert.ok(methods.ok);
    const compare = new Compare(program.value, methods.value);
    let result = compare.run(10_000);
    while (!result) result = compare.run(10_000);
    const [ept, software] = result.methods;
    assert.ok(ept && software);
    assert.match(ept.dominant, /^(VM exits, VM entries|page faults and zeroed pages|KVM's handling)/);
    assert.match(software.dominant, /translating guest code \(\d+%\)/);
    assert.ok(software.cyclesBy.guest > ept.cyclesBy.guest * 100);
  });
  it('every cost has a source and says that it is a model', () => {
    for (const [name, { source }] of Object.entries(COSTS)) assert.match(source, /^model: ./, name);
  });
});
