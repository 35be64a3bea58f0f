import assert from 'node:assert/strict';
import { because } from '../../../src/isa/reasons/index';
import { CODE, descriptor, gate, Machine, SEG, SLOT, STACK0, STACK3, TSS, type Mode } from './machine';

function check(mode: Mode, source: string, expected: string, prepare?: (m: Machine) => void): Machine {
  const m = new Machine(mode);
  prepare?.(m);
  const before = m.state.rip;
  assert.equal(m.run(source), expected, `${mode}: ${source}`);
  if (expected !== 'ok') assert.equal(m.state.rip, before);
  return m;
}
const level3 = (m: Machine): void => void m.setLevel(3);

describe('far JMP and CALL to code (SDM vol. 2)', () => {
  it('in real mode load CS as a paragraph', () => {
    const m = check('real', 'jmp 0x1234:0x5678', 'ok');
    assert.deepEqual([m.selector(SEG.CS), m.state.segmentBase(SEG.CS), m.state.rip], [0x1234, 0x12340n, 0x5678n]);
    const c = check('real', 'call 0x1234:0x5678', 'ok');
    assert.deepEqual(c.stack(2, 2), [BigInt(CODE + 5), 0n]);
    const r = check('real', 'call far [0x5000]', 'ok', (x) => x.write(0x5000, 4, 0x1234_5678n));
    assert.deepEqual([r.selector(SEG.CS), r.state.rip], [0x1234, 0x5678n]);
  });
  it('check the code segment', () => {
    check('protected', 'jmp 0:0x9000', '#GP(0)');
    check('protected', 'jmp 0x80:0x9000', '#GP(80)');
    check('protected', 'jmp 0x10:0x9000', '#GP(10)'); // data
    check('protected', 'jmp 0x1b:0x9000', '#GP(18)'); // outward
    check('protected', 'jmp 0x0b:0x9000', '#GP(8)'); // RPL > CPL
    check('protected', 'jmp 8:0x9000', '#GP(8)', level3);
    check('protected', 'jmp 0x40:0x9000', '#NP(40)', (m) => void m.entry(0x40, descriptor(0x1b)));
    check('protected', 'jmp 0x40:0x9000', '#GP(0)', (m) => void m.entry(0x40, descriptor(0x9b, 0, 0xfff, 4)));
    const m = check('protected', 'jmp 0x38:0x9000', 'ok', level3);
    assert.deepEqual([m.selector(SEG.CS), m.state.cpl], [0x3b, 3], 'conforming code runs at the caller’s level');
  });
  it('CALL pushes CS and the return address', () => {
    const m = check('protected', 'call 8:0x9000', 'ok');
    assert.deepEqual(m.stack(2, 4), [BigInt(CODE + 7), 8n]);
    const full = check('protected', 'call 8:0x9000', '#SS(0)', (x) => {
      x.entry(0x40, descriptor(0x93, 0, 0xfff, 4)).load(SEG.SS, 0x40);
    });
    assert.equal(full.state.get(4), BigInt(STACK0));
  });
  it('between 64-bit code and compatibility mode', () => {
    const m = check('long', 'jmp far dword [0x5000]', 'ok', (x) => {
      x.entry(0x40, descriptor(0x9b));
      x.write(0x5000, 4, 0x9000n);
      x.write(0x5004, 2, 0x40n);
    });
    assert.equal(m.state.rip, 0x9000n);
    assert.equal(m.run('mov eax, 1'), 'ok', 'now 32-bit code');
    check('long', 'jmp far dword [0x5000]', '#GP(40)', (x) => {
      x.entry(0x40, descriptor(0x9b, 0, undefined, 0xe)); // L and D
      x.write(0x5000, 6, 0x40_0000_9000n);
    });
  });
});

