import type { VmcsFieldName } from '../../isa/vmcs-fields';
import { FIELD } from '../../isa/vmcs-fields';
import { RIGHTS } from '../state/layout';
import type { EntryView } from './entry-view';
import type { EntryRule } from './rule';

type Register = 'ES' | 'CS' | 'SS' | 'DS' | 'FS' | 'GS' | 'LDTR' | 'TR';
const DATA_AND_STACK = ['SS', 'DS', 'ES', 'FS', 'GS'] as const;
const USER_SEGMENTS = ['CS', ...DATA_AND_STACK] as const;

const SECTION = '26.3.1.2';
const selectorOf = (r: Register): VmcsFieldName => `GUEST_${r}_SELECTOR`;
const baseOf = (r: Register): VmcsFieldName => `GUEST_${r}_BASE`;
const limitOf = (r: Register): VmcsFieldName => `GUEST_${r}_LIMIT`;
const rightsOf = (r: Register): VmcsFieldName => `GUEST_${r}_AR_BYTES`;

/** Encodings by register, looked up once: these checks run at every VM entry. */
const fieldsOf = (r: Register): Record<'selector' | 'base' | 'limit' | 'rights', number> => ({
  selector: FIELD[selectorOf(r)],
  base: FIELD[baseOf(r)],
  limit: FIELD[limitOf(r)],
  rights: FIELD[rightsOf(r)],
});
const F = {
  ES: fieldsOf('ES'),
  CS: fieldsOf('CS'),
  SS: fieldsOf('SS'),
  DS: fieldsOf('DS'),
  FS: fieldsOf('FS'),
  GS: fieldsOf('GS'),
  LDTR: fieldsOf('LDTR'),
  TR: fieldsOf('TR'),
} as const;

const selector = (v: EntryView, r: Register): number => v.vmcs.read32(F[r].selector);
const limitIn = (v: EntryView, r: Register): number => v.vmcs.read32(F[r].limit);
const base = (v: EntryView, r: Register): bigint => v.vmcs.read(F[r].base);
const baseBelow4G = (v: EntryView, r: Register): boolean => v.vmcs.readHigh32(F[r].base) === 0;
const rights = (v: EntryView, r: Register): number => v.vmcs.read32(F[r].rights);
const type = (v: EntryView, r: Register): number => rights(v, r) & RIGHTS.TYPE_MASK;
const dpl = (v: EntryView, r: Register): number => (rights(v, r) >>> RIGHTS.DPL_SHIFT) & 3;
const rpl = (v: EntryView, r: Register): number => selector(v, r) & 3;
const usable = (v: EntryView, r: Register): boolean => (rights(v, r) & RIGHTS.UNUSABLE) === 0;
/** CS and TR are checked whatever their unusable bit says. */
const applies = (v: EntryView, r: Register): boolean => r === 'CS' || r === 'TR' || usable(v, r);

const rule = (fields: readonly VmcsFieldName[], message: string, holds: (v: EntryView) => boolean): EntryRule => ({
  fields,
  section: SECTION,
  message,
  holds,
});
/** A rule that virtual-8086 mode is exempt from. */
const protectedRule = (
  fields: readonly VmcsFieldName[],
  message: string,
  holds: (v: EntryView) => boolean,
): EntryRule => rule(fields, message, (v) => v.v86 || holds(v));

const DATA_WRITABLE_ACCESSED = 3;
const CODE = 8;

function virtual8086(r: (typeof USER_SEGMENTS)[number]): EntryRule[] {
  return [
    rule(
      [baseOf(r), selectorOf(r)],
      `in virtual-8086 mode the base of ${r} is its selector times 16`,
      (v) => !v.v86 || base(v, r) === BigInt(selector(v, r)) << 4n,
    ),
    rule([limitOf(r)], `in virtual-8086 mode the limit of ${r} is 0xffff`, (v) => !v.v86 || limitIn(v, r) === 0xffff),
    rule(
      [rightsOf(r)],
      `in virtual-8086 mode the access rights of ${r} are 0xf3`,
      (v) => !v.v86 || rights(v, r) === 0xf3,
    ),
  ];
}

/** S, P, reserved bits and granularity: alike for all registers but for what S must be. */
function common(r: Register): EntryRule[] {
  const system = r === 'LDTR' || r === 'TR';
  const make = system ? rule : protectedRule;
  return [
    make(
      [rightsOf(r)],
      `S (4) of ${r} is ${system ? 0 : 1}`,
      (v) => !applies(v, r) || ((rights(v, r) & RIGHTS.S) === 0) === system,
    ),
    make([rightsOf(r)], `P (7) of ${r} is 1`, (v) => !applies(v, r) || (rights(v, r) & RIGHTS.P) !== 0),
    make(
      [rightsOf(r)],
      `reserved bits 11:8 and 31:17 of the access rights of ${r} are 0`,
      (v) => !applies(v, r) || (rights(v, r) & 0xfffe_0f00) === 0,
    ),
    make(
      [rightsOf(r), limitOf(r)],
      `G (15) of ${r} is 0 unless limit bits 11:0 are all 1, and 1 if any of limit bits 31:20 is`,
      (v) => {
        if (!applies(v, r)) return true;
        const limit = limitIn(v, r);
        const g = (rights(v, r) & RIGHTS.G) !== 0;
        return g ? (limit & 0xfff) === 0xfff : limit >>> 20 === 0;
      },
    ),
  ];
}

