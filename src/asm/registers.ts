import { Register } from 'iced-x86';

/** Register classes as the matcher sees them; a class and a number identify a register. */
export type RegisterClass =
  | 'r8'
  | 'r16'
  | 'r32'
  | 'r64'
  | 'segment'
  | 'control'
  | 'debug'
  | 'test'
  | 'st'
  | 'mm'
  | 'xmm'
  | 'ymm'
  | 'zmm'
  | 'mask'
  | 'bound'
  | 'tile';

export interface RegisterInfo {
  readonly name: string;
  readonly class: RegisterClass;
  /** The number that ModRM and its extensions hold; for the high byte registers 4–7. */
  readonly number: number;
  /** Width in bits where the name fixes one; 0 for mask, bound and tile registers. */
  readonly width: number;
  /** iced-x86's number of it. */
  readonly iced: Register;
}

const registers = new Map<string, RegisterInfo>();
const byClass = new Map<string, RegisterInfo>();

function add(kind: RegisterClass, width: number, first: Register, names: readonly string[]): void {
  names.forEach((name, i) => {
    const info: RegisterInfo = { name, class: kind, number: i, width, iced: first + i };
    registers.set(name, info);
    byClass.set(`${kind}${i}`, info);
  });
}
const numbered = (prefix: string, count: number, suffix = ''): string[] =>
  Array.from({ length: count }, (_, i) => `${prefix}${i}${suffix}`);
const extended = (suffix: string): string[] => numbered('r', 16, suffix).slice(8);

add('r16', 16, Register.AX, ['ax', 'cx', 'dx', 'bx', 'sp', 'bp', 'si', 'di', ...extended('w')]);
add('r32', 32, Register.EAX, ['eax', 'ecx', 'edx', 'ebx', 'esp', 'ebp', 'esi', 'edi', ...extended('d')]);
add('r64', 64, Register.RAX, ['rax', 'rcx', 'rdx', 'rbx', 'rsp', 'rbp', 'rsi', 'rdi', ...extended('')]);
// iced's order of byte registers: AL CL DL BL AH CH DH BH SPL BPL SIL DIL R8L…
(['al', 'cl', 'dl', 'bl', 'ah', 'ch', 'dh', 'bh'] as const).forEach((name, i) =>
  registers.set(name, { name, class: 'r8', number: i, width: 8, iced: Register.AL + i }),
);
(['spl', 'bpl', 'sil', 'dil'] as const).forEach((name, i) =>
  registers.set(name, { name, class: 'r8', number: 4 + i, width: 8, iced: Register.SPL + i }),
);
extended('b').forEach((name, i) =>
  registers.set(name, { name, class: 'r8', number: 8 + i, width: 8, iced: Register.R8L + i }),
);
add('segment', 16, Register.ES, ['es', 'cs', 'ss', 'ds', 'fs', 'gs']);
add('control', 0, Register.CR0, numbered('cr', 16));
add('debug', 0, Register.DR0, numbered('dr', 16));
add('test', 0, Register.TR0, numbered('tr', 8));
add('st', 80, Register.ST0, numbered('st', 8));
add('mm', 64, Register.MM0, numbered('mm', 8));
add('xmm', 128, Register.XMM0, numbered('xmm', 32));
add('ymm', 256, Register.YMM0, numbered('ymm', 32));
add('zmm', 512, Register.ZMM0, numbered('zmm', 32));
add('mask', 0, Register.K0, numbered('k', 8));
add('bound', 0, Register.BND0, numbered('bnd', 4));
add('tile', 0, Register.TMM0, numbered('tmm', 8));

/** The register of that lower-case name. */
export const registerByName = (name: string): RegisterInfo | undefined => registers.get(name);

/** Register `number` of a class; byte registers must be looked up by name. */
export const registerOf = (kind: RegisterClass, number: number): RegisterInfo | undefined =>
  byClass.get(`${kind}${number}`);

/** Every register name, for completion. */
export const registerNames = (): string[] => [...registers.keys()];

/** A byte register that exists only without REX (ah ch dh bh). */
export const isHighByte = (r: RegisterInfo): boolean =>
  r.class === 'r8' && r.iced >= Register.AH && r.iced <= Register.BH;

/** A byte register that exists only with REX (spl bpl sil dil). */
export const needsRex = (r: RegisterInfo): boolean =>
  r.class === 'r8' && r.iced >= Register.SPL && r.iced <= Register.DIL;
