import assert from 'node:assert/strict';
import { because } from '../../../src/isa/reasons/index';
import { PAGEWALK_X64 } from '../../../src/hw/cpu/cpuid-model';
import { codeMode } from '../../../src/hw/cpu/system/modes';
import { resetState } from '../../../src/hw/cpu/system/reset';
import { Machine, SEG, SLOT, type Mode } from './machine';

/** Records what the instruction asks of the memory port. */
function check(
  mode: Mode,
  source: string,
  expected: string,
  prepare?: (m: Machine) => void,
): { readonly m: Machine; readonly calls: readonly string[] } {
  const m = new Machine(mode);
  prepare?.(m);
  const calls: string[] = [];
  const port = m.flat.port;
  port.controlsChanged = () => void calls.push('controls');
  port.cr3Loaded = (...a: unknown[]) => void calls.push(`cr3 keep=${String(a[1])}`);
  port.flush = (...a: unknown[]) => void calls.push(`flush globals=${String(a[1])}`);
  port.invlpg = (...a: unknown[]) => void calls.push(`invlpg ${(a[1] as bigint).toString(16)}`);
  assert.equal(m.run(source), expected, `${mode}: ${source}`);
  return { m, calls };
}
const rax =
  (value: bigint, more?: (m: Machine) => void) =>
  (m: Machine): void => {
    m.state.set(0, value);
    more?.(m);
  };
const slot =
  (name: keyof typeof SLOT, value: bigint) =>
  (m: Machine): void =>
    m.state.set(SLOT[name], value);

describe('MOV to CR0 (SDM vol. 2, MOV control registers)', () => {
  it('checks PG with PE, NW with CD, and the upper half', () => {
    check('real', 'mov cr0, eax', '#GP', rax(0x8000_0010n));
    check('real', 'mov cr0, eax', '#GP', rax(0x2000_0010n));
    check('long', 'mov cr0, rax', '#GP(0)', rax(0x1_8000_0011n));
    check('protected', 'mov cr0, eax', '#GP(0)', (m) => {
      m.setLevel(3);
    });
  });
  it('enters protected mode with CS as it was', () => {
    const { m, calls } = check('real', 'mov cr0, eax', 'ok', rax(0x11n));
    assert.equal(m.state.get(SLOT.CR0), 0x11n);
    assert.deepEqual(codeMode(m.state), { bits: 16, stackBits: 16 });
    // a change of PE invalidates too (SDM vol. 3, 12.9)
    assert.deepEqual(calls, ['controls', 'flush globals=true']);
  });
  it('ignores reserved bits and keeps ET', () => {
    assert.equal(check('protected', 'mov cr0, eax', 'ok', rax(0x1ff1_ffc1n)).m.state.get(SLOT.CR0), 0x1_0011n);
  });
  it('activates IA-32e mode: LME and PAE give LMA; without PAE #GP', () => {
    const lme =
      (cr4: bigint) =>
      (m: Machine): void => {
        m.state.set(SLOT.EFER, 0x100n);
        m.state.set(SLOT.CR4, cr4);
      };
    const { m, calls } = check('protected', 'mov cr0, eax', 'ok', rax(0x8000_0011n, lme(0x20n)));
    assert.equal(m.state.get(SLOT.EFER), 0x500n);
    assert.deepEqual(calls, ['controls', 'flush globals=true']);
    assert.equal(codeMode(m.state).bits, 32, 'compatibility mode until CS is loaded');
    check('protected', 'mov cr0, eax', '#GP(0)', rax(0x8000_0011n, lme(0n)));
  });
  it('leaves IA-32e mode from compatibility mode only, and not with PCIDE', () => {
    const compat = (m: Machine): void => {
      m.state.set(0, 0x11n);
    };
    assert.equal(check('compat', 'mov cr0, eax', 'ok', compat).m.state.get(SLOT.EFER), 0x901n);
    check('long', 'mov cr0, rax', '#GP(0)', compat);
    check('compat', 'mov cr0, eax', '#GP(0)', rax(0x11n, slot('CR4', 0x2_0020n)));
  });
  it('loads the PDPTEs of PAE paging and checks their reserved bits', () => {
    const pae =
      (first: bigint) =>
      (m: Machine): void => {
        m.state.set(SLOT.CR4, 0x20n);
        m.state.set(SLOT.CR3, 0x5020n);
        m.write(0x5020, 8, first);
        m.write(0x5038, 8, 0x7001n);
      };
    const { m } = check('protected', 'mov cr0, eax', 'ok', rax(0x8000_0011n, pae(0x6001n)));
    assert.deepEqual(
      [0, 1, 2, 3].map((i) => m.state.get(SLOT.PDPTE0 + i)),
      [0x6001n, 0n, 0n, 0x7001n],
    );
    check('protected', 'mov cr0, eax', '#GP(0)', rax(0x8000_0011n, pae(0x6003n)));
    check('protected', 'mov cr0, eax', 'ok', rax(0x8000_0011n, pae(0x6002n))); // not present: nothing is reserved
  });
});

