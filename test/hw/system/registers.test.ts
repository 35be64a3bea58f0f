import assert from 'node:assert/strict';
import { defineCpu, PAGEWALK_X64 } from '../../../src/hw/cpu/cpuid-model';
import { readMsr, writeMsr } from '../../../src/hw/cpu/system/msr';
import { Machine, SEG, SLOT, type Mode } from './machine';

function check(mode: Mode, source: string, expected: string, prepare?: (m: Machine) => void): Machine {
  const m = new Machine(mode);
  prepare?.(m);
  assert.equal(m.run(source), expected, `${mode}: ${source}`);
  return m;
}
const msr =
  (index: number, value: bigint) =>
  (m: Machine): void => {
    m.state.set(1, BigInt(index));
    m.state.set(0, value & 0xffff_ffffn);
    m.state.set(2, value >> 32n);
  };

describe('CPUID (SDM vol. 2)', () => {
  const leaf = (n: number, sub = 0): readonly number[] => PAGEWALK_X64.leaf(n, sub);
  it('names the vendor and the highest leaves; unknown ones answer as the highest basic leaf', () => {
    const [max, b, c, d] = leaf(0);
    assert.equal(
      Buffer.from(new Uint32Array([b as number, d as number, c as number]).buffer).toString('latin1'),
      'GenuineIntel',
    );
    assert.deepEqual(leaf(0x4000_0000), leaf(max as number));
    assert.deepEqual(leaf(0x8000_0009), leaf(max as number));
  });
  it('claims what is there and nothing else', () => {
    const [, , ecx, edx] = leaf(1);
    const bit = (v: number | undefined, n: number): boolean => (((v as number) >>> n) & 1) === 1;
    assert.equal(bit(edx, 9), false, 'EDX 9: APIC');
    for (const n of [0, 23, 24, 25, 26]) assert.equal(bit(edx, n), true, `EDX ${n}: FPU MMX FXSR SSE SSE2`);
    for (const n of [3, 4, 5, 6, 7, 8, 11, 12, 13, 14, 15, 16])
      assert.equal(bit(edx, n), true, `EDX ${n}: PSE TSC MSR PAE MCE CX8 SEP MTRR PGE MCA CMOV PAT`);
    for (const n of [5, 13, 17, 22, 23, 26, 30])
      assert.equal(bit(ecx, n), true, `ECX ${n}: VMX CX16 PCID MOVBE POPCNT XSAVE RDRAND`);
    assert.deepEqual(leaf(0xd), [3, 576, 576, 0]);
    assert.deepEqual(leaf(0xd, 1), [0, 0, 0, 0]);
    assert.deepEqual(leaf(7, 1), [0, 0, 0, 0]);
    assert.equal(leaf(0x8000_0008)[0], 0x302e);
  });
  it('a feature makes its CR4 bit writable', () => {
    const wide = defineCpu({
      name: 't',
      vendor: 'intel',
      brand: '',
      family: 6,
      model: 1,
      stepping: 0,
      physicalBits: 52,
      linearBits: 57,
      features: ['LA57', 'PAE'],
    });
    assert.equal(wide.cr4Mask, 0x1020n);
    assert.equal(wide.leaf(7, 0)[2], 1 << 16);
  });
  it('shows SYSCALL in 64-bit mode only', () => {
    const prepare = (m: Machine): void => m.state.set(0, 0x8000_0001n);
    assert.notEqual(check('long', 'cpuid', 'ok', prepare).state.get(2) & 0x800n, 0n);
    assert.equal(check('compat', 'cpuid', 'ok', prepare).state.get(2) & 0x800n, 0n);
  });
});

