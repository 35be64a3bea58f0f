/** MMX as a guest sees it: availability, what it does to x87, faults; results are the native oracle's business. */
import * as assert from 'node:assert/strict';
import { SLOT } from '../../../src/hw/state/layout';
import type { Machine } from '../system/machine';
import { machine, ok, setXmm, st, xmm } from './machine';

const DATA = 0x5000;
const mm = (m: Machine, i: number): bigint => m.state.get(SLOT.FPR + 2 * i);
const top = (m: Machine): number => (m.state.get32(SLOT.FSW) >> 11) & 7;
const tags = (m: Machine): number => m.state.get32(SLOT.FTW);
/** Four values on the x87 stack: TOP 4. */
const withStack = (): Machine => ok(machine('long'), 'fld1', 'fldz', 'fld1', 'fld1');

describe('MMX', () => {
  it('#UD by CR0.EM, #NM by CR0.TS, #MF while an x87 exception is pending; CR4.OSFXSR does not matter', () => {
    for (const source of ['paddb mm0, mm1', 'movd mm0, eax', 'emms', 'pshufw mm0, mm1, 1', 'maskmovq mm0, mm1']) {
      const at = (cr0: bigint): string => {
        const m = machine('long');
        m.state.set(SLOT.CR0, 0x8000_0011n | cr0);
        m.state.set(SLOT.CR4, 0x20n);
        return m.run(source);
      };
      assert.equal(at(4n), '#UD', source);
      assert.equal(at(12n), '#UD', source);
      assert.equal(at(8n), '#NM', source);
      assert.equal(at(0n), 'ok', source);
      const pending = machine('long');
      pending.state.set32(SLOT.FSW, 0x8081);
      assert.equal(pending.run(source), '#MF', source);
    }
    for (const source of ['movq2dq xmm0, mm1', 'movdq2q mm0, xmm1', 'cvtps2pi mm0, xmm1', 'cvtpi2pd xmm0, mm1']) {
      const m = machine('long');
      m.state.set(SLOT.CR4, 0x20n);
      assert.equal(m.run(source), '#UD', source);
    }
  });

  it('writing sets TOP to 0, all tags to valid and the bits above to ones; the other registers keep their values', () => {
    const m = withStack();
    const r6 = m.state.get32(SLOT.FPR + 13);
    m.state.set(1, 0x1122_3344_5566_7788n);
    ok(m, 'movq mm3, rcx');
    assert.deepEqual([top(m), tags(m), st(m, 3)], [0, 0xff, 'ffff:1122334455667788']);
    assert.equal(m.state.get32(SLOT.FPR + 13), r6);
  });
  it('reading sets TOP and tags alone; EMMS empties the registers', () => {
    const m = withStack();
    const before = Array.from({ length: 16 }, (_, i) => m.state.get(SLOT.FPR + i));
    ok(m, 'movd eax, mm5');
    assert.deepEqual([top(m), tags(m)], [0, 0xff]);
    ok(m, 'emms');
    assert.deepEqual([top(m), tags(m)], [0, 0]);
    assert.deepEqual(
      Array.from({ length: 16 }, (_, i) => m.state.get(SLOT.FPR + i)),
      before,
    );
    ok(m, 'fld1');
    assert.equal(st(m), '3fff:8000000000000000');
  });
  it('FXSAVE stores MMX registers as the significands of ST(i)', () => {
    const m = machine('long');
    m.state.set(1, 0xcafe_babe_dead_beefn);
    ok(m, 'movq mm2, rcx', 'fxsave [5000h]');
    assert.equal(m.read(DATA + 32 + 16 * 2, 8), 0xcafe_babe_dead_beefn);
    assert.equal(m.read(DATA + 40 + 16 * 2, 2), 0xffffn);
    assert.equal(m.read(DATA + 4, 1), 0xffn);
    ok(m, 'emms', 'fxrstor [5000h]', 'movq mm7, mm2');
    assert.equal(mm(m, 7), 0xcafe_babe_dead_beefn);
  });

  it('a faulting operand changes nothing', () => {
    const m = ok(machine('protected'), 'fld1', 'fldz', 'fld1', 'fld1');
    // FS is unusable
    m.state.set32(SLOT.RIGHTS + 4, 0x1_0000);
    for (const source of ['paddw mm0, [fs:0]', 'movq [fs:0], mm0', 'cvttps2pi mm0, [fs:0]']) {
      assert.equal(m.run(source), '#GP(0)');
      assert.deepEqual([top(m), tags(m)], [4, 0xf0], source);
    }
  });
  it('integers in memory are converted without touching x87; in registers they are not', () => {
    const m = withStack();
    m.write(DATA, 8, 0xffff_fffe_0000_0003n);
    ok(m, 'cvtpi2pd xmm1, [5000h]');
    assert.equal(xmm(m, 1), 0xc000_0000_0000_0000_4008_0000_0000_0000n);
    assert.deepEqual([top(m), tags(m)], [4, 0xf0]);
    ok(m, 'cvtpi2pd xmm1, mm0');
    assert.deepEqual([top(m), tags(m)], [0, 0xff]);
  });
  it('CVTSD2SI and CVTTSS2SI take their value from memory', () => {
    const m = machine('long');
    m.write(DATA, 8, 0x4059_0000_0000_0000n);
    ok(m, 'cvtsd2si rax, [5000h]', 'cvttsd2si ecx, [5000h]');
    assert.deepEqual([m.state.get(0), m.state.get(1)], [100n, 100n]);
  });
  it('MASKMOVQ stores the chosen bytes and needs no access to the others', () => {
    const m = machine('long');
    m.state.set(7, BigInt(DATA));
    m.write(DATA, 8, 0n);
    m.state.set(1, 0x80_00_00_80_00_00_00_80n);
    m.state.set(2, 0x11_22_33_44_55_66_77_88n);
    ok(m, 'movq mm1, rcx', 'movq mm2, rdx', 'maskmovq mm2, mm1');
    assert.equal(m.read(DATA, 8), 0x11_00_00_44_00_00_00_88n);
    m.state.set(7, 0x8000_0000_0000_0000n);
    ok(m, 'pxor mm1, mm1', 'maskmovq mm2, mm1');
  });
  it('pack, unpack, shuffle and shift 64 bits', () => {
    const m = machine('long');
    const run = (a: bigint, b: bigint, source: string): string => {
      m.state.set(1, a);
      m.state.set(2, b);
      ok(m, 'movq mm0, rcx', 'movq mm1, rdx', source);
      return mm(m, 0).toString(16).padStart(16, '0');
    };
    const a = 0x0706_0504_0302_0100n;
    const b = 0x1716_1514_1312_1110n;
    assert.equal(run(a, b, 'punpcklbw mm0, mm1'), '1303120211011000');
    assert.equal(run(a, b, 'punpckhbw mm0, mm1'), '1707160615051404');
    assert.equal(run(a, b, 'punpckhdq mm0, mm1'), '1716151407060504');
    assert.equal(run(0x7fff_8000_0001_ffffn, 0x0080_ff7f_0002_0100n, 'packsswb mm0, mm1'), '7f80027f7f8001ff');
    assert.equal(run(a, b, 'pshufw mm0, mm1, 0x1b'), '1110131215141716');
    assert.equal(run(a, 4n, 'psllw mm0, mm1'), '7060504030201000');
    assert.equal(run(a, 1n << 32n, 'psrlq mm0, mm1'), '0000000000000000');
    setXmm(m, 3, (5n << 64n) | 9n);
    ok(m, 'movdq2q mm0, xmm3', 'movq2dq xmm4, mm0');
    assert.equal(xmm(m, 4), 9n);
  });
});
