import type { BitLayout, DecodedBits } from './bit-layout';
import { decodeBits, flag, range } from './bit-layout';
import { vectorName } from './exceptions';
import { CR0, CR4, EFER, RFLAGS } from './flags';
import { GPR64 } from './registers';
import { SVM_EXIT, SVM_EXITS, svmExitName } from './svm-exits';
import { CLEAN_BITS, type VmcbFieldName } from './vmcb-fields';

/** The VMCB's fields bit by bit, by the manual's names (AMD APM vol. 2, appendix B and chapter 15). */
const flags = (table: Readonly<Record<string, number>>): BitLayout =>
  Object.entries(table).map(([name, n]) => flag(n, name));

/** Intercept words 3 and 4: one bit per exit code starting at `first`. */
const word = (first: number): BitLayout =>
  Object.entries(SVM_EXITS)
    .filter(([, code]) => code >= first && code < first + 32 && code < SVM_EXIT.INVPCID)
    .map(([name, code]) => flag(code - first, name));
const registers = (name: string): BitLayout => [
  ...Array.from({ length: 16 }, (_, i) => flag(i, `${name}${i} read`)),
  ...Array.from({ length: 16 }, (_, i) => flag(16 + i, `${name}${i} write`)),
];
const EVENT: BitLayout = [
  range(7, 0, 'Vector'),
  range(10, 8, 'Type', { 0: 'interrupt', 2: 'NMI', 3: 'exception', 4: 'INT n' }),
  flag(11, 'Error code valid'),
  flag(31, 'Valid'),
  range(63, 32, 'Error code'),
];
const SEGMENT: BitLayout = [
  range(3, 0, 'Type'),
  flag(4, 'S'),
  range(6, 5, 'DPL'),
  flag(7, 'P'),
  flag(8, 'AVL'),
  flag(9, 'L'),
  flag(10, 'D/B'),
  flag(11, 'G'),
];

const LAYOUTS: Readonly<Partial<Record<VmcbFieldName, BitLayout>>> = {
  INTERCEPT_CR: registers('CR'),
  INTERCEPT_DR: registers('DR'),
  INTERCEPT_EXCEPTION: Array.from({ length: 32 }, (_, i) => flag(i, vectorName(i))),
  INTERCEPT_MISC1: word(SVM_EXIT.INTR),
  INTERCEPT_MISC2: word(SVM_EXIT.VMRUN),
  INTERCEPT_MISC3: [flag(2, 'INVPCID')],
  TLB_CONTROL: [
    range(7, 0, 'TLB control', {
      0: 'nothing',
      1: 'flush all',
      3: "flush this guest's",
      7: "flush this guest's non-global",
    }),
  ],
  VINTR: [
    range(7, 0, 'V_TPR'),
    flag(8, 'V_IRQ'),
    flag(9, 'V_GIF'),
    flag(11, 'V_NMI'),
    flag(12, 'V_NMI_MASK'),
    range(19, 16, 'V_INTR_PRIO'),
    flag(20, 'V_IGN_TPR'),
    flag(24, 'V_INTR_MASKING'),
    flag(25, 'V_GIF_ENABLE'),
    flag(26, 'V_NMI_ENABLE'),
    range(39, 32, 'V_INTR_VECTOR'),
  ],
  INTERRUPT_SHADOW: [flag(0, 'Interrupt shadow'), flag(1, "Guest's interrupt mask")],
  EXITINTINFO: EVENT,
  EVENTINJ: EVENT,
  NP_CONTROL: [flag(0, 'Nested paging'), flag(1, 'SEV'), flag(2, 'SEV-ES')],
  LBR_CONTROL: [flag(0, 'LBR virtualization'), flag(1, 'Virtualized VMLOAD and VMSAVE')],
  CLEAN: flags(CLEAN_BITS),
  EFER: flags(EFER),
  CR0: flags(CR0),
  CR4: flags(CR4),
  RFLAGS: flags(RFLAGS),
};

/** Page-fault bits of a nested page fault, and which access caused it (15.25.6). */
const NESTED_FAULT: BitLayout = [
  flag(0, 'P'),
  flag(1, 'R/W'),
  flag(2, 'U/S'),
  flag(3, 'RSV'),
  flag(4, 'I/D'),
  flag(32, 'Final guest physical access'),
  flag(33, 'Guest page-table walk'),
];
/** IN and OUT (15.10.2). */
const IOIO: BitLayout = [
  range(0, 0, 'Direction', { 0: 'OUT', 1: 'IN' }),
  flag(2, 'String'),
  flag(3, 'REP'),
  flag(4, '8 bits'),
  flag(5, '16 bits'),
  flag(6, '32 bits'),
  flag(7, '16-bit address'),
  flag(8, '32-bit address'),
  flag(9, '64-bit address'),
  range(12, 10, 'Segment'),
  range(31, 16, 'Port'),
];
const MSR: BitLayout = [range(0, 0, 'Access', { 0: 'RDMSR', 1: 'WRMSR' })];
const MOV_CR: BitLayout = [
  range(3, 0, 'General register', Object.fromEntries(GPR64.map((name, i) => [i, name]))),
  flag(63, 'MOV'),
];

/** EXITINFO1 of an exit code; undefined: a plain value or nothing. */
export function exitInfo1Layout(code: number): BitLayout | undefined {
  if (code === SVM_EXIT.NPF) return NESTED_FAULT;
  if (code === SVM_EXIT.IOIO) return IOIO;
  if (code === SVM_EXIT.MSR) return MSR;
  return (code >= 0 && code < 0x20) || code === SVM_EXIT.CR0_SEL_WRITE ? MOV_CR : undefined;
}

/** A field's value by its parts. `code`: the exit code, which decides how EXITINFO1 is read. */
export function decodeVmcbField(name: VmcbFieldName, value: bigint, code: number): readonly DecodedBits[] {
  if (name === 'EXITCODE') {
    const text = svmExitName(Number(BigInt.asIntN(64, value)));
    return [{ name: 'Exit code', hi: 63, lo: 0, value, text }];
  }
  const layout = name === 'EXITINFO1' ? exitInfo1Layout(code) : name.endsWith('_ATTRIB') ? SEGMENT : LAYOUTS[name];
  return layout ? decodeBits(layout, value) : [];
}
