/** Virtual-8086 mode extensions and protected-mode virtual interrupts (SDM vol. 3, 20.3 and 20.4). */
import * as assert from 'node:assert/strict';
import { CODE, Machine, SEG, SLOT, STACK0, TSS } from './machine';

const VIF = 1n << 19n;
const VIP = 1n << 20n;
const IOPL3 = 0x3000n;
const V86 = 0x2_0002n;
/** I/O map base; the redirection map is the 32 bytes below. */
const IO_MAP = 0x88;

/** A virtual-8086 program with CR4.VME and the given flags beside VM. */
function v86(flags = 0n, cr4 = 1n): Machine {
  const m = new Machine('v86');
  m.state.set(SLOT.CR4, cr4);
  m.state.rflags = V86 | flags;
  m.write(TSS + 0x66, 2, BigInt(IO_MAP));
  return m;
}

describe('virtual-8086 mode extensions', () => {
  it('CLI and STI change VIF where IOPL keeps IF, and STI is #GP(0) while an interrupt waits', () => {
    const check = (flags: bigint, source: string, expected: string, after: bigint): void => {
      const m = v86(flags);
      assert.equal(m.run(source), expected, source);
      assert.equal(m.state.rflags & ~V86, after);
    };
    check(VIF, 'cli', 'ok', 0n);
    check(0n, 'sti', 'ok', VIF);
    check(VIP, 'sti', '#GP(0)', VIP);
    check(IOPL3, 'sti', 'ok', IOPL3 | 0x200n);
    assert.equal(v86(0n, 0n).run('cli'), '#GP(0)');
    const shadow = v86();
    assert.equal(shadow.run('sti'), 'ok');
    assert.equal(shadow.state.get32(SLOT.INTERRUPTIBILITY), 0, 'VIF casts no shadow');
  });

  it('PUSHF shows VIF as IF and IOPL 3; the 32-bit form is #GP(0)', () => {
    const m = v86(VIF);
    assert.equal(m.run('pushf'), 'ok');
    assert.deepEqual(m.stack(1, 2), [0x3202n]);
    const off = v86(0x200n);
    assert.equal(off.run('pushf'), 'ok');
    assert.deepEqual(off.stack(1, 2), [0x3002n]);
    assert.equal(v86(VIF).run('pushfd'), '#GP(0)');
    assert.equal(v86(VIF).run('popfd'), '#GP(0)');
  });

  for (const how of ['popf', 'iret'] as const) {
    it(`${how.toUpperCase()} puts IF into VIF and leaves IF and IOPL; TF, or IF while an interrupt waits, is #GP(0)`, () => {
      const check = (flags: bigint, image: bigint, expected: string, after: bigint): void => {
        const m = v86(flags);
        const frame = how === 'popf' ? [image] : [0x9000n, 0n, image];
        frame.forEach((w, i) => m.write(STACK0 + 2 * i, 2, w));
        assert.equal(m.run(how), expected);
        assert.equal(m.state.rflags & ~V86, after);
        if (how === 'iret' && expected === 'ok') assert.equal(m.state.rip, 0x9000n);
      };
      check(0n, 0x3201n, 'ok', VIF | 1n);
      check(VIF | 0x200n, 0x0c42n, 'ok', 0xe40n);
      check(VIP, 0x200n, '#GP(0)', VIP);
      check(VIP, 0x41n, 'ok', VIP | 0x41n);
      check(0n, 0x100n, '#GP(0)', 0n);
      check(IOPL3, 0x0200n, 'ok', IOPL3 | 0x200n);
    });
  }

  it('INT n goes by the redirection map: to the program’s own handler where the bit is 0', () => {
    const m = v86(VIF | 1n);
    m.write(0x21 * 4, 4, 0x1234_5678n);
    assert.equal(m.run('int 0x21'), 'ok');
    assert.deepEqual([m.selector(SEG.CS), m.state.rip], [0x1234, 0x5678n]);
    assert.deepEqual(m.stack(3, 2), [BigInt(CODE + 2), 0n, 0x3203n]);
    assert.equal(m.state.rflags, V86 | 1n, 'VIF is clear, and it is still virtual-8086 mode');
  });
  it('with IOPL 3 the handler gets the flags as they are, and IF goes', () => {
    const m = v86(IOPL3 | 0x200n);
    m.write(0x21 * 4, 4, 0x9000n);
    assert.equal(m.run('int 0x21'), 'ok');
    assert.deepEqual(m.stack(3, 2), [BigInt(CODE + 2), 0n, 0x3202n]);
    assert.equal(m.state.rflags, V86 | IOPL3);
  });
  it('where the bit is 1 it is the monitor’s: #GP(0), or with IOPL 3 the IDT; INT3 is never redirected', () => {
    const set = (flags: bigint): Machine => {
      const m = v86(flags);
      m.write(TSS + IO_MAP - 32 + 4, 1, 2n);
      return m;
    };
    assert.equal(set(0n).run('int 0x21'), '#GP(0)');
    assert.equal(set(IOPL3).run('int 0x21'), 'INT 0x21');
    assert.equal(v86(0n, 0n).run('int 0x21'), '#GP(0)');
    assert.equal(v86().run('int3'), '#BP');
    const short = v86();
    short.state.set32(SLOT.LIMIT + SEG.TR, 0x66);
    assert.equal(short.run('int 0x21'), '#GP(0)');
  });
});

describe('protected-mode virtual interrupts', () => {
  it('CLI and STI at CPL 3 change VIF; PUSHF and POPF do not know of it', () => {
    const m = new Machine('protected').setLevel(3);
    m.state.set(SLOT.CR4, 2n);
    assert.equal(m.run('sti'), 'ok');
    assert.equal(m.state.rflags, 2n | VIF);
    assert.equal(m.run('pushfd'), 'ok');
    assert.deepEqual(m.stack(1, 4), [2n | VIF]);
    assert.equal(m.run('cli'), 'ok');
    assert.equal(m.state.rflags, 2n);
    m.state.rflags = 2n | VIP;
    assert.equal(m.run('sti'), '#GP(0)');
    const none = new Machine('protected').setLevel(3);
    assert.equal(none.run('sti'), '#GP(0)');
  });
});
