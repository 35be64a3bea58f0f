import assert from 'node:assert/strict';
import { Compare, type Comparison } from '../../../src/session/compare/compare';
import { METHODS, parseMethods, type Method } from '../../../src/session/compare/methods';
import { prepareProgram } from '../../../src/session/launch/program';
import { encode } from '../../../src/wire/encode';

const methods = (list: string): readonly Method[] => {
  const parsed = parseMethods(list, 'test');
  assert.ok(parsed.ok);
  return parsed.value;
};
function compare(source: string, list: string, budget = 1_000_000): Comparison {
  const program = prepareProgram({
    file: 'g.asm',
    bytes: new TextEncoder().encode(`bits 64\n${source}`),
    options: new Map(),
  });
  assert.ok(program.ok);
  const run = new Compare(program.value, methods(list));
  for (let i = 0; i < 10_000; i++) {
    const done = run.run(budget);
    if (done) return done;
  }
  return assert.fail('the comparison ends');
}

describe('a comparison', () => {
  it('runs a guest under each method to the same result', () => {
    const c = compare(
      'mov rbx, 0x200000\nmov [rbx], rbx\nmov dx, 0x3f8\nmov al, "x"\nout dx, al\nhlt',
      'ept,shadow,software',
    );
    assert.deepEqual([c.equal, c.differences, c.refused], [true, [], []]);
    assert.deepEqual(
      c.methods.map((m) => [m.method, m.serial, m.stop.kind]),
      ['ept', 'shadow:classic', 'shadow:modern', 'software'].map((m) => [m, 'x', 'halt']),
    );
    const [ept, , , soft] = c.methods;
    assert.equal(soft?.exitCount, 0);
    assert.equal(ept?.exits['IO_INSTRUCTION'], 1);
    assert.equal(new Set(c.methods.map((m) => m.memory.digest)).size, 1);
    assert.ok(c.methods.every((m) => Object.values(m.cyclesBy).reduce((a, b) => a + b, 0) === m.cycles));
    // every parameter of the model comes with its source, and all of it is plain data
    assert.ok(c.costs.every((p) => p.source.length > 20));
    JSON.stringify(encode(c));
  });

  it('does not depend on where it is cut', () => {
    const source = 'mov rcx, 50\n.next: mov [rcx*8+0x200000], rcx\nloop .next\nhlt';
    assert.deepEqual(compare(source, 'ept,software', 7), compare(source, 'ept,software'));
  });

  it('tells what differs, by method', () => {
    // CPUID's hypervisor leaf is one that the guest can tell KVM and TCG apart by
    const c = compare('mov eax, 0x40000000\ncpuid\nmov [0x200000], ebx\nhlt', 'ept,software');
    assert.equal(c.equal, false);
    assert.deepEqual(
      c.differences.filter((d) => d.what === 'register' && d.where === 'rbx').map((d) => d.values),
      [{ ept: 0x4b4d_564bn, software: 0x5447_4354n }],
    );
    assert.deepEqual(
      c.differences.filter((d) => d.what === 'memory').map((d) => d.where),
      [0x20_0000n],
    );
  });

  it('ends a guest that does not, and names what it cannot run', () => {
    const endless = compare('; @guest max-instructions=1000\nagain: jmp again', 'software,ept');
    assert.deepEqual(
      endless.methods.map((m) => m.stop.kind),
      ['limit', 'limit'],
    );
    const placed = compare('; @guest host-memory=0xb0000000\nhlt', 'shadow:classic,ept');
    assert.deepEqual(
      [placed.methods.length + placed.refused.length, placed.methods.some((m) => m.method === 'ept')],
      [2, true],
    );
    const bad = parseMethods('ept,shadwo:classic,', 'command line');
    assert.ok(!bad.ok);
    assert.deepEqual(
      bad.error.map((d) => d.message),
      [
        `methods to compare: \`shadwo:classic\` is not one of shadow, ${METHODS.map((m) => m.name).join(', ')}; did you mean \`shadow:classic\`?`,
        'methods to compare: a name is missing; write them with commas between, as ept,shadow,software',
      ],
    );
  });
});