describe('call gates (SDM vol. 3, 5.8)', () => {
  const withGate =
    (access: number, target: number, cpl: 0 | 3, parameters = 0) =>
    (m: Machine): void => {
      m.setLevel(cpl);
      m.entry(0x40, gate(access, target, 0x9000, parameters)).entry(0x48, 0n);
    };
  it('to the same level', () => {
    const m = check('protected', 'call 0x40:0', 'ok', withGate(0x8c, 8, 0));
    assert.deepEqual(m.stack(2, 4), [BigInt(CODE + 7), 8n]);
    check('protected', 'jmp 0x40:0', 'ok', withGate(0x8c, 8, 0));
  });
  it('to level 0 copy the parameters to the TSS’s stack', () => {
    const m = check('protected', 'call 0x40:0', 'ok', (x) => {
      withGate(0xec, 8, 3, 2)(x);
      x.write(STACK3, 8, 0x2222_2222_1111_1111n);
    });
    assert.deepEqual(m.stack(6, 4), [BigInt(CODE + 7), 0x1bn, 0x1111_1111n, 0x2222_2222n, BigInt(STACK3), 0x23n]);
    assert.deepEqual(
      [m.selector(SEG.CS), m.selector(SEG.SS), m.state.cpl, m.state.get(4)],
      [8, 0x10, 0, BigInt(STACK0 - 24)],
    );
    // and back: RETF releases the parameters from both stacks
    assert.equal(m.run('retf 8'), 'ok');
    assert.deepEqual(
      [m.selector(SEG.CS), m.selector(SEG.SS), m.state.cpl, m.state.get(4), m.state.rip],
      [0x1b, 0x23, 3, BigInt(STACK3 + 8), BigInt(CODE + 7)],
    );
  });
  it('check gate and target', () => {
    check('protected', 'call 0x40:0', '#GP(40)', withGate(0x8c, 8, 3)); // gate DPL 0
    check('protected', 'call 0x43:0', '#GP(40)', withGate(0xac, 8, 0)); // RPL 3 > gate DPL 1
    check('protected', 'call 0x40:0', '#NP(40)', withGate(0x0c, 8, 0));
    check('protected', 'call 0x40:0', '#GP(0)', withGate(0x8c, 0, 0));
    check('protected', 'call 0x40:0', '#GP(10)', withGate(0x8c, 0x10, 0));
    check('protected', 'jmp 0x40:0', '#GP(8)', withGate(0xec, 8, 3)); // a JMP stays at its level
    check('protected', 'jmp 0x40:0', 'ok', withGate(0xec, 0x38, 3));
    check('protected', 'call 0x40:0', '#TS(10)', (m) => {
      withGate(0xec, 8, 3)(m);
      m.write(TSS + 8, 4, 0x13n);
    });
    check('protected', 'call 0x30:0', '#GP(30)', undefined);
  });
  it('in 64-bit mode push quadwords and use RSP0 with a null SS', () => {
    const prepare = (m: Machine): void => {
      withGate(0xec, 8, 3)(m);
      m.write(0x5000, 6, 0x40_0000_0000n);
    };
    const m = check('long', 'call far dword [0x5000]', 'ok', prepare);
    assert.deepEqual(m.stack(4, 8), [BigInt(CODE + 7), 0x1bn, BigInt(STACK3), 0x23n]);
    assert.deepEqual([m.selector(SEG.SS), m.state.cpl, m.state.rip], [0, 0, 0x9000n]);
    assert.equal(m.run('o64 retf'), 'ok');
    assert.deepEqual([m.state.cpl, m.state.get(4), m.selector(SEG.SS)], [3, BigInt(STACK3), 0x23]);
    check('long', 'call far dword [0x5000]', '#GP(40)', (x) => {
      prepare(x);
      x.entry(0x48, 0x0000_0100_0000_0000n); // type bits of the upper half are not zero
    });
  });
});

