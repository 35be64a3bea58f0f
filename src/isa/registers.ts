/**
 * General and segment registers by encoding (SDM vol. 2, tables 2-1 to 2-3 and 3-1).
 * A name's index in its table is the number used in ModRM, SIB, REX and opcodes.
 */
export const GPR64 = [
  'rax',
  'rcx',
  'rdx',
  'rbx',
  'rsp',
  'rbp',
  'rsi',
  'rdi',
  'r8',
  'r9',
  'r10',
  'r11',
  'r12',
  'r13',
  'r14',
  'r15',
] as const;
const GPR32 = [
  'eax',
  'ecx',
  'edx',
  'ebx',
  'esp',
  'ebp',
  'esi',
  'edi',
  'r8d',
  'r9d',
  'r10d',
  'r11d',
  'r12d',
  'r13d',
  'r14d',
  'r15d',
] as const;
const GPR16 = [
  'ax',
  'cx',
  'dx',
  'bx',
  'sp',
  'bp',
  'si',
  'di',
  'r8w',
  'r9w',
  'r10w',
  'r11w',
  'r12w',
  'r13w',
  'r14w',
  'r15w',
] as const;
const GPR8 = [
  'al',
  'cl',
  'dl',
  'bl',
  'spl',
  'bpl',
  'sil',
  'dil',
  'r8b',
  'r9b',
  'r10b',
  'r11b',
  'r12b',
  'r13b',
  'r14b',
  'r15b',
] as const;
/** Bits 15:8 of the first four registers; encodings 4–7 without REX. */
const GPR8_HIGH = ['ah', 'ch', 'dh', 'bh'] as const;

export const SEGMENTS = ['es', 'cs', 'ss', 'ds', 'fs', 'gs'] as const;
export type SegmentName = (typeof SEGMENTS)[number];

export type RegisterWidth = 8 | 16 | 32 | 64;

/** A named part of a general register: `width` bits of register `index` starting at bit `shift` (0 or 8). */
export interface GprPart {
  readonly name: string;
  readonly index: number;
  readonly width: RegisterWidth;
  readonly shift: 0 | 8;
}

const parts = new Map<string, GprPart>();
const addAll = (names: readonly string[], width: RegisterWidth, shift: 0 | 8): void =>
  names.forEach((name, index) => parts.set(name, { name, index, width, shift }));
addAll(GPR64, 64, 0);
addAll(GPR32, 32, 0);
addAll(GPR16, 16, 0);
addAll(GPR8, 8, 0);
addAll(GPR8_HIGH, 8, 8);

/** The general-register part called `name` (lower case), or undefined. */
export const gprPart = (name: string): GprPart | undefined => parts.get(name);
