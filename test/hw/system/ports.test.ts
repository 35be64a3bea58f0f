import assert from 'node:assert/strict';
import type { IoPort } from '../../../src/hw/cpu/core';
import { GDT, Machine, SLOT, TSS, type Mode } from './machine';

function run(
  mode: Mode,
  source: string,
  expected: string,
  prepare?: (m: Machine) => void,
): { readonly m: Machine; readonly log: readonly string[] } {
  const log: string[] = [];
  const io: IoPort = {
    in(core, port, size, dst) {
      log.push(`in ${port.toString(16)}/${size}`);
      core.state.set(dst, 0x8877_6655n & ((1n << BigInt(size * 8)) - 1n));
      return true;
    },
    out(core, port, size, src) {
      log.push(`out ${port.toString(16)}/${size} ${core.state.get(src).toString(16)}`);
      return true;
    },
  };
  const m = new Machine(mode, io);
  prepare?.(m);
  assert.equal(m.run(source), expected, source);
  return { m, log };
}

describe('IN and OUT (SDM vol. 1, 18.5)', () => {
  it('move the accumulator part; 32 bits clear the upper half', () => {
    const ones = (m: Machine): void => m.state.set(0, 0xffff_ffff_ffff_ffffn);
    assert.equal(run('long', 'in al, 0x60', 'ok', ones).m.state.get(0), 0xffff_ffff_ffff_ff55n);
    assert.equal(run('long', 'in ax, dx', 'ok', ones).m.state.get(0), 0xffff_ffff_ffff_6655n);
    assert.equal(run('long', 'in eax, dx', 'ok', ones).m.state.get(0), 0x8877_6655n);
    assert.deepEqual(
      run('long', 'out dx, ax', 'ok', (m) => {
        m.state.set(0, 0x12_3456n);
        m.state.set(2, 0xf_03f8n);
      }).log,
      ['out 3f8/2 3456'],
    );
  });
  it('need IOPL or a clear bit in the TSS’s map', () => {
    const user =
      (map: number, bits: number) =>
      (m: Machine): void => {
        m.setLevel(3);
        m.write(TSS + 0x66, 2, BigInt(map));
        m.write(TSS + map + 0x60 / 8, 2, BigInt(bits));
      };
    run('protected', 'in al, 0x60', '#GP(0)', user(0x68, 0xffff));
    run('protected', 'in al, 0x60', 'ok', user(0x68, 0xfffe));
    run('protected', 'in ax, 0x60', '#GP(0)', user(0x68, 0xfffe));
    run('protected', 'in al, 0x60', '#GP(0)', (m) => {
      user(0x68, 0)(m);
      m.state.set32(SLOT.LIMIT + 7, 0x68 + 0xc);
    });
    run('protected', 'in al, 0x60', 'ok', (m) => {
      user(0x68, 0xffff)(m);
      m.state.rflags = 0x3002n;
    });
    // virtual-8086 mode asks the map whatever the IOPL
    run('v86', 'in al, 0x60', '#GP(0)', (m) => {
      m.write(TSS + 0x66, 2, 0x68n);
      m.write(TSS + 0x68 + 0xc, 2, 1n);
    });
  });
});

describe('INS and OUTS (SDM vol. 2)', () => {
  it('repeat one element at a time, leaving progress in the registers', () => {
    const { m, log } = run('protected', 'rep outsb', 'ok', (x) => {
      x.state.set(1, 2n);
      x.state.set(2, 0xe9n);
      x.state.set(6, 0x5000n);
      x.write(0x5000, 2, 0x4142n);
    });
    assert.deepEqual([m.state.get(1), m.state.get(6), m.state.rip], [1n, 0x5001n, 0x8000n]);
    assert.equal(m.flat.step(), true);
    assert.deepEqual([m.state.get(1), m.state.get(6), m.state.rip], [0n, 0x5002n, 0x8002n]);
    assert.deepEqual(log, ['out e9/1 42', 'out e9/1 41']);
  });
  it('do nothing with a count of zero', () => {
    const { m, log } = run('protected', 'rep insd', 'ok', (x) => x.state.set(1, 0n));
    assert.deepEqual([log, m.state.rip], [[], 0x8002n]);
  });
  it('INS does not read the device when the memory would fault', () => {
    const { m, log } = run('protected', 'insb', '#PF(2)', (x) => {
      x.state.set(7, 0x5000n);
      x.denyWrites(0x5000, 0x5001);
    });
    assert.deepEqual([log, m.state.get(7)], [[], 0x5000n]);
  });
  it('go down with DF, in 16 bits of the pointer in 16-bit code', () => {
    const { m } = run('real', 'insw', 'ok', (x) => {
      x.state.set(7, 0xabcd_0002n);
      x.state.rflags = 0x402n;
    });
    assert.equal(m.state.get(7), 0xabcd_0000n);
    assert.equal(m.read(2, 2), 0x6655n);
  });
});