describe('RETF and IRET (SDM vol. 2)', () => {
  const frame =
    (size: number, ...values: readonly number[]) =>
    (m: Machine): void =>
      values.forEach((v, i) => m.write(STACK0 + i * size, size, BigInt(v)));
  it('RETF in real mode', () => {
    const m = check('real', 'retf 4', 'ok', frame(2, 0x5678, 0x1234));
    assert.deepEqual([m.selector(SEG.CS), m.state.rip, m.state.get(4)], [0x1234, 0x5678n, BigInt(STACK0 + 8)]);
  });
  it('check the return segment', () => {
    check('protected', 'retf', '#GP(0)', frame(4, 0x9000, 0));
    check('protected', 'retf', '#GP(10)', frame(4, 0x9000, 0x10));
    check('protected', 'retf', '#GP(18)', frame(4, 0x9000, 0x18)); // DPL 3, RPL 0
    check('protected', 'retf', '#GP(8)', (m) => {
      m.setLevel(3);
      m.write(STACK3, 4, 0x9000n);
      m.write(STACK3 + 4, 4, 8n); // inward
    });
    check('protected', 'retf', '#GP(0)', frame(4, 0x9000, 0x1b, 0x6000, 0));
    check('protected', 'retf', '#GP(10)', frame(4, 0x9000, 0x1b, 0x6000, 0x10));
    check('protected', 'iretd', '#GP(0)', frame(4, 0x9000, 0, 2));
  });
  it('to level 3 drop data segments of level 0', () => {
    const m = check('protected', 'iretd', 'ok', (x) => {
      frame(4, 0x9000, 0x1b, 0x3202, STACK3, 0x23)(x);
      x.load(SEG.ES, 0x23);
    });
    assert.deepEqual(
      [m.selector(SEG.DS), m.selector(SEG.ES), m.state.cpl, m.state.get(4)],
      [0, 0x23, 3, BigInt(STACK3)],
    );
    assert.equal(m.state.rflags, 0x3202n);
  });
  it('IRET at level 3 changes IF only with IOPL 3, and never IOPL', () => {
    const m = check('protected', 'iretd', 'ok', (x) => {
      x.setLevel(3);
      [0x9000, 0x1b, 0x3202].forEach((v, i) => x.write(STACK3 + i * 4, 4, BigInt(v)));
    });
    assert.equal(m.state.rflags, 2n);
  });
  it('IRET unblocks NMI; with NT in IA-32e mode it is #GP(0)', () => {
    const m = check('long', 'iretq', 'ok', (x) => {
      frame(8, 0x9000, 8, 2, 0x5000, 0)(x);
      x.state.set32(SLOT.INTERRUPTIBILITY, 8);
    });
    assert.deepEqual([m.state.get32(SLOT.INTERRUPTIBILITY), m.state.get(4), m.selector(SEG.SS)], [0, 0x5000n, 0]);
    check('long', 'iretq', '#GP(0)', (x) => {
      frame(8, 0x9000, 8, 2, 0x5000, 0)(x);
      x.state.rflags = 0x4002n;
    });
  });
  it('IRETQ to a non-canonical address, or to a null SS at level 3, is #GP(0)', () => {
    check('long', 'iretq', '#GP(0)', (x) => {
      frame(8, 0, 8, 2, 0x5000, 0)(x);
      x.write(STACK0, 8, 0x8000_0000_0000n);
    });
    check('long', 'iretq', '#GP(0)', frame(8, 0x9000, 0x1b, 2, 0x5000, 3));
  });
  it('IRET in virtual-8086 mode wants IOPL 3', () => {
    check('v86', 'iret', '#GP(0)', (m) => (m.state.rflags = 0x2_0002n));
    const m = check('v86', 'iret', 'ok', frame(2, 0x9000, 0x100, 0x0202));
    assert.equal(m.state.rflags, 0x2_3202n);
  });
});