/** Checks on guest segment registers (SDM vol. 3, 26.3.1.2). */
export const SEGMENT_RULES: readonly EntryRule[] = [
  // selectors
  rule(['GUEST_TR_SELECTOR'], 'TI (2) of TR is 0', (v) => (selector(v, 'TR') & 4) === 0),
  rule(
    ['GUEST_LDTR_SELECTOR'],
    'TI (2) of a usable LDTR is 0',
    (v) => !usable(v, 'LDTR') || (selector(v, 'LDTR') & 4) === 0,
  ),
  protectedRule(
    ['GUEST_SS_SELECTOR', 'GUEST_CS_SELECTOR'],
    'without "unrestricted guest", RPL of SS equals RPL of CS',
    (v) => v.unrestricted || rpl(v, 'SS') === rpl(v, 'CS'),
  ),

  // bases
  rule(['GUEST_TR_BASE'], 'the base of TR is canonical', (v) => v.canonical('GUEST_TR_BASE')),
  rule(['GUEST_FS_BASE'], 'the base of FS is canonical', (v) => v.canonical('GUEST_FS_BASE')),
  rule(['GUEST_GS_BASE'], 'the base of GS is canonical', (v) => v.canonical('GUEST_GS_BASE')),
  rule(
    ['GUEST_LDTR_BASE'],
    'the base of a usable LDTR is canonical',
    (v) => !usable(v, 'LDTR') || v.canonical('GUEST_LDTR_BASE'),
  ),
  rule(['GUEST_CS_BASE'], 'bits 63:32 of the base of CS are 0', (v) => baseBelow4G(v, 'CS')),
  ...(['SS', 'DS', 'ES'] as const).map((r) =>
    rule([baseOf(r)], `bits 63:32 of the base of a usable ${r} are 0`, (v) => !usable(v, r) || baseBelow4G(v, r)),
  ),

  ...USER_SEGMENTS.flatMap(virtual8086),

  // types
  protectedRule(
    ['GUEST_CS_AR_BYTES'],
    'the type of CS is 9, 11, 13 or 15 (accessed code), or 3 with "unrestricted guest"',
    (v) => {
      const t = type(v, 'CS');
      return (t & 9) === 9 || (v.unrestricted && t === DATA_WRITABLE_ACCESSED);
    },
  ),
  protectedRule(
    ['GUEST_SS_AR_BYTES'],
    'the type of a usable SS is 3 or 7 (read/write, accessed data)',
    (v) => !usable(v, 'SS') || (type(v, 'SS') & 0xb) === 3,
  ),
  ...(['DS', 'ES', 'FS', 'GS'] as const).map((r) =>
    protectedRule([rightsOf(r)], `the type of a usable ${r} is accessed, and readable if code`, (v) => {
      const t = type(v, r);
      return !usable(v, r) || ((t & 1) === 1 && ((t & CODE) === 0 || (t & 2) !== 0));
    }),
  ),

  // privilege
  protectedRule(
    ['GUEST_CS_AR_BYTES', 'GUEST_SS_AR_BYTES'],
    'DPL of CS is 0 for type 3, that of SS for non-conforming code, at most that of SS for conforming code',
    (v) => {
      switch (type(v, 'CS')) {
        case 3:
          return dpl(v, 'CS') === 0;
        case 9:
        case 11:
          return dpl(v, 'CS') === dpl(v, 'SS');
        case 13:
        case 15:
          return dpl(v, 'CS') <= dpl(v, 'SS');
        default:
          return true;
      }
    },
  ),
  protectedRule(
    ['GUEST_SS_AR_BYTES', 'GUEST_SS_SELECTOR'],
    'without "unrestricted guest", DPL of SS equals its RPL',
    (v) => v.unrestricted || dpl(v, 'SS') === rpl(v, 'SS'),
  ),
  protectedRule(
    ['GUEST_SS_AR_BYTES', 'GUEST_CS_AR_BYTES', 'GUEST_CR0'],
    'DPL of SS is 0 if CS has type 3 or CR0.PE is 0',
    (v) => (type(v, 'CS') !== DATA_WRITABLE_ACCESSED && v.protectedGuest) || dpl(v, 'SS') === 0,
  ),
  ...(['DS', 'ES', 'FS', 'GS'] as const).map((r) =>
    protectedRule(
      [rightsOf(r), selectorOf(r)],
      `without "unrestricted guest", DPL of a usable ${r} that is data or non-conforming code is at least its RPL`,
      (v) => v.unrestricted || !usable(v, r) || type(v, r) > 11 || dpl(v, r) >= rpl(v, r),
    ),
  ),

  protectedRule(
    ['GUEST_CS_AR_BYTES', 'VM_ENTRY_CONTROLS'],
    'with "IA-32e mode guest", D/B (14) of CS is 0 where L (13) is 1',
    (v) => !v.longGuest || (rights(v, 'CS') & RIGHTS.L) === 0 || (rights(v, 'CS') & RIGHTS.DB) === 0,
  ),
  ...USER_SEGMENTS.flatMap(common),

  // TR and LDTR
  rule(
    ['GUEST_TR_AR_BYTES', 'VM_ENTRY_CONTROLS'],
    'the type of TR is 11 (busy TSS), or 3 (busy 16-bit TSS) without "IA-32e mode guest"',
    (v) => type(v, 'TR') === 11 || (!v.longGuest && type(v, 'TR') === 3),
  ),
  rule(['GUEST_TR_AR_BYTES'], 'TR is usable (16 is 0)', (v) => usable(v, 'TR')),
  ...common('TR'),
  rule(['GUEST_LDTR_AR_BYTES'], 'the type of a usable LDTR is 2', (v) => !usable(v, 'LDTR') || type(v, 'LDTR') === 2),
  ...common('LDTR'),
];