describe('RDMSR and WRMSR (SDM vol. 2; vol. 4)', () => {
  it('round-trip the simple ones', () => {
    for (const [index, value] of [
      [0xc000_0081, 0x0023_0010_0000_0000n],
      [0xc000_0082, 0xffff_8000_0000_1000n],
      [0xc000_0100, 0x7fff_0000n],
      [0x174, 8n],
    ] as const) {
      const m = check('long', 'wrmsr', 'ok', msr(index, value));
      assert.equal(m.run('rdmsr'), 'ok');
      assert.equal((m.state.get(2) << 32n) | m.state.get(0), value);
    }
  });
  it('refuse the unknown, the non-canonical and the reserved', () => {
    check('long', 'rdmsr', '#GP(0)', msr(0x1234_5678, 0n));
    check('long', 'rdmsr', '#GP(0)', msr(0x1b, 0n)); // no APIC in the model
    for (const index of [0xc000_0082, 0xc000_0083, 0xc000_0100, 0xc000_0101, 0xc000_0102, 0x175, 0x176])
      check('long', 'wrmsr', '#GP(0)', msr(index, 0x8000_0000_0000n));
    check('long', 'wrmsr', '#GP(0)', msr(0x277, 0x0207_0406_0007_0406n)); // PAT type 2
    check('long', 'wrmsr', '#GP(0)', msr(0xc000_0084, 1n << 32n));
    check('long', 'rdmsr', '#GP(0)', (m) => {
      m.setLevel(3);
      msr(0xc000_0082, 0n)(m);
    });
  });
  it('EFER: reserved bits, LME while paging, LMA kept', () => {
    check('long', 'wrmsr', '#GP(0)', msr(0xc000_0080, 0x1d01n)); // SVME is not offered
    check('long', 'wrmsr', '#GP(0)', msr(0xc000_0080, 0x801n)); // LME cannot change under paging
    const m = check('long', 'wrmsr', 'ok', msr(0xc000_0080, 0x101n)); // LMA written as 0 stays
    assert.equal(m.state.get(SLOT.EFER), 0x501n);
    assert.equal(check('protected', 'wrmsr', 'ok', msr(0xc000_0080, 0x100n)).state.get(SLOT.EFER), 0x100n);
  });
  it('FEATURE_CONTROL locks', () => {
    const { core } = new Machine('long');
    assert.equal(writeMsr(core, 0x3a, 5n), true);
    assert.notEqual(writeMsr(core, 0x3a, 0n), true);
    assert.equal(readMsr(core, 0x3a), 5n);
  });
  it('the TSC is guest time plus what was written', () => {
    const m = new Machine('long');
    m.state.set(SLOT.RETIRED, 1000n);
    assert.equal(writeMsr(m.core, 0x10, 5000n), true);
    m.state.set(SLOT.RETIRED, 1010n);
    assert.equal(m.run('rdtsc'), 'ok');
    assert.deepEqual([m.state.get(0), m.state.get(2)], [5010n, 0n]);
    m.setLevel(3);
    m.state.set(SLOT.CR4, 0x24n);
    assert.equal(m.run('rdtsc'), '#GP(0)');
  });
});

describe('FS and GS bases', () => {
  it('WRFSBASE wants CR4.FSGSBASE, 64-bit mode and a canonical base', () => {
    const on =
      (v: bigint) =>
      (m: Machine): void => {
        m.state.set(SLOT.CR4, 0x1_0020n);
        m.state.set(0, v);
      };
    check('long', 'wrfsbase rax', '#UD');
    assert.equal(
      check('long', 'wrfsbase rax', 'ok', on(0x7fff_ffff_f000n)).state.segmentBase(SEG.FS),
      0x7fff_ffff_f000n,
    );
    check('long', 'wrgsbase rax', '#GP(0)', on(0x8000_0000_0000n));
    check('compat', 'db 0xf3, 0x0f, 0xae, 0xd0', '#UD', on(0n));
  });
  it('SWAPGS exchanges the bases at level 0', () => {
    const m = check('long', 'swapgs', 'ok', (x) => {
      x.state.set(SLOT.SEG_BASE + SEG.GS, 0x1000n);
      x.state.set(SLOT.KERNEL_GS_BASE, 0x2000n);
    });
    assert.deepEqual([m.state.segmentBase(SEG.GS), m.state.get(SLOT.KERNEL_GS_BASE)], [0x2000n, 0x1000n]);
    check('long', 'swapgs', '#GP(0)', (x) => void x.setLevel(3));
  });
});

