import assert from 'node:assert/strict';
import { because } from '../../../src/isa/reasons/index';
import type { Delivery } from '../../../src/hw/cpu/system/deliver';
import { combine, firstOf } from '../../../src/hw/cpu/system/escalation';
import { isV86 } from '../../../src/hw/cpu/system/modes';
import type { FaultEvent } from '../../../src/hw/state/event';
import { CODE, descriptor, gate, IDT, Machine, SEG, SLOT, STACK0, STACK3, TSS, VECTOR, type Mode } from './machine';

const fault = (vector: number, errorCode?: number): FaultEvent =>
  errorCode === undefined
    ? { kind: 'fault', why: because('injected'), vector }
    : { kind: 'fault', why: because('injected'), vector, errorCode };
const external = (vector: number): Delivery => ({ kind: 'interrupt', vector, source: 'external' });
const soft = (vector: number): Delivery => ({ kind: 'fault', why: because('injected'), vector, software: 'int' });

function machine(mode: Mode, vector: number, first: bigint, second = 0n): Machine {
  const m = new Machine(mode);
  const size = mode === 'long' || mode === 'compat' ? 16 : 8;
  m.write(IDT + vector * size, 8, first);
  if (size === 16) m.write(IDT + vector * size + 8, 8, second);
  m.core.nextRip = BigInt(CODE + 2);
  return m;
}
const HANDLER = 0x9000;

describe('delivery in real mode (SDM vol. 3, 20.1.4)', () => {
  it('pushes FLAGS, CS, IP and clears IF, TF, AC and RF', () => {
    const m = new Machine('real');
    m.write(0x21 * 4, 4, 0x1234_5678n);
    m.state.rflags = 0x4_0302n;
    m.core.nextRip = 0x8002n;
    assert.equal(m.deliver(soft(0x21)), 'ok');
    assert.equal(m.selector(SEG.CS), 0x1234);
    assert.equal(m.state.segmentBase(SEG.CS), 0x12340n);
    assert.equal(m.state.rip, 0x5678n);
    assert.deepEqual(m.stack(3, 2), [0x8002n, 0n, 0x302n]);
    assert.equal(m.state.rflags, 2n);
  });
  it('pushes no error code, and for a fault the address of the instruction', () => {
    const m = new Machine('real');
    m.write(13 * 4, 4, 0x9000n);
    assert.equal(m.deliver(fault(VECTOR.GP, 0)), 'ok');
    assert.deepEqual(m.stack(3, 2), [0x8000n, 0n, 2n]);
  });
  it('refuses a vector beyond the IDT limit', () => {
    const m = new Machine('real');
    m.state.set32(SLOT.IDTR_LIMIT, 0x21 * 4 + 2);
    assert.equal(m.deliver(soft(0x21)), '#GP');
  });
});