describe('MOV to CR3, CR4 and CR8', () => {
  it('CR3: reserved bits, and bit 63 with PCIDE', () => {
    assert.deepEqual(check('long', 'mov cr3, rax', 'ok', rax(0x1000n)).calls, ['cr3 keep=false']);
    check('long', 'mov cr3, rax', '#GP(0)', rax(1n << 46n)); // MAXPHYADDR is 46
    check('long', 'mov cr3, rax', '#GP(0)', rax((1n << 63n) | 0x1000n));
    const { m, calls } = check('long', 'mov cr3, rax', 'ok', rax((1n << 63n) | 0x1005n, slot('CR4', 0x2_0020n)));
    assert.deepEqual(calls, ['cr3 keep=true']);
    assert.equal(m.state.get(SLOT.CR3), 0x1005n);
  });
  it('CR4: what the model lacks is reserved', () => {
    for (const [name, n] of [
      ['LA57', 12],
      ['SMXE', 14],
      ['PKE', 22],
    ] as const) {
      check('long', `mov cr4, rax ; ${name}`, '#GP(0)', rax(0x20n | (1n << BigInt(n))));
    }
    for (const [name, n] of [
      ['TSD', 2],
      ['PSE', 4],
      ['PGE', 7],
      ['OSFXSR', 9],
      ['OSXMMEXCPT', 10],
      ['VMXE', 13],
      ['FSGSBASE', 16],
      ['OSXSAVE', 18],
      ['SMEP', 20],
      ['SMAP', 21],
    ] as const) {
      check('long', `mov cr4, rax ; ${name}`, 'ok', rax(0x20n | (1n << BigInt(n))));
    }
  });
  it('CR4: PAE cannot be cleared in IA-32e mode; PCIDE needs it and CR3 bits 11:0 clear', () => {
    check('long', 'mov cr4, rax', '#GP(0)', rax(0n));
    check('protected', 'mov cr4, eax', '#GP(0)', rax(0x2_0000n));
    check('long', 'mov cr4, rax', '#GP(0)', rax(0x2_0020n, slot('CR3', 0x1008n)));
    check('long', 'mov cr4, rax', 'ok', rax(0x2_0020n, slot('CR3', 0x1000n)));
  });
  it('CR4 flushes as SDM vol. 3, 4.10.4.1 says', () => {
    const flush = (old: bigint, value: bigint): readonly string[] =>
      check('long', 'mov cr4, rax', 'ok', rax(value, slot('CR4', old))).calls;
    assert.deepEqual(flush(0x20n, 0xa0n), ['controls', 'flush globals=true']); // PGE
    assert.deepEqual(flush(0x2_0020n, 0x20n), ['controls', 'flush globals=true']); // PCIDE 1 to 0
    assert.deepEqual(flush(0x20n, 0x2_0020n), ['controls']);
    assert.deepEqual(flush(0x20n, 0x10_0020n), ['controls', 'flush globals=false']); // SMEP 0 to 1
    assert.deepEqual(flush(0x10_0020n, 0x20n), ['controls']);
    assert.deepEqual(flush(0x20n, 0x20_0020n), ['controls']); // SMAP
  });
  it('CR8 holds four bits, CR1 does not exist', () => {
    assert.equal(check('long', 'mov cr8, rax', 'ok', rax(5n)).m.state.get(SLOT.CR8), 5n);
    check('long', 'mov cr8, rax', '#GP(0)', rax(0x10n));
    check('long', 'db 0x0f, 0x22, 0xc8', '#UD');
  });
});

describe('LMSW SMSW CLTS', () => {
  it('LMSW sets PE and never clears it', () => {
    assert.equal(check('real', 'lmsw ax', 'ok', rax(0xffffn)).m.state.get(SLOT.CR0), 0x6000_001fn);
    assert.equal(check('protected', 'lmsw ax', 'ok', rax(0n)).m.state.get(SLOT.CR0), 0x11n);
  });
  it('SMSW at level 3 is allowed without UMIP', () => {
    assert.equal(check('protected', 'smsw eax', 'ok', (m) => void m.setLevel(3)).m.state.get(0), 0x11n);
    check('protected', 'smsw eax', '#GP(0)', (m) => {
      m.setLevel(3);
      m.state.set(SLOT.CR4, 0x800n);
    });
    check('protected', 'clts', '#GP(0)', (m) => void m.setLevel(3));
  });
});

