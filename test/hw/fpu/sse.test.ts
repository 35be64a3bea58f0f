/** SSE as a guest sees it: availability, alignment, exceptions, and the saving of state; results are the native oracle's business. */
import * as assert from 'node:assert/strict';
import { because } from '../../../src/isa/reasons/index';
import { SLOT } from '../../../src/hw/state/layout';
import type { Machine } from '../system/machine';
import { machine, ok, setXmm, st, xmm } from './machine';

const DATA = 0x5000;
const mxcsr = (m: Machine): number => m.state.get32(SLOT.MXCSR);
const PATTERN = 0x0f0e_0d0c_0b0a_0908_0706_0504_0302_0100n;

describe('SSE', () => {
  it('#UD by CR0.EM or without CR4.OSFXSR, then #NM by CR0.TS', () => {
    for (const source of [
      'addps xmm0, xmm1',
      'movd xmm0, eax',
      'pxor xmm0, xmm0',
      'ldmxcsr [5000h]',
      'stmxcsr [5000h]',
    ]) {
      const at = (cr0: bigint, cr4: bigint): string => {
        const m = machine('long');
        m.state.set(SLOT.CR0, 0x8000_0011n | cr0);
        m.state.set(SLOT.CR4, cr4);
        return m.run(source);
      };
      assert.equal(at(4n, 0x620n), '#UD', source);
      assert.equal(at(0n, 0x20n), '#UD', source);
      assert.equal(at(8n, 0x620n), '#NM', source);
      assert.equal(at(8n, 0x20n), '#UD', source);
      assert.equal(at(0n, 0x620n), 'ok', source);
    }
  });
  it('what needs no vector state: MOVNTI, fences, PREFETCH, CLFLUSH, PAUSE', () => {
    const m = machine('long');
    m.state.set(SLOT.CR0, 0x8000_001dn);
    m.state.set(SLOT.CR4, 0x20n);
    m.state.set(0, 0x1122_3344_5566_7788n);
    ok(m, 'movnti [5000h], rax', 'mfence', 'lfence', 'sfence', 'prefetcht0 [5000h]', 'clflush [5000h]', 'pause');
    assert.equal(m.read(DATA, 8), 0x1122_3344_5566_7788n);
  });
  it('instructions of other extensions are undefined', () => {
    for (const source of [
      'haddps xmm0, xmm1',
      'pshufb xmm0, xmm1',
      'pshufb mm0, mm1',
      'vaddps xmm0, xmm1, xmm2',
      'fisttp dword [5000h]',
      'pextrw [5000h], xmm0, 1',
    ]) {
      assert.equal(machine('long').run(source), '#UD', source);
    }
  });

  it('unaligned 128-bit operands are #GP, except for the moves that take them', () => {
    for (const mode of ['long', 'protected'] as const) {
      const m = machine(mode);
      for (const source of [
        'movaps xmm0, [5008h]',
        'movaps [5008h], xmm0',
        'addps xmm0, [5004h]',
        'pshufd xmm0, [5001h], 0',
        'movntdq [5008h], xmm0',
      ]) {
        assert.equal(m.run(source), '#GP(0)', source);
      }
      ok(m, 'movups xmm0, [5001h]', 'movdqu [5003h], xmm0', 'addss xmm0, [5003h]', 'addsd xmm0, [5005h]');
    }
  });
  it('segment limits cover all 16 bytes', () => {
    const m = machine('protected');
    m.state.set32(SLOT.LIMIT + 3, 0x500e);
    assert.equal(m.run('movups xmm0, [5000h]'), '#GP(0)');
    m.state.set32(SLOT.LIMIT + 3, 0x500f);
    ok(m, 'movups xmm0, [5000h]');
  });
  it('a store over two pages writes both or neither; a load that faults leaves its register', () => {
    const m = machine('long');
    setXmm(m, 0, PATTERN);
    m.denyWrites(0x6000, 0x7000);
    for (const at of ['5ff8h', '5ffch', '5ff1h']) {
      assert.equal(m.run(`movups [${at}], xmm0`), '#PF(2)', at);
      assert.equal(m.read(0x5ff0, 16), 0n, at);
    }
    m.flat.port.guard = (linear, size) =>
      linear + BigInt(size) > 0x6000n
        ? { kind: 'fault', why: because('injected'), vector: 14, errorCode: 0, cr2: linear }
        : undefined;
    assert.equal(m.run('movups xmm0, [5ff8h]'), '#PF(0)');
    assert.equal(xmm(m, 0), PATTERN);
  });

  it('an unmasked exception is #XM, or #UD without CR4.OSXMMEXCPT; flags are set and the destination stays', () => {
    const m = machine('long');
    setXmm(m, 0, 0x3f80_0000n);
    m.state.set32(SLOT.MXCSR, 0x1d80); // zero divide unmasked
    assert.equal(m.run('divss xmm0, xmm1'), '#XM');
    assert.equal(mxcsr(m), 0x1d84);
    assert.equal(xmm(m, 0), 0x3f80_0000n);
    m.state.set(SLOT.CR4, 0x220n);
    assert.equal(m.run('divss xmm0, xmm1'), '#UD');
    m.state.set32(SLOT.MXCSR, 0x1f80);
    ok(m, 'divss xmm0, xmm1');
    assert.equal(xmm(m, 0), 0x7f80_0000n);
  });
  it('LDMXCSR: reserved bits are #GP', () => {
    const m = machine('long');
    m.write(DATA, 4, 0x1_0000n);
    assert.equal(m.run('ldmxcsr [5000h]'), '#GP(0)');
    m.write(DATA, 4, 0xffc0n);
    ok(m, 'ldmxcsr [5000h]', 'stmxcsr [5004h]');
    assert.equal(m.read(DATA + 4, 4), 0xffc0n);
  });
  it('MASKMOVDQU stores the chosen bytes', () => {
    const m = machine('long');
    setXmm(m, 0, PATTERN);
    setXmm(m, 1, 0x80n | (0xffn << 64n) | (0x7fn << 72n));
    m.state.set(7, BigInt(DATA));
    m.write(DATA, 16, (1n << 128n) - 1n);
    ok(m, 'maskmovdqu xmm0, xmm1');
    assert.equal(m.read(DATA, 16), 0xffff_ffff_ffff_ff08_ffff_ffff_ffff_ff00n);
  });

  it('FXSAVE and FXRSTOR: the layout, 16-byte alignment, MXCSR checked, XMM8 and up in 64-bit mode only', () => {
    const m = machine('long');
    setXmm(m, 0, PATTERN);
    setXmm(m, 15, PATTERN + 1n);
    ok(m, 'fldpi', 'fld1', 'fxsave64 [5000h]');
    assert.equal(m.read(DATA, 2), 0x37fn);
    assert.equal(m.read(DATA + 2, 2), 0x3000n);
    assert.equal(m.read(DATA + 4, 1), 0xc0n);
    assert.equal(m.read(DATA + 24, 8), 0xffff_0000_1f80n);
    assert.equal(m.read(DATA + 48, 10), 0x4000_c90f_daa2_2168_c235n);
    assert.equal(m.read(DATA + 160, 16), PATTERN);
    assert.equal(m.read(DATA + 400, 16), PATTERN + 1n);
    assert.equal(m.run('fxsave [5008h]'), '#GP(0)');
    ok(m, 'fninit', 'pxor xmm0, xmm0', 'fxrstor64 [5000h]');
    assert.equal(xmm(m, 0), PATTERN);
    assert.equal(st(m, 1), '4000:c90fdaa22168c235');
    m.write(DATA + 24, 4, 0x1_1f80n);
    ok(m, 'pxor xmm0, xmm0');
    assert.equal(m.run('fxrstor [5000h]'), '#GP(0)');
    assert.equal(xmm(m, 0), 0n, 'nothing was loaded');
    const narrow = machine('protected');
    setXmm(narrow, 8, PATTERN);
    narrow.write(DATA + 288, 16, 5n);
    ok(narrow, 'fxsave [5000h]');
    assert.equal(narrow.read(DATA + 288, 16), 5n);
  });

  it('XSAVE and XRSTOR: what EDX:EAX and XCR0 choose; what the header says is initial becomes so', () => {
    const m = machine('long');
    setXmm(m, 3, PATTERN);
    m.state.set(0, 7n);
    m.state.set(2, 0n);
    m.write(DATA + 512, 8, 0xf0n);
    ok(m, 'fldpi', 'xsave [5000h]');
    assert.equal(m.read(DATA + 512, 8), 0xf3n);
    assert.equal(m.read(DATA + 208, 16), PATTERN);
    m.write(DATA + 512, 8, 1n); // SSE initial
    ok(m, 'fninit', 'xrstor [5000h]');
    assert.equal(st(m), '4000:c90fdaa22168c235');
    assert.equal(xmm(m, 3), 0n);
    m.write(DATA + 512, 8, 4n);
    assert.equal(m.run('xrstor [5000h]'), '#GP(0)', 'a component that XCR0 lacks');
    m.write(DATA + 512, 16, 1n << 127n);
    assert.equal(m.run('xrstor [5000h]'), '#GP(0)', 'compacted');
    assert.equal(m.run('xsave [5010h]'), '#GP(0)', 'alignment');
    m.state.set(SLOT.CR4, 0x620n);
    assert.equal(m.run('xsave [5000h]'), '#UD');
    assert.equal(m.run('xgetbv'), '#UD');
  });
  it('XSETBV: x87 always, SSE at will, nothing else', () => {
    const m = machine('long');
    const set = (rcx: bigint, rax: bigint): string => {
      m.state.set(1, rcx);
      m.state.set(0, rax);
      m.state.set(2, 0n);
      return m.run('xsetbv');
    };
    assert.equal(set(0n, 1n), 'ok');
    assert.equal(set(0n, 3n), 'ok');
    for (const value of [0n, 2n, 7n]) assert.equal(set(0n, value), '#GP(0)');
    assert.equal(set(1n, 3n), '#GP(0)');
    m.state.set(1, 0n);
    ok(m, 'xgetbv');
    assert.equal(m.state.get(0), 3n);
  });
  it('RDRAND and RDSEED repeat from the same state', () => {
    const values = (m: Machine): bigint[] =>
      ['rdrand rax', 'rdseed rax', 'rdrand rax'].map((source) => {
        ok(m, source);
        assert.equal(Number(m.state.rflags & 0x8d5n), 1);
        return m.state.get(0);
      });
    const first = values(machine('long'));
    assert.equal(new Set(first).size, 3);
    assert.deepEqual(values(machine('long')), first);
  });
});