describe('delivery in protected mode (SDM vol. 2, INT n; vol. 3, chapter 6)', () => {
  it('at the same level pushes EFLAGS, CS, EIP and the error code', () => {
    const m = machine('protected', 13, gate(0x8e, 8, HANDLER));
    m.state.rflags = 0x302n;
    assert.equal(m.deliver(fault(VECTOR.GP, 0x50)), 'ok');
    // RF is set in the image of a fault (vol. 3, 17.3.1.1)
    assert.deepEqual(m.stack(4, 4), [0x50n, BigInt(CODE), 8n, 0x1_0302n]);
    assert.equal(m.state.rip, BigInt(HANDLER));
    assert.equal(m.state.rflags, 2n, 'an interrupt gate clears IF and TF');
  });
  it('through a trap gate leaves IF', () => {
    const m = machine('protected', 0x40, gate(0x8f, 8, HANDLER));
    m.state.rflags = 0x4302n;
    assert.equal(m.deliver(external(0x40)), 'ok');
    assert.deepEqual(m.stack(3, 4), [BigInt(CODE), 8n, 0x4302n]);
    assert.equal(m.state.rflags, 0x202n);
  });
  it('through a 16-bit gate pushes words', () => {
    const m = machine('protected', 0x40, gate(0x86, 8, HANDLER));
    assert.equal(m.deliver(external(0x40)), 'ok');
    assert.deepEqual(m.stack(3, 2), [BigInt(CODE), 8n, 2n]);
  });
  it('to level 0 switches stacks by the TSS and pushes SS:ESP', () => {
    const m = machine('protected', 0x40, gate(0xee, 8, HANDLER)).setLevel(3);
    assert.equal(m.deliver(soft(0x40)), 'ok');
    assert.deepEqual(m.stack(5, 4), [BigInt(CODE + 2), 0x1bn, 2n, BigInt(STACK3), 0x23n]);
    assert.equal(m.state.get(4), BigInt(STACK0 - 20));
    assert.deepEqual([m.selector(SEG.CS), m.selector(SEG.SS), m.state.cpl], [8, 0x10, 0]);
  });
  it('names the gate in the error code: IDT bit 1, EXT bit 0 only for events that are not software’s', () => {
    const check = (e: Delivery, g: bigint, expected: string, prepare?: (m: Machine) => void): void => {
      const m = machine('protected', 0x40, g).setLevel(3);
      prepare?.(m);
      assert.equal(m.deliver(e), expected);
      assert.equal(m.state.rip, BigInt(CODE));
      assert.equal(m.state.get(4), BigInt(STACK3));
    };
    check(soft(0x40), gate(0x8e, 8, HANDLER), '#GP(202)'); // DPL 0 < CPL 3
    check(external(0x40), 0n, '#GP(203)');
    check(external(0x40), gate(0x0e, 8, HANDLER), '#NP(203)');
    check(soft(0x40), gate(0x6e, 8, HANDLER), '#NP(202)');
    check(external(0x40), gate(0x8e, 0, HANDLER), '#GP(1)');
    check(soft(0x40), gate(0xee, 0, HANDLER), '#GP(0)');
    check(external(0x40), gate(0x8e, 0x60, HANDLER), '#GP(61)', (m) => m.entry(0x60, descriptor(0x93)));
    check(external(0x40), gate(0x8e, 0x60, HANDLER), '#NP(61)', (m) => m.entry(0x60, descriptor(0x1b)));
    check(external(0x40), gate(0x8e, 0x60, HANDLER), '#GP(1)', (m) => m.entry(0x60, descriptor(0x9b, 0, 0xfff, 4)));
    check(external(0xff), gate(0x8e, 8, HANDLER), '#GP(7fb)', (m) => m.state.set32(SLOT.IDTR_LIMIT, 0x7fe));
    // the TSS's stack: #TS, #SS
    check(external(0x40), gate(0x8e, 8, HANDLER), '#TS(1)', (m) => m.write(TSS + 8, 4, 0n));
    check(external(0x40), gate(0x8e, 8, HANDLER), '#TS(21)', (m) => m.write(TSS + 8, 4, 0x20n));
    check(external(0x40), gate(0x8e, 8, HANDLER), '#SS(61)', (m) =>
      m.entry(0x60, descriptor(0x13)).write(TSS + 8, 4, 0x60n),
    );
    check(external(0x40), gate(0x8e, 8, HANDLER), '#TS(29)', (m) => m.state.set32(SLOT.LIMIT + SEG.TR, 7));
    check(external(0x40), gate(0x8e, 8, HANDLER), '#SS(61)', (m) => {
      m.entry(0x60, descriptor(0x93, 0, 0xfff, 4)).write(TSS + 8, 4, 0x60n);
    });
  });
  it('stays at the caller’s level in a conforming handler', () => {
    const m = machine('protected', 0x40, gate(0xee, 0x38, HANDLER)).setLevel(3);
    assert.equal(m.deliver(soft(0x40)), 'ok');
    assert.deepEqual([m.selector(SEG.CS), m.state.cpl, m.selector(SEG.SS)], [0x3b, 3, 0x23]);
  });
  it('writes CR2 for #PF, and blocks NMI after NMI', () => {
    const m = machine('protected', 14, gate(0x8e, 8, HANDLER));
    m.write(IDT + 16, 8, gate(0x8e, 8, HANDLER));
    assert.equal(
      m.deliver({ kind: 'fault', why: because('injected'), vector: 14, errorCode: 2, cr2: 0x1234_5000n }),
      'ok',
    );
    assert.equal(m.state.get(SLOT.CR2), 0x1234_5000n);
    m.state.set32(SLOT.INTERRUPTIBILITY, 1);
    m.state.set32(SLOT.ACTIVITY, 1);
    assert.equal(m.deliver({ kind: 'interrupt', vector: 2, source: 'nmi' }), 'ok');
    assert.equal(m.state.get32(SLOT.INTERRUPTIBILITY), 8);
    assert.equal(m.state.get32(SLOT.ACTIVITY), 0);
  });
  it('stores nothing when the stack faults', () => {
    const m = machine('protected', 0x40, gate(0x8e, 8, HANDLER));
    m.denyWrites(STACK0 - 8, STACK0 - 4);
    assert.equal(m.deliver(external(0x40)), '#PF(2)');
    assert.deepEqual(m.flat.port.stored, []);
    assert.equal(m.state.get(4), BigInt(STACK0));
  });
});