describe('debug registers (SDM vol. 3, 17.2)', () => {
  it('DR6 and DR7 keep their fixed bits; DR4 is DR6 unless CR4.DE', () => {
    assert.equal(check('long', 'mov dr6, rax', 'ok', rax(0n)).m.state.get(SLOT.DR6), 0xffff_0ff0n);
    assert.equal(check('long', 'mov dr7, rax', 'ok', rax(0xffff_ffffn & ~0x2000n)).m.state.get(SLOT.DR7), 0xffff_07ffn);
    check('long', 'mov dr7, rax', '#GP(0)', rax(1n << 32n));
    assert.equal(check('long', 'mov rax, dr4', 'ok').m.state.get(0), 0xffff_0ff0n);
    check('long', 'mov rax, dr4', '#UD', slot('CR4', 0x28n));
  });
  it('DR7.GD makes the access a #DB, whose delivery sets BD and clears GD', () => {
    const { m } = check('long', 'mov rax, dr0', '#DB', slot('DR7', 0x2400n));
    assert.deepEqual(
      [m.state.get(SLOT.DR7), m.state.get(SLOT.DR6) & 0x2000n],
      [0x2400n, 0n],
      'an intercepted #DB changes neither',
    );
    m.deliver({ kind: 'fault', why: because('injected'), vector: 1, debug: 0x2000n });
    assert.deepEqual([m.state.get(SLOT.DR7), m.state.get(SLOT.DR6) & 0x2000n], [0x400n, 0x2000n]);
  });
});

describe('INVLPG and INVPCID', () => {
  it('INVLPG takes the linear address and nothing else', () => {
    assert.deepEqual(check('long', 'invlpg [rax]', 'ok', rax(0x1234_5678n)).calls, ['invlpg 12345678']);
    assert.deepEqual(check('long', 'invlpg [rax]', 'ok', rax(0x8000_0000_0000n)).calls, []);
    check('long', 'invlpg [rax]', '#GP(0)', (m) => void m.setLevel(3));
  });
  it('INVPCID checks type, descriptor and PCID', () => {
    const with_ =
      (type: bigint, low: bigint, high: bigint, cr4 = 0x2_0020n) =>
      (m: Machine): void => {
        m.state.set(0, type);
        m.state.set(3, 0x5000n);
        m.state.set(SLOT.CR4, cr4);
        m.state.set(SLOT.CR3, 0x1005n);
        m.write(0x5000, 8, low);
        m.write(0x5008, 8, high);
      };
    const source = 'invpcid rax, [rbx]';
    assert.deepEqual(check('long', source, 'ok', with_(0n, 5n, 0x7000n)).calls, ['invlpg 7000']);
    assert.deepEqual(check('long', source, 'ok', with_(1n, 5n, 0n)).calls, ['cr3 keep=false']);
    assert.deepEqual(check('long', source, 'ok', with_(1n, 6n, 0n)).calls, ['flush globals=false']);
    assert.deepEqual(check('long', source, 'ok', with_(2n, 0n, 0n)).calls, ['flush globals=true']);
    check('long', source, '#GP(0)', with_(4n, 0n, 0n));
    check('long', source, '#GP(0)', with_(2n, 0x1000n, 0n));
    check('long', source, '#GP(0)', with_(0n, 0n, 0x8000_0000_0000n));
    check('long', source, '#GP(0)', with_(0n, 5n, 0n, 0x20n));
  });
});

describe('power-up state (SDM vol. 3, table 9-1)', () => {
  it('starts at F000:FFF0 over base FFFF0000', () => {
    const { state: s } = new Machine('real');
    resetState(s, PAGEWALK_X64);
    assert.deepEqual([s.rip, s.rflags, s.get(SLOT.CR0), s.get(2)], [0xfff0n, 2n, 0x6000_0010n, 0x506e3n]);
    assert.deepEqual(s.segment(SEG.CS), { selector: 0xf000, base: 0xffff_0000n, limit: 0xffff, rights: 0x9b });
    assert.equal(s.get(SLOT.PAT), 0x0007_0406_0007_0406n);
  });
});