describe('flags and tables', () => {
  it('POPF changes IOPL at level 0 only, IF by IOPL', () => {
    const popf = (mode: Mode, image: bigint, old: bigint, expected: bigint, cpl: 0 | 3 = 0): void => {
      const { m } = run(mode, 'popfd', 'ok', (x) => {
        x.setLevel(cpl);
        x.state.rflags = old;
        x.write(Number(x.state.get(4)), 4, image);
      });
      assert.equal(m.state.rflags, expected);
    };
    popf('protected', 0x24_7fd5n, 2n, 0x24_7fd7n);
    popf('protected', 0x3202n, 2n, 2n, 3);
    popf('protected', 0x0202n, 0x3002n, 0x3202n, 3);
    popf('protected', 0x3_0002n, 2n, 2n); // VM and RF
  });
  it('PUSHF hides RF and VM, and is #GP in virtual-8086 mode below IOPL 3', () => {
    const { m } = run('protected', 'pushfd', 'ok', (x) => (x.state.rflags = 0x1_0202n));
    assert.deepEqual(m.stack(1, 4), [0x202n]);
    run('v86', 'pushf', '#GP(0)', (x) => (x.state.rflags = 0x2_0002n));
  });
  it('STI holds interrupts off for one instruction when it turns them on', () => {
    assert.equal(run('protected', 'sti', 'ok').m.state.get32(SLOT.INTERRUPTIBILITY), 1);
    assert.equal(
      run('protected', 'sti', 'ok', (x) => (x.state.rflags = 0x202n)).m.state.get32(SLOT.INTERRUPTIBILITY),
      0,
    );
    run('protected', 'cli', '#GP(0)', (x) => void x.setLevel(3));
    run('protected', 'cli', 'ok', (x) => {
      x.setLevel(3);
      x.state.rflags = 0x3202n;
    });
  });
  it('LGDT takes 24 bits of base with a 16-bit operand, 64 in 64-bit mode', () => {
    const { m } = run('real', 'lgdt [0x5000]', 'ok', (x) => x.write(0x5000, 8, 0xff12_3456_0027n));
    assert.deepEqual([m.state.get(SLOT.GDTR_BASE), m.state.get32(SLOT.GDTR_LIMIT)], [0x12_3456n, 0x27]);
    const wide = run('real', 'o32 lgdt [0x5000]', 'ok', (x) => x.write(0x5000, 8, 0xff12_3456_0027n)).m;
    assert.equal(wide.state.get(SLOT.GDTR_BASE), 0xff12_3456n);
    run('long', 'lidt [rax]', '#GP(0)', (x) => {
      x.state.set(0, 0x5000n);
      x.write(0x5000, 8, 0x27n);
      x.write(0x5008, 2, 0x8000n);
    });
  });
  it('SGDT stores ten bytes in 64-bit mode, and UMIP keeps it from level 3', () => {
    const { m } = run('long', 'sgdt [rax]', 'ok', (x) => x.state.set(0, 0x5000n));
    assert.deepEqual([m.read(0x5000, 2), m.read(0x5002, 8)], [0x7fn, BigInt(GDT)]);
    run('long', 'sgdt [rax]', '#GP(0)', (x) => {
      x.setLevel(3);
      x.state.set(SLOT.CR4, 0x820n);
    });
  });
  it('HLT completes into the halt state', () => {
    const { m } = run('protected', 'hlt', 'ok');
    assert.deepEqual([m.state.get32(SLOT.ACTIVITY), m.state.rip], [1, 0x8001n]);
    run('protected', 'hlt', '#GP(0)', (x) => void x.setLevel(3));
  });
  it('INT n in virtual-8086 mode needs IOPL 3; INT3 does not', () => {
    run('v86', 'int 0x21', '#GP(0)', (x) => (x.state.rflags = 0x2_0002n));
    run('v86', 'int 0x21', 'INT 0x21');
    run('v86', 'int3', '#BP', (x) => (x.state.rflags = 0x2_0002n));
    run('protected', 'into', 'ok');
    run('protected', 'into', '#OF', (x) => (x.state.rflags = 0x802n));
  });
  it('VMX instructions are #UD outside VMX operation', () => {
    for (const source of ['vmcall', 'vmlaunch', 'vmxoff', 'vmread rax, rcx']) run('long', source, '#UD');
  });
});