describe('task switches (SDM vol. 3, 7.3)', () => {
  const NEW = 0x5000;
  function tasks(cs = 8, ss = 0x10): Machine {
    const m = new Machine('protected');
    m.entry(0x40, descriptor(0x89, NEW, 0x67, 0)).entry(0x48, gate(0x85, 0x40, 0));
    const w = (at: number, v: number): void => m.write(NEW + at, 4, BigInt(v));
    w(0x20, 0x9000);
    w(0x24, 2);
    for (let i = 0; i < 8; i++) w(0x28 + i * 4, 0x100 + i);
    [0x10, cs, ss, 0x10, 0, 0].forEach((v, i) => w(0x48 + i * 4, v));
    return m;
  }
  it('CALL saves the old task, links the new one back and sets NT, busy and TS', () => {
    const m = tasks();
    m.state.set(0, 0xdead_beefn);
    assert.equal(m.run('call 0x40:0'), 'ok');
    assert.deepEqual(
      [m.state.rip, m.state.get(0), m.state.get(4), m.selector(SEG.TR)],
      [0x9000n, 0x100n, 0x104n, 0x40],
    );
    assert.equal(m.state.rflags, 0x4002n);
    assert.equal(m.read(NEW, 2), 0x28n);
    assert.equal(m.read(TSS + 0x20, 4), BigInt(CODE + 7));
    assert.equal(m.read(TSS + 0x28, 4), 0xdead_beefn);
    assert.equal(m.read(0x1045, 1), 0x8bn);
    assert.equal(m.read(0x102d, 1), 0x8bn, 'the caller stays busy');
    assert.notEqual(m.state.get(SLOT.CR0) & 8n, 0n);
    // IRET with NT goes back
    assert.equal(m.run('iretd'), 'ok');
    assert.deepEqual(
      [m.state.rip, m.state.get(0), m.selector(SEG.TR), m.state.rflags],
      [BigInt(CODE + 7), 0xdead_beefn, 0x28, 2n],
    );
    assert.equal(m.read(0x1045, 1), 0x89n, 'the task left by IRET is available');
  });
  it('JMP through a task gate leaves the old task available', () => {
    const m = tasks();
    assert.equal(m.run('jmp 0x48:0'), 'ok');
    assert.deepEqual([m.state.rip, m.state.rflags], [0x9000n, 2n]);
    assert.equal(m.read(0x102d, 1), 0x89n);
  });
  it('an exception through a task gate pushes its error code on the new stack', () => {
    const m = tasks();
    m.write(0x2000 + 10 * 8, 8, gate(0x85, 0x40, 0));
    m.write(NEW + 0x38, 4, 0x7800n);
    assert.equal(m.deliver({ kind: 'fault', why: because('injected'), vector: 10, errorCode: 0x28 }), 'ok');
    assert.deepEqual([m.state.get(4), m.read(0x77fc, 4)], [0x77fcn, 0x28n]);
    assert.equal(m.read(TSS + 0x20, 4), BigInt(CODE));
  });
  it('refuses a busy, absent or short TSS with the old task unchanged', () => {
    const refused = (raw: bigint, expected: string): void => {
      const m = tasks();
      m.entry(0x40, raw);
      assert.equal(m.run('jmp 0x40:0'), expected);
      assert.deepEqual([m.selector(SEG.TR), m.state.rip], [0x28, BigInt(CODE)]);
    };
    refused(descriptor(0x8b, NEW, 0x67, 0), '#GP(40)');
    refused(descriptor(0x09, NEW, 0x67, 0), '#NP(40)');
    refused(descriptor(0x89, NEW, 0x66, 0), '#TS(40)');
  });
  it('a bad segment of the new task is #TS in it', () => {
    const m = tasks(8, 0x23);
    assert.equal(m.run('jmp 0x40:0'), '#TS(20)');
    assert.equal(m.selector(SEG.TR), 0x40);
    assert.equal(m.state.rip, 0x9000n);
  });
  it('is #GP in IA-32e mode', () => {
    check('long', 'jmp far dword [0x5000]', '#GP(28)', (x) => x.write(0x5000, 6, 0x28_0000_0000n));
  });
});
