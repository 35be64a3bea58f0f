/**
 * Where NASM's names differ from those of iced-x86's tables. Everything else is found by name.
 */
export interface Alias {
  readonly name: string;
  /** The alias also fixes the operand size. */
  readonly operandSize?: 16 | 32 | 64;
}

/** NASM mnemonic → table mnemonic. */
export const ALIASES: Readonly<Record<string, Alias>> = {
  sal: { name: 'shl' },
  retn: { name: 'ret' },
  retw: { name: 'ret', operandSize: 16 },
  retd: { name: 'ret', operandSize: 32 },
  retq: { name: 'ret', operandSize: 64 },
  retnw: { name: 'ret', operandSize: 16 },
  retnd: { name: 'ret', operandSize: 32 },
  retnq: { name: 'ret', operandSize: 64 },
  retfw: { name: 'retf', operandSize: 16 },
  retfd: { name: 'retf', operandSize: 32 },
  retfq: { name: 'retf', operandSize: 64 },
  iretw: { name: 'iret' },
  loopz: { name: 'loope' },
  loopnz: { name: 'loopne' },
  xlat: { name: 'xlatb' },
  icebp: { name: 'int1' },
  int01: { name: 'int1' },
  int03: { name: 'int3' },
  pushfw: { name: 'pushf' },
  popfw: { name: 'popf' },
  pushaw: { name: 'pusha' },
  popaw: { name: 'popa' },
  fwait: { name: 'wait' },
  fsetpm: { name: 'fnsetpm' },
  ud2a: { name: 'ud2' },
  ud2b: { name: 'ud1' },
};

/** Mnemonics whose plain name means the size of the mode (NASM's `odf`): name by mode. */
export const BY_MODE: Readonly<Record<string, Readonly<Record<16 | 32 | 64, string>>>> = {
  iret: { 16: 'iretw', 32: 'iretd', 64: 'iretd' },
  pushf: { 16: 'pushfw', 32: 'pushfd', 64: 'pushfq' },
  popf: { 16: 'popfw', 32: 'popfd', 64: 'popfq' },
  pusha: { 16: 'pushaw', 32: 'pushad', 64: 'pushad' },
  popa: { 16: 'popaw', 32: 'popad', 64: 'popad' },
};

/** The same with an explicit o16, o32 or o64 prefix. */
export const BY_OPERAND_SIZE: Readonly<Record<string, Readonly<Record<16 | 32 | 64, string>>>> = {
  iret: { 16: 'iretw', 32: 'iretd', 64: 'iretq' },
  pushf: { 16: 'pushfw', 32: 'pushfd', 64: 'pushfq' },
  popf: { 16: 'popfw', 32: 'popfd', 64: 'popfq' },
  pusha: { 16: 'pushaw', 32: 'pushad', 64: 'pushad' },
  popa: { 16: 'popaw', 32: 'popad', 64: 'popad' },
  sysret: { 16: 'sysret', 32: 'sysret', 64: 'sysretq' },
  sysexit: { 16: 'sysexit', 32: 'sysexit', 64: 'sysexitq' },
};

const CONDITIONS: readonly (readonly string[])[] = [
  ['o'],
  ['no'],
  ['b', 'c', 'nae'],
  ['ae', 'nb', 'nc'],
  ['e', 'z'],
  ['ne', 'nz'],
  ['be', 'na'],
  ['a', 'nbe'],
  ['s'],
  ['ns'],
  ['p', 'pe'],
  ['np', 'po'],
  ['l', 'nge'],
  ['ge', 'nl'],
  ['le', 'ng'],
  ['g', 'nle'],
];

/** Synonyms of condition codes: [synonym, table name] for j, set and cmov. */
export const CONDITION_SYNONYMS: readonly (readonly [string, string])[] = ['j', 'set', 'cmov'].flatMap((stem) =>
  CONDITIONS.flatMap(([name, ...others]) =>
    others.map((other): readonly [string, string] => [stem + other, stem + (name ?? '')]),
  ),
);

/** Forms that iced can encode and NASM never chooses or names otherwise: obsolete opcodes, and names that programs use for labels. */
export const EXCLUDED: ReadonlySet<string> = new Set([
  'Cmpxchg486_rm8_r8',
  'Cmpxchg486_rm16_r16',
  'Cmpxchg486_rm32_r32',
  'Popd_CS',
  'Fsetpm',
  'Frstpm',
  'Ftstp',
  'Frint2',
  'Frichop',
  'Frinear',
  'Undoc',
  'Altinst',
  'Storeall',
  'Loadall286',
  'Loadallreset286',
  'Cl1invmb',
  'Rdudbg',
  'Wrudbg',
  'Ccs_hash_16',
  'Ccs_hash_32',
  'Ccs_hash_64',
  'Ccs_encrypt_16',
  'Ccs_encrypt_32',
  'Ccs_encrypt_64',
  'Xstore_alt_16',
  'Xstore_alt_32',
  'Xstore_alt_64',
  'Xsha512_alt_16',
  'Xsha512_alt_32',
  'Xsha512_alt_64',
  'Movzx_r16_rm16',
  'Movsx_r16_rm16',
]);

/**
 * Instructions that use 16 bits of a general register whatever its size: NASM leaves out the operand-size prefix, so the operand is encoded
 * at the size of the mode.
 */
export const SIZE_INDIFFERENT: ReadonlySet<string> = new Set(['arpl', 'lldt', 'ltr', 'verr', 'verw', 'lmsw']);

/** 64-bit mode needs no REX.W for these, yet NASM 2.16 emits it. */
export const REDUNDANT_REX_W: ReadonlySet<string> = new Set(['invpcid', 'enqcmd', 'enqcmds']);

/** Where NASM takes a size for granted that the operands leave open, in bits. */
export const ASSUMED_MEMORY_SIZE: Readonly<Record<string, number>> = {
  cvtsi2ss: 32,
  cvtsi2sd: 32,
  vcvtsi2ss: 32,
  vcvtsi2sd: 32,
  vcvtusi2ss: 32,
  vcvtusi2sd: 32,
  vcvtpd2ps: 128,
  vcvtpd2dq: 128,
  vcvttpd2dq: 128,
};

/** AVX instructions that came to VEX after EVEX had them: NASM takes EVEX unless `{vex}` is written. */
export const LATE_VEX: ReadonlySet<string> = new Set([
  'vpdpbusd',
  'vpdpbusds',
  'vpdpwssd',
  'vpdpwssds',
  'vcvtneps2bf16',
  'vpmadd52luq',
  'vpmadd52huq',
]);

/** A 64-bit general destination that NASM encodes without REX.W or VEX.W: the result never has more than 32 bits. */
export const NARROW_DESTINATION: ReadonlySet<string> = new Set([
  'sldt',
  'vextractps',
  'vmovmskps',
  'vmovmskpd',
  'vpextrw',
  'vpextrb',
  'pextrb',
  'vpmovmskb',
]);
