import assert from 'node:assert/strict';
import { checkSegment } from '../../../src/hw/cpu/system/segments';
import { descriptor, describeEvent, GDT, Machine, RIGHTS, SEG, SLOT, type Mode } from './machine';

/** Runs `source` after `prepare`; answers what happened. */
function check(mode: Mode, source: string, expected: string, prepare?: (m: Machine) => void): Machine {
  const m = new Machine(mode);
  prepare?.(m);
  assert.equal(m.run(source), expected, `${mode}: ${source}`);
  return m;
}
const withDescriptor =
  (raw: bigint, selector: number, cpl: 0 | 3 = 0) =>
  (m: Machine): void => {
    m.setLevel(cpl);
    m.entry(0x40, raw).entry(0x48, 0n);
    m.state.set(0, BigInt(selector));
  };

describe('loading segment registers (SDM vol. 2, MOV)', () => {
  it('checks DS ES FS GS: null, limit, type, privilege, presence', () => {
    check('protected', 'mov ds, ax', 'ok', withDescriptor(0n, 0));
    check('protected', 'mov ds, ax', '#GP(80)', withDescriptor(0n, 0x80));
    check('protected', 'mov ds, ax', '#GP(40)', withDescriptor(descriptor(0x99), 0x40)); // execute-only code
    check('protected', 'mov ds, ax', 'ok', withDescriptor(descriptor(0x9b), 0x40)); // readable code
    check('protected', 'mov ds, ax', '#GP(40)', withDescriptor(descriptor(0x89), 0x40)); // TSS
    check('protected', 'mov ds, ax', '#NP(40)', withDescriptor(descriptor(0x13), 0x40));
    check('protected', 'mov ds, ax', '#GP(40)', withDescriptor(descriptor(0x93), 0x43)); // RPL 3 > DPL 0
    check('protected', 'mov ds, ax', '#GP(40)', withDescriptor(descriptor(0x93), 0x40, 3)); // CPL 3 > DPL 0
    check('protected', 'mov ds, ax', 'ok', withDescriptor(descriptor(0x9e), 0x43, 3)); // conforming code has no privilege check
    check('protected', 'mov ds, ax', '#GP(44)', withDescriptor(0n, 0x44)); // no LDT
  });
  it('checks SS: RPL and DPL are the CPL, writable, present', () => {
    check('protected', 'mov ss, ax', '#GP(0)', withDescriptor(0n, 0));
    check('protected', 'mov ss, ax', '#GP(40)', withDescriptor(descriptor(0xf3), 0x40));
    check('protected', 'mov ss, ax', '#GP(40)', withDescriptor(descriptor(0x93), 0x43));
    check('protected', 'mov ss, ax', '#GP(40)', withDescriptor(descriptor(0x91), 0x40)); // read-only
    check('protected', 'mov ss, ax', '#SS(40)', withDescriptor(descriptor(0x13), 0x40));
    const m = check('protected', 'mov ss, ax', 'ok', withDescriptor(descriptor(0x93), 0x40));
    assert.equal(m.state.get32(SLOT.INTERRUPTIBILITY), 2, 'blocking by MOV SS');
  });
  it('allows a null SS in 64-bit mode below level 3 only', () => {
    check('long', 'mov ss, eax', 'ok', withDescriptor(0n, 0));
    check('long', 'mov ss, eax', '#GP(0)', withDescriptor(0n, 1));
    check('long', 'mov ss, eax', '#GP(0)', withDescriptor(0n, 3, 3));
    check('compat', 'mov ss, ax', '#GP(0)', withDescriptor(0n, 0));
  });
  it('sets the accessed bit in memory and in the register, and decodes base, limit and rights', () => {
    const m = check('protected', 'mov fs, ax', 'ok', withDescriptor(descriptor(0x92, 0x1234_5678, 0xabc, 4), 0x40));
    assert.equal(m.read(GDT + 0x45, 1), 0x93n);
    assert.deepEqual(m.state.segment(SEG.FS), {
      selector: 0x40,
      base: 0x1234_5678n,
      limit: 0xabc,
      rights: 0x93 | RIGHTS.DB,
    });
    const g = check('protected', 'mov gs, ax', 'ok', withDescriptor(descriptor(0x93, 0, 0x1234_5fff), 0x40));
    assert.equal(g.state.segment(SEG.GS).limit, 0x1234_5fff);
  });
  it('loads paragraphs in real and virtual-8086 mode; real mode keeps the limit', () => {
    const m = check('real', 'mov es, ax', 'ok', (x) => {
      x.state.set(0, 0xb800n);
      x.state.set32(SLOT.LIMIT + SEG.ES, 0xffff_ffff);
    });
    assert.deepEqual(m.state.segment(SEG.ES), { selector: 0xb800, base: 0xb8000n, limit: 0xffff_ffff, rights: 0x93 });
    const v = check('v86', 'mov es, ax', 'ok', (x) => x.state.set(0, 0x1234n));
    assert.deepEqual(v.state.segment(SEG.ES), { selector: 0x1234, base: 0x12340n, limit: 0xffff, rights: 0xf3 });
  });
  it('leaves everything as it was when POP or LSS faults', () => {
    const m = check('protected', 'pop ds', '#GP(80)', (x) => x.write(0x7000, 4, 0x80n));
    assert.equal(m.state.get(4), 0x7000n);
    const l = check('protected', 'lss esp, [0x5000]', '#GP(80)', (x) => x.write(0x5004, 2, 0x80n));
    assert.equal(l.state.get(4), 0x7000n);
    const good = check('protected', 'lss esp, [0x5000]', 'ok', (x) => {
      x.write(0x5000, 4, 0x6f00n);
      x.write(0x5004, 2, 0x10n);
    });
    assert.equal(good.state.get(4), 0x6f00n);
  });
  it('refuses MOV CS', () => {
    check('protected', 'db 0x8e, 0xc8', '#UD');
  });
});

