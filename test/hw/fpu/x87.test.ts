/** x87 as a guest sees it: availability, pending exceptions, the stack, environments; results are the native oracle's business. */
import * as assert from 'node:assert/strict';
import { SLOT } from '../../../src/hw/state/layout';
import { machine, ok, st } from './machine';

const DATA = 0x5000;
const fsw = (m: ReturnType<typeof machine>): number => m.state.get32(SLOT.FSW);

describe('x87', () => {
  it('#NM by CR0.EM and TS; WAIT only by MP and TS together', () => {
    const at = (cr0: bigint, source: string): string => {
      const m = machine('long');
      m.state.set(SLOT.CR0, 0x8000_0011n | cr0);
      return m.run(source);
    };
    for (const source of ['fld1', 'fnstcw [5000h]', 'fninit', 'fxsave [5000h]', 'fnstenv [5000h]']) {
      assert.equal(at(4n, source), '#NM', `EM: ${source}`);
      assert.equal(at(8n, source), '#NM', `TS: ${source}`);
      assert.equal(at(2n, source), 'ok', `MP: ${source}`);
    }
    assert.equal(at(8n, 'fwait'), 'ok');
    assert.equal(at(4n, 'fwait'), 'ok');
    assert.equal(at(0xan, 'fwait'), '#NM');
  });

  it('an unmasked exception is raised by the next waiting instruction, and the pointers say which one met it', () => {
    const m = machine('long');
    m.write(DATA, 2, 0x37bn); // zero divide unmasked
    ok(m, 'fldcw [5000h]', 'fld1', 'fldz');
    const rip = m.state.rip;
    m.state.set(0, 0x1234n);
    ok(m, 'fdivp st1, st0');
    assert.equal(fsw(m) & 0x8084, 0x8084, 'B, ES, ZE');
    assert.equal(st(m, 1), '3fff:8000000000000000', 'the operands stay');
    assert.equal(m.state.get(SLOT.FIP), rip);
    assert.equal(m.state.get32(SLOT.FOP), 0x6f9);
    for (const source of ['fld1', 'fwait', 'fldcw [5000h]', 'fadd st0, st1'])
      assert.equal(m.run(source), '#MF', source);
    ok(m, 'fnstsw ax');
    assert.equal(Number(m.state.get(0) & 0x80n), 0x80);
    ok(m, 'fnclex', 'fld1');
  });
  it('FLDCW that unmasks a flag makes it pending', () => {
    const m = machine('long');
    m.write(DATA, 2, 0x37bn);
    ok(m, 'fld1', 'fldz', 'fdivp st1, st0', 'fldcw [5000h]');
    assert.equal(m.run('fldz'), '#MF');
  });

  it('stack overflow and underflow: IE, SF, C1 says which, and the indefinite', () => {
    const m = machine('long');
    for (let i = 0; i < 8; i++) ok(m, 'fld1');
    assert.equal(fsw(m) & 0x7f, 0);
    ok(m, 'fldz');
    assert.equal(fsw(m) & 0x241, 0x241);
    assert.equal(st(m), 'ffff:c000000000000000');
    const empty = ok(machine('long'), 'fstp dword [5000h]');
    assert.equal(fsw(empty) & 0x241, 0x41);
    assert.equal(empty.read(DATA, 4), 0xffc0_0000n);
  });

  it('loads, stores and decimals', () => {
    const m = machine('long');
    m.write(DATA, 8, 0x8000_0000_0000_0001n);
    ok(m, 'fild qword [5000h]', 'fistp qword [5010h]');
    assert.equal(m.read(DATA + 16, 8), 0x8000_0000_0000_0001n);
    m.write(DATA, 10, 0x8012_3456_7890_1234_5678n);
    ok(m, 'fbld tword [5000h]', 'fld st0', 'fbstp tword [5010h]', 'fistp qword [5020h]');
    assert.equal(m.read(DATA + 16, 10), 0x8012_3456_7890_1234_5678n);
    assert.equal(BigInt.asIntN(64, m.read(DATA + 32, 8)), -123456789012345678n);
    ok(m, 'fldpi', 'fstp tword [5000h]', 'fldpi', 'fst dword [5010h]', 'fstp qword [5018h]');
    assert.equal(m.read(DATA, 10), 0x4000_c90f_daa2_2168_c235n);
    assert.equal(m.read(DATA + 16, 4), 0x4049_0fdbn);
    assert.equal(m.read(DATA + 24, 8), 0x4009_21fb_5444_2d18n);
  });

  it('a store that faults changes neither the stack nor the status', () => {
    const m = ok(machine('long'), 'fldpi');
    const before = fsw(m);
    m.denyWrites(0x6000, 0x7000);
    for (const source of [
      'fstp tword [5ff8h]',
      'fstp qword [5ffch]',
      'fistp dword [6000h]',
      'fbstp tword [5ffah]',
      'fxsave [5f00h]',
      'fnstenv [5ff0h]',
      'fnsave [5fc0h]',
    ]) {
      const memory = m.read(0x5f00, 0x100);
      assert.equal(m.run(source), '#PF(2)', source);
      assert.equal(fsw(m), before, source);
      assert.equal(m.state.get32(SLOT.FCW), 0x37f, source);
      assert.equal(m.read(0x5f00, 0x100), memory, source);
    }
  });

  it('environments in all four forms (SDM vol. 1, figures 8-9 to 8-12)', () => {
    const words = (mode: 'real' | 'protected', source: string, size: 2 | 4): string[] => {
      const m = machine(mode);
      m.state.set(SLOT.FIP, 0xa_bcden);
      m.state.set(SLOT.FDP, 0x5_4321n);
      m.state.set(SLOT.FOP, 0x123n);
      m.state.set32(SLOT.FTW, 0x81);
      ok(m, source);
      assert.equal(m.state.get32(SLOT.FCW), 0x37f, 'all masked');
      return Array.from({ length: 7 }, (_, i) => m.read(DATA + i * size, size).toString(16));
    };
    assert.deepEqual(words('protected', 'o32 fnstenv [5000h]', 4), [
      'ffff037f',
      'ffff0000',
      'ffff7ffd',
      'abcde',
      '1230000',
      '54321',
      'ffff0000',
    ]);
    assert.deepEqual(words('real', 'o16 fnstenv [5000h]', 2), ['37f', '0', '7ffd', 'bcde', 'a123', '4321', '5000']);
    const m = machine('protected');
    ok(m, 'fldpi', 'fld1', 'fnstenv [5000h]', 'fninit', 'fldenv [5000h]');
    assert.equal(fsw(m), 0x3000);
    assert.equal(m.state.get32(SLOT.FTW), 0xc0);
    ok(m, 'fnsave [5000h]');
    assert.equal(m.state.get32(SLOT.FTW), 0);
    ok(m, 'frstor [5000h]');
    assert.deepEqual([st(m), st(m, 1)], ['3fff:8000000000000000', '4000:c90fdaa22168c235']);
  });

  it('FCOMI, FCMOV and FXAM', () => {
    const m = ok(machine('long'), 'fldpi', 'fld1', 'fcomi st0, st1');
    assert.equal(Number(m.state.rflags & 0x8d5n), 1, 'below');
    ok(m, 'fcmovb st0, st1');
    assert.equal(st(m), '4000:c90fdaa22168c235');
    ok(m, 'fchs', 'fxam');
    assert.equal(fsw(m) & 0x4700, 0x600, 'normal, negative');
  });
  it('a sine out of range sets C2 and leaves its operand', () => {
    const m = machine('long');
    m.write(DATA, 10, 0x403e_8000_0000_0000_0000n);
    ok(m, 'fld tword [5000h]', 'fsin');
    assert.equal(fsw(m) & 0x400, 0x400);
    assert.equal(st(m), '403e:8000000000000000');
  });
});
