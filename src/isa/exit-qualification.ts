import type { BitLayout, DecodedBits } from './bit-layout';
import { decodeBits, flag, range } from './bit-layout';
import { VMX_EXIT } from './exits';
import { GPR64 } from './registers';

/**
 * The exit qualification by exit reason (SDM vol. 3, 27.2.1). Reasons not listed here have none, or a plain value:
 * see `qualificationKind`.
 */
const REGISTERS: Readonly<Record<number, string>> = Object.fromEntries(GPR64.map((name, i) => [i, name]));

/** Table 27-1: #DB; B3–B0, BD, BS, and RTM of the DR6 that delivery would have written. */
const DEBUG: BitLayout = [
  flag(0, 'B0'),
  flag(1, 'B1'),
  flag(2, 'B2'),
  flag(3, 'B3'),
  flag(13, 'BD'),
  flag(14, 'BS'),
  flag(16, 'RTM'),
];
/** Table 27-2. */
const TASK_SWITCH: BitLayout = [
  range(15, 0, 'TSS selector'),
  range(31, 30, 'Source', { 0: 'CALL', 1: 'IRET', 2: 'JMP', 3: 'task gate in the IDT' }),
];
/** Table 27-3. */
const CR: BitLayout = [
  range(3, 0, 'Control register', { 0: 'CR0', 3: 'CR3', 4: 'CR4', 8: 'CR8' }),
  range(5, 4, 'Access type', { 0: 'MOV to CR', 1: 'MOV from CR', 2: 'CLTS', 3: 'LMSW' }),
  flag(6, 'LMSW operand in memory'),
  range(11, 8, 'General register', REGISTERS),
  range(31, 16, 'LMSW source data'),
];
/** Table 27-4. */
const DR: BitLayout = [
  range(2, 0, 'Debug register', Object.fromEntries([0, 1, 2, 3, 4, 5, 6, 7].map((n) => [n, `DR${n}`]))),
  range(4, 4, 'Direction', { 0: 'MOV to DR', 1: 'MOV from DR' }),
  range(11, 8, 'General register', REGISTERS),
];
/** Table 27-5. */
const IO: BitLayout = [
  range(2, 0, 'Size', { 0: '1 byte', 1: '2 bytes', 3: '4 bytes' }),
  range(3, 3, 'Direction', { 0: 'OUT', 1: 'IN' }),
  flag(4, 'String instruction'),
  flag(5, 'REP prefixed'),
  range(6, 6, 'Operand encoding', { 0: 'DX', 1: 'immediate' }),
  range(31, 16, 'Port'),
];
/** Table 27-7. */
const EPT: BitLayout = [
  flag(0, 'Data read'),
  flag(1, 'Data write'),
  flag(2, 'Instruction fetch'),
  flag(3, 'EPT entries readable'),
  flag(4, 'EPT entries writable'),
  flag(5, 'EPT entries executable'),
  flag(6, 'EPT entries user-executable'),
  flag(7, 'Guest linear address valid'),
  range(8, 8, 'Access', { 0: 'to a guest paging-structure entry', 1: 'to the translation of the linear address' }),
  flag(9, 'User-mode linear address'),
  flag(10, 'Read/write page'),
  flag(11, 'Execute-disable page'),
  flag(12, 'NMI unblocking due to IRET'),
];
/** Failed VM entry (26.8). */
const ENTRY_FAILURE: BitLayout = [
  range(31, 0, 'Failure', {
    0: 'guest state',
    2: 'PDPTE loading',
    3: 'NMI injection under blocking',
    4: 'VMCS link pointer',
  }),
];

const LAYOUTS: Readonly<Record<number, BitLayout>> = {
  [VMX_EXIT.TASK_SWITCH]: TASK_SWITCH,
  [VMX_EXIT.CR_ACCESS]: CR,
  [VMX_EXIT.DR_ACCESS]: DR,
  [VMX_EXIT.IO_INSTRUCTION]: IO,
  [VMX_EXIT.EPT_VIOLATION]: EPT,
  [VMX_EXIT.INVALID_STATE]: ENTRY_FAILURE,
};

const LINEAR: ReadonlySet<number> = new Set([VMX_EXIT.INVLPG]);
const DISPLACEMENT: ReadonlySet<number> = new Set([
  VMX_EXIT.GDTR_IDTR,
  VMX_EXIT.LDTR_TR,
  VMX_EXIT.VMCLEAR,
  VMX_EXIT.VMPTRLD,
  VMX_EXIT.VMPTRST,
  VMX_EXIT.VMREAD,
  VMX_EXIT.VMWRITE,
  VMX_EXIT.VMON,
  VMX_EXIT.INVEPT,
  VMX_EXIT.INVVPID,
  VMX_EXIT.INVPCID,
]);

export type QualificationKind = 'bits' | 'linear-address' | 'displacement' | 'entry-number' | 'none';

/** What an exit's qualification contains. `vector`: the exception's, from the interruption information. */
export function qualificationKind(reason: number, vector?: number): QualificationKind {
  const basic = reason & 0xffff;
  if (basic === VMX_EXIT.EXCEPTION_NMI) return vector === 14 ? 'linear-address' : vector === 1 ? 'bits' : 'none';
  if (basic === VMX_EXIT.MSR_LOAD_FAIL) return 'entry-number';
  if (LAYOUTS[basic]) return 'bits';
  return LINEAR.has(basic) ? 'linear-address' : DISPLACEMENT.has(basic) ? 'displacement' : 'none';
}

/**
 * The parts of an exit qualification that are meaningful for `reason`; empty if it is a plain value or undefined. CR
 * accesses show the parts that their type uses.
 */
export function decodeQualification(reason: number, qualification: bigint, vector?: number): DecodedBits[] {
  const basic = reason & 0xffff;
  if (basic === VMX_EXIT.EXCEPTION_NMI) return vector === 1 ? decodeBits(DEBUG, qualification) : [];
  const layout = LAYOUTS[basic];
  if (!layout) return [];
  const parts = decodeBits(layout, qualification);
  if (basic === VMX_EXIT.CR_ACCESS) {
    const type = Number((qualification >> 4n) & 3n);
    return parts.filter((p) => p.lo < 6 || (type === 3 ? p.lo !== 8 : type < 2 && p.lo === 8));
  }
  // the access bit of an EPT violation is meaningful only with a linear address
  if (basic === VMX_EXIT.EPT_VIOLATION && (qualification & 0x80n) === 0n)
    return parts.filter((p) => p.lo < 8 || p.lo > 11);
  return parts;
}