describe('SYSCALL SYSRET SYSENTER SYSEXIT (SDM vol. 2)', () => {
  const star = (m: Machine): void => {
    m.state.set(SLOT.STAR, 0x0013_0008_0000_0000n);
    m.state.set(SLOT.LSTAR, 0xffff_8000_0000_1000n);
    m.state.set(SLOT.SFMASK, 0x200n);
  };
  it('SYSCALL saves RIP and RFLAGS and loads flat segments', () => {
    const m = check('long', 'syscall', 'ok', (x) => {
      x.setLevel(3);
      star(x);
      x.state.rflags = 0x202n;
    });
    const s = m.state;
    assert.deepEqual([s.get(1), s.get(11), s.rip, s.rflags, s.cpl], [0x8002n, 0x202n, 0xffff_8000_0000_1000n, 2n, 0]);
    assert.deepEqual(s.segment(SEG.CS), { selector: 8, base: 0n, limit: 0xffff_ffff, rights: 0xa09b });
    assert.deepEqual(s.segment(SEG.SS), { selector: 0x10, base: 0n, limit: 0xffff_ffff, rights: 0xc093 });
    check('long', 'syscall', '#UD', (x) => x.state.set(SLOT.EFER, 0x500n));
    check('compat', 'db 0x0f, 0x05', '#UD', star);
  });
  it('SYSRET returns to 64-bit or 32-bit code; a non-canonical RCX is #GP at level 0', () => {
    const back =
      (rcx: bigint) =>
      (x: Machine): void => {
        star(x);
        x.state.set(1, rcx);
        x.state.set(11, 0x3_7fd7n | (1n << 16n));
      };
    const m = check('long', 'o64 sysret', 'ok', back(0x40_0000n));
    assert.deepEqual([m.selector(SEG.CS), m.selector(SEG.SS), m.state.cpl, m.state.rip], [0x23, 0x1b, 3, 0x40_0000n]);
    assert.equal(m.state.rflags & 0x1_0000n, 0n, 'RF is cleared');
    const n = check('long', 'db 0x0f, 0x07', 'ok', back(0x1_0040_0000n));
    assert.deepEqual([n.selector(SEG.CS), n.state.rip, n.state.segment(SEG.CS).rights], [0x13, 0x40_0000n, 0xc0fb]);
    check('long', 'o64 sysret', '#GP(0)', back(0x8000_0000_0000n));
    check('long', 'o64 sysret', '#GP(0)', (x) => {
      back(0n)(x);
      x.setLevel(3);
    });
  });
  it('SYSENTER and SYSEXIT use their own MSRs', () => {
    const enter = (x: Machine): void => {
      x.setLevel(3);
      x.state.set(SLOT.SYSENTER_CS, 8n);
      x.state.set(SLOT.SYSENTER_ESP, 0x7000n);
      x.state.set(SLOT.SYSENTER_EIP, 0x9000n);
      x.state.rflags = 0x202n;
    };
    const m = check('protected', 'sysenter', 'ok', enter);
    assert.deepEqual(
      [m.selector(SEG.CS), m.selector(SEG.SS), m.state.cpl, m.state.rip, m.state.get(4), m.state.rflags],
      [8, 0x10, 0, 0x9000n, 0x7000n, 2n],
    );
    m.state.set(1, 0x6000n);
    m.state.set(2, 0xa000n);
    assert.equal(m.run('sysexit'), 'ok');
    assert.deepEqual(
      [m.selector(SEG.CS), m.selector(SEG.SS), m.state.cpl, m.state.rip, m.state.get(4)],
      [0x1b, 0x23, 3, 0xa000n, 0x6000n],
    );
    check('protected', 'sysenter', '#GP(0)');
    check('real', 'sysenter', '#GP');
    assert.equal(
      check('compat', 'sysenter', 'ok', enter).state.segment(SEG.CS).rights,
      0xa09b,
      '64-bit code in IA-32e mode',
    );
  });
});
