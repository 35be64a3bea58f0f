/** #AC (SDM vol. 3, 6.15): CR0.AM, RFLAGS.AC, CPL 3. The native oracle has most of it; here is when it is on, and what is exempt. */
import * as assert from 'node:assert/strict';
import { Machine, SLOT } from './machine';

const AC = 1n << 18n;

function program(mode: 'protected' | 'long' = 'protected'): Machine {
  const m = new Machine(mode).setLevel(3);
  m.state.set(SLOT.CR0, m.state.get(SLOT.CR0) | (1n << 18n));
  m.state.set(SLOT.CR4, m.state.get(SLOT.CR4) | 0x600n);
  m.state.rflags |= AC;
  return m;
}

describe('alignment checks', () => {
  it('are on with CR0.AM, RFLAGS.AC and CPL 3 together', () => {
    assert.equal(program().run('mov eax, [0x5001]'), '#AC(0)');
    for (const off of [
      (m: Machine) => (m.state.rflags &= ~AC),
      (m: Machine) => m.state.set(SLOT.CR0, m.state.get(SLOT.CR0) & ~(1n << 18n)),
      (m: Machine) => void m.setLevel(0),
    ]) {
      const m = program();
      off(m);
      assert.equal(m.run('mov eax, [0x5001]'), 'ok');
    }
  });
  it('go by the size of each type; parts of a longer one are looked at by themselves', () => {
    const check = (source: string, expected: string): void =>
      assert.equal(program('long').run(source), expected, source);
    check('mov al, [0x5001]', 'ok');
    check('mov ax, [0x5002]', 'ok');
    check('mov ax, [0x5001]', '#AC(0)');
    check('mov rax, [0x5004]', '#AC(0)');
    check('mov [0x5004], rax', '#AC(0)');
    check('add dword [0x5002], 1', '#AC(0)');
    check('cmpxchg8b [0x5004]', '#AC(0)');
    check('fld qword [0x5004]', '#AC(0)');
    check('fld tword [0x5008]', 'ok');
    check('movq xmm0, [0x5004]', '#AC(0)');
    check('movss xmm0, [0x5004]', 'ok');
    check('fnsave [0x5004]', 'ok');
    check('fnsave [0x5002]', '#AC(0)');
    check('sgdt [0x5006]', 'ok');
    check('sgdt [0x5004]', '#AC(0)');
    check('movaps xmm0, [0x5004]', '#GP(0)');
  });
  it('a misaligned stack faults before anything is stored', () => {
    const m = program();
    m.state.set(4, 0x6002n);
    m.write(0x5ffa, 8, 0n);
    assert.equal(m.run('push esp'), '#AC(0)');
    assert.deepEqual([m.state.get(4), m.read(0x5ffa, 8)], [0x6002n, 0n]);
  });
});