describe('segment checks of a data access (SDM vol. 3, 5.3 and 5.5)', () => {
  const cases: readonly (readonly [string, number, number, number, number, number, boolean, string])[] = [
    // name, access, flags, limit, offset, size, write, expected
    ['inside the limit', 0x93, 4, 0xfff, 0xffc, 4, true, 'ok'],
    ['one byte over', 0x93, 4, 0xfff, 0xffd, 4, true, '#GP(0)'],
    ['read-only data', 0x91, 4, 0xfff, 0, 4, true, '#GP(0)'],
    ['read-only data, read', 0x91, 4, 0xfff, 0, 4, false, 'ok'],
    ['execute-only code', 0x99, 4, 0xfff, 0, 4, false, '#GP(0)'],
    ['readable code', 0x9b, 4, 0xfff, 0, 4, false, 'ok'],
    ['code is not written', 0x9b, 4, 0xfff, 0, 4, true, '#GP(0)'],
    ['expand-down, at the limit', 0x97, 4, 0xfff, 0xfff, 1, true, '#GP(0)'],
    ['expand-down, above the limit', 0x97, 4, 0xfff, 0x1000, 4, true, 'ok'],
    ['expand-down 32-bit, the top', 0x97, 4, 0xfff, 0xffff_fffc, 4, true, 'ok'],
    ['expand-down 16-bit ends at 64 KiB', 0x97, 0, 0xfff, 0xfffe, 4, true, '#GP(0)'],
    ['wrapping past 4 GiB', 0x93, 12, 0xffff_ffff, 0xffff_fffe, 4, true, '#GP(0)'],
  ];
  for (const [name, access, flags, limit, offset, size, write, expected] of cases) {
    it(name, () => {
      const m = new Machine('protected');
      m.entry(0x40, descriptor(access, 0, limit, flags));
      m.load(SEG.DS, 0x40);
      const ok = checkSegment(m.core, SEG.DS, offset, size, write);
      assert.equal(ok ? 'ok' : describeEvent(m.core.event), expected);
    });
  }
  it('raises #SS for the stack segment, and #GP for a null segment', () => {
    const m = new Machine('protected');
    m.entry(0x40, descriptor(0x93, 0, 0xfff, 4));
    m.load(SEG.SS, 0x40);
    assert.equal(checkSegment(m.core, SEG.SS, 0x1000, 4, true), false);
    assert.equal(describeEvent(m.core.event), '#SS(0)');
    m.state.set(0, 0n);
    m.load(SEG.SS, 0x10);
    assert.equal(m.run('mov es, ax'), 'ok');
    assert.equal(m.run('mov [es:0x5000], eax'), '#GP(0)');
  });
  it('checks only the limit in real mode, without an error code', () => {
    const m = new Machine('real');
    m.state.set(3, 0xffffn);
    assert.equal(m.run('mov ax, [bx]'), '#GP');
    m.state.set(5, 0xffffn);
    assert.equal(m.run('mov ax, [bp]'), '#SS');
    assert.equal(m.run('mov [cs:0x5000], ax'), 'ok');
  });
});