describe('delivery out of virtual-8086 mode (SDM vol. 3, 20.3.1)', () => {
  it('pushes the data segments and makes them null', () => {
    const m = machine('v86', 13, gate(0x8e, 8, HANDLER));
    const s = m.state;
    s.set32(SLOT.SELECTOR + SEG.GS, 0x4444);
    s.set32(SLOT.SELECTOR + SEG.ES, 0x1111);
    s.set32(SLOT.SELECTOR + SEG.SS, 0x2222);
    assert.equal(m.deliver(fault(VECTOR.GP, 0)), 'ok');
    assert.deepEqual(m.stack(10, 4), [
      0n,
      BigInt(CODE),
      0n,
      0x3_3002n,
      BigInt(STACK0),
      0x2222n,
      0x1111n,
      0n,
      0n,
      0x4444n,
    ]);
    assert.equal(isV86(s), false);
    assert.deepEqual([s.cpl, m.selector(SEG.CS), m.selector(SEG.SS), m.selector(SEG.DS)], [0, 8, 0x10, 0]);
    assert.equal(m.run('iretd'), '#GP(8000)', 'with the error code still there EIP is taken for CS');
    s.set(4, s.get(4) + 4n);
    assert.equal(m.run('iretd'), 'ok');
    assert.deepEqual(
      [isV86(s), s.cpl, m.selector(SEG.GS), m.selector(SEG.SS), s.rip, s.get(4)],
      [true, 3, 0x4444, 0x2222, BigInt(CODE), BigInt(STACK0)],
    );
  });
  it('is refused to a handler that is not at level 0', () => {
    const m = machine('v86', 0x40, gate(0xee, 0x18, HANDLER));
    assert.equal(m.deliver(external(0x40)), '#GP(19)');
  });
});

describe('delivery in IA-32e mode (SDM vol. 3, 6.14)', () => {
  const high = 0xffff_8000n;
  it('aligns RSP to 16 bytes and always pushes SS:RSP', () => {
    const m = machine('long', 0x40, gate(0x8e, 8, HANDLER), high);
    m.state.set(4, BigInt(STACK0 - 3));
    assert.equal(m.deliver(external(0x40)), 'ok');
    assert.equal(m.state.get(4), BigInt(STACK0 - 16 - 40));
    assert.deepEqual(m.stack(5, 8), [BigInt(CODE), 8n, 2n, BigInt(STACK0 - 3), 0x10n]);
    assert.equal(m.state.rip, 0xffff_8000_0000_9000n);
    assert.equal(m.selector(SEG.SS), 0x10, 'SS stays at the same level');
  });
  it('from level 3 takes RSP0 and a null SS', () => {
    const m = machine('long', 14, gate(0x8e, 8, HANDLER)).setLevel(3);
    assert.equal(m.deliver({ kind: 'fault', why: because('injected'), vector: 14, errorCode: 6, cr2: 0n }), 'ok');
    assert.deepEqual(m.stack(6, 8), [6n, BigInt(CODE), 0x1bn, 0x1_0002n, BigInt(STACK3), 0x23n]);
    assert.deepEqual([m.selector(SEG.SS), m.state.cpl], [0, 0]);
    assert.equal(m.run('iretq'), '#GP(8000)', 'with the error code still there RIP is taken for CS');
  });
  it('takes the stack of the gate’s IST entry at any level', () => {
    const m = machine('long', 8, gate(0x8e, 8, HANDLER, 3));
    m.write(TSS + 28 + 24, 8, 0x5008n);
    assert.equal(m.deliver(fault(VECTOR.DF, 0)), 'ok');
    assert.equal(m.state.get(4), BigInt(0x5000 - 48));
  });
  it('wants a 64-bit code segment, a canonical offset and stack', () => {
    assert.equal(machine('compat', 0x40, gate(0x8e, 8, HANDLER)).deliver(external(0x40)), '#GP(9)');
    assert.equal(machine('long', 0x40, gate(0x8e, 8, HANDLER), 0x8000n).deliver(external(0x40)), '#GP(1)');
    assert.equal(machine('long', 0x40, gate(0x86, 8, HANDLER)).deliver(external(0x40)), '#GP(203)');
    const m = machine('long', 0x40, gate(0x8e, 8, HANDLER)).setLevel(3);
    m.write(TSS + 4, 8, 0x8000_0000_0000n);
    assert.equal(m.deliver(external(0x40)), '#SS(1)');
  });
});

describe('a second exception during delivery (SDM vol. 3, table 6-5)', () => {
  const { GP, PF, DF, DE, UD, NP, BP } = VECTOR;
  const rows: readonly (readonly [number, number, 'serial' | 'double' | 'triple'])[] = [
    [UD, GP, 'serial'],
    [UD, PF, 'serial'],
    [GP, UD, 'serial'],
    [GP, NP, 'double'],
    [DE, GP, 'double'],
    [GP, PF, 'serial'],
    [PF, PF, 'double'],
    [PF, GP, 'double'],
    [PF, UD, 'serial'],
    [DF, GP, 'triple'],
    [DF, PF, 'triple'],
    [DF, UD, 'serial'],
  ];
  for (const [first, second, expected] of rows) {
    it(`${first} then ${second}: ${expected}`, () =>
      assert.equal(combine({ kind: 'exception', vector: first }, fault(second)), expected));
  }
  it('counts software interrupts and external ones as benign', () => {
    assert.equal(
      combine(firstOf({ kind: 'fault', why: because('injected'), vector: GP, software: 'int' }), fault(GP, 0)),
      'serial',
    );
    assert.equal(combine(firstOf({ kind: 'interrupt' }), fault(PF, 0)), 'serial');
    assert.equal(
      combine(firstOf({ kind: 'fault', why: because('injected'), vector: BP, software: 'int3' }), fault(NP, 0)),
      'serial',
    );
  });
});
