/** Where AMD's processors do otherwise than Intel's: APM vol. 3, SYSCALL, SYSRET, SYSENTER, SYSEXIT; vol. 2, 6.1.1 and 13.2.1. */
import assert from 'node:assert/strict';
import { PAGEWALK_SVM, PAGEWALK_X64 } from '../../../src/hw/cpu/cpuid-model';
import { readMsr, writeMsr } from '../../../src/hw/cpu/system/msr';
import { Machine, SEG, SLOT, type Mode } from './machine';

function check(mode: Mode, source: string, expected: string, prepare?: (m: Machine) => void): Machine {
  const m = new Machine(mode, undefined, PAGEWALK_SVM);
  m.state.set(SLOT.EFER, m.state.get(SLOT.EFER) | 1n);
  m.state.set(SLOT.STAR, 0x0013_0008_0000_a000n);
  m.state.set(SLOT.LSTAR, 0xffff_8000_0000_1000n);
  m.state.set(SLOT.CSTAR, 0x40_2000n);
  m.state.set(SLOT.SFMASK, 0x100n);
  prepare?.(m);
  assert.equal(m.run(source), expected, source);
  return m;
}
const SYSCALL = 'db 0x0f, 0x05';
const SYSRET = 'db 0x0f, 0x07';
const code = (m: Machine): unknown[] => [m.state.rip, m.state.cpl, m.selector(SEG.CS), m.state.segment(SEG.CS).rights];

describe('AMD', () => {
  it('SYSCALL from compatibility mode goes to CSTAR, in 64-bit code', () => {
    const m = check('compat', SYSCALL, 'ok', (x) => {
      x.setLevel(3);
      x.state.rflags = 0x302n;
    });
    assert.deepEqual(
      [...code(m), m.state.get(1), m.state.get(11), m.state.rflags],
      [0x40_2000n, 0, 8, 0xa09b, 0x8002n, 0x302n, 0x202n],
    );
    check('compat', SYSCALL, '#UD', (x) => x.state.set(SLOT.EFER, 0x500n));
  });
  it('SYSCALL in legacy modes goes to STAR 31:0, with IF and VM cleared and no flags saved', () => {
    const m = check('protected', SYSCALL, 'ok', (x) => {
      x.setLevel(3);
      x.state.rflags = 0x303n;
      x.state.set(11, 5n);
    });
    assert.deepEqual(
      [...code(m), m.state.get(1), m.state.get(11), m.state.rflags],
      [0xa000n, 0, 8, 0xc09b, 0x8002n, 5n, 0x103n],
    );
  });
  it('SYSRET in legacy modes sets IF; SS keeps its attributes; only CPL 0 of protected mode may', () => {
    const m = check('protected', SYSRET, 'ok', (x) => {
      x.state.set(1, 0x9000n);
      x.state.rflags = 0x3n;
    });
    assert.deepEqual([...code(m), m.state.rflags], [0x9000n, 3, 0x13, 0xc0fb, 0x203n]);
    assert.deepEqual([m.selector(SEG.SS), m.state.segment(SEG.SS).rights], [0x1b, 0xc093]);
    check('protected', SYSRET, '#GP(0)', (x) => void x.setLevel(3));
    check('real', SYSRET, '#GP');
  });
  it('a non-canonical RCX is met by the fetch at CPL 3', () => {
    const m = check('long', 'o64 sysret', 'ok', (x) => x.state.set(1, 0x8000_0000_0000n));
    assert.deepEqual([m.state.rip, m.state.cpl], [0x8000_0000_0000n, 3]);
  });
  it('the single step of SYSCALL and SYSRET goes by TF at their end', () => {
    const of = (source: string, rflags: bigint, r11: bigint): boolean | undefined =>
      check('long', source, 'ok', (x) => {
        x.state.rflags = rflags;
        x.state.set(11, r11);
        x.state.set(1, 0x9000n);
      }).core.stepTrap;
    assert.deepEqual([of(SYSCALL, 0x102n, 0n), of(SYSCALL, 2n, 0n)], [false, undefined]);
    assert.deepEqual(
      [of('o64 sysret', 2n, 0x102n), of('o64 sysret', 0x102n, 2n), of('o64 sysret', 0x102n, 0x102n)],
      [true, false, undefined],
    );
  });
  it('SYSENTER and SYSEXIT are not there in long mode', () => {
    for (const mode of ['long', 'compat'] as const)
      for (const source of ['sysenter', 'sysexit'])
        check(mode, source, '#UD', (x) => x.state.set(SLOT.SYSENTER_CS, 8n));
    check('protected', 'sysenter', 'ok', (x) => x.state.set(SLOT.SYSENTER_CS, 8n));
  });
  it('the legacy performance counters are there, and no CPUID bit says so', () => {
    const m = check('long', 'rdmsr', 'ok', (x) => x.state.set(1, 0xc001_0004n));
    assert.deepEqual([m.state.get(0), m.state.get(2)], [0n, 0n]);
    check('long', 'wrmsr', 'ok', (x) => x.state.set(1, 0xc001_0003n));
  });
  it('DE_CFG is AMD’s alone; a SYSENTER address is not checked; TSC_AUX has 32 bits', () => {
    const intel = new Machine('long', undefined, PAGEWALK_X64);
    const { core } = new Machine('long', undefined, PAGEWALK_SVM);
    assert.deepEqual([readMsr(intel.core, 0xc001_1029), readMsr(core, 0xc001_1029)], [undefined, 0n]);
    assert.deepEqual(
      [2n, 4n].map((v) => writeMsr(core, 0xc001_1029, v) === true),
      [true, false],
    );
    for (const [on, accepted] of [
      [intel.core, false],
      [core, true],
    ] as const) {
      assert.equal(writeMsr(on, 0x175, 1n << 63n) === true, accepted);
      assert.equal(writeMsr(on, 0xc000_0103, 0x1_0000_0005n) === true, accepted);
    }
    assert.equal(readMsr(core, 0xc000_0103), 5n);
  });
});