describe('LAR LSL VERR VERW ARPL (SDM vol. 2)', () => {
  it('answer by ZF what the selector shows', () => {
    const zf = (m: Machine): boolean => (m.state.rflags & 0x40n) !== 0n;
    const look = (source: string, raw: bigint, selector: number, visible: boolean, cpl: 0 | 3 = 0): Machine => {
      const m = check('protected', source, 'ok', withDescriptor(raw, selector, cpl));
      assert.equal(zf(m), visible, source);
      return m;
    };
    assert.equal(look('lar ecx, eax', descriptor(0x93), 0x40, true).state.get(1), 0x00c0_9300n);
    assert.equal(look('lsl ecx, eax', descriptor(0x93, 0, 0x12_3fff), 0x40, true).state.get(1), 0x12_3fffn);
    look('lar ecx, eax', descriptor(0x93), 0x43, false);
    look('lar ecx, eax', descriptor(0x93), 0x40, false, 3);
    look('lar ecx, eax', descriptor(0x9e), 0x43, true, 3);
    look('lar ecx, eax', descriptor(0x8c), 0x40, true); // call gate
    look('lsl ecx, eax', descriptor(0x8c), 0x40, false);
    look('lar ecx, eax', descriptor(0x8e), 0x40, false); // interrupt gate
    look('lar ecx, eax', 0n, 0, false);
    look('verr ax', descriptor(0x99), 0x40, false);
    look('verr ax', descriptor(0x9b), 0x40, true);
    look('verw ax', descriptor(0x91), 0x40, false);
    look('verw ax', descriptor(0x93), 0x40, true);
  });
  it('ARPL raises the RPL', () => {
    const m = check('protected', 'arpl ax, cx', 'ok', (x) => {
      x.state.set(0, 0xffff_0010n);
      x.state.set(1, 3n);
    });
    assert.equal(m.state.get(0), 0xffff_0013n);
    assert.notEqual(m.state.rflags & 0x40n, 0n);
  });
  it('are #UD outside protected mode', () => {
    for (const source of ['lar ecx, eax', 'verr ax', 'arpl ax, cx', 'ltr ax', 'sldt ax']) {
      check('real', source, '#UD');
      check('v86', source, '#UD');
    }
  });
});

describe('LLDT and LTR (SDM vol. 2)', () => {
  it('LTR wants an available TSS and marks it busy', () => {
    const m = check('protected', 'ltr ax', 'ok', withDescriptor(descriptor(0x89, 0x5000, 0x67, 0), 0x40));
    assert.equal(m.read(GDT + 0x45, 1), 0x8bn);
    assert.deepEqual(m.state.segment(SEG.TR), { selector: 0x40, base: 0x5000n, limit: 0x67, rights: 0x8b });
    check('protected', 'ltr ax', '#GP(40)', withDescriptor(descriptor(0x8b, 0, 0x67, 0), 0x40)); // busy
    check('protected', 'ltr ax', '#NP(40)', withDescriptor(descriptor(0x09, 0, 0x67, 0), 0x40));
    check('protected', 'ltr ax', '#GP(0)', withDescriptor(0n, 0));
    check('protected', 'ltr ax', '#GP(44)', withDescriptor(0n, 0x44));
    check('protected', 'ltr ax', '#GP(0)', withDescriptor(descriptor(0x89), 0x40, 3));
    check('long', 'ltr ax', '#GP(40)', withDescriptor(descriptor(0x81, 0, 0x67, 0), 0x40)); // no 16-bit TSS in IA-32e mode
  });
  it('LTR reads a 64-bit base from sixteen bytes', () => {
    const m = check('long', 'ltr ax', 'ok', (x) => {
      withDescriptor(descriptor(0x89, 0x5000, 0x67, 0), 0x40)(x);
      x.entry(0x48, 0xffff_8000n);
    });
    assert.equal(m.state.segmentBase(SEG.TR), 0xffff_8000_0000_5000n);
    check('long', 'ltr ax', '#GP(40)', (x) => {
      withDescriptor(descriptor(0x89, 0x5000, 0x67, 0), 0x40)(x);
      x.entry(0x48, 0x0100_0000n); // not canonical
    });
  });
  it('a selector in the LDT is found there', () => {
    const m = new Machine('protected');
    m.entry(0x40, descriptor(0x82, 0x4000, 0x1f, 0));
    m.state.set(0, 0x40n);
    assert.equal(m.run('lldt ax'), 'ok');
    m.write(0x4008, 8, descriptor(0x93, 0x9000, 0xff, 0));
    m.state.set(0, 0x0cn);
    assert.equal(m.run('mov es, ax'), 'ok');
    assert.equal(m.state.segmentBase(SEG.ES), 0x9000n);
    m.state.set(0, 0x24n);
    assert.equal(m.run('mov es, ax'), '#GP(24)');
  });
});
