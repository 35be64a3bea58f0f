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
  retw: { name: 'ret', operandSize: 16 }, retd: { name: 'ret', operandSize: 32 }, retq: { name: 'ret', operandSize: 64 },
  retnw: { name: 'ret', operandSize: 16 }, retnd: { name: 'ret', operandSize: 32 }, retnq: { name: 'ret', operandSize: 64 },
  retfw: { name: 'retf', operandSize: 16 }, retfd: { name: 'retf', operandSize: 32 }, retfq: { name: 'retf', operandSize: 64 },
  iretw: { name: 'iret' },
  loopz: { name: 'loope' }, loopnz: { name: 'loopne' },
  xlat: { name: 'xlatb' },
  icebp: { name: 'int1' }, int01: { name: 'int1' }, int03: { name: 'int3' },
  pushfw: { name: 'pushf' }, popfw: { name: 'popf' }, pushaw: { name: 'pusha' }, popaw: { name: 'popa' },
  fwait: { name: 'wait' },
  setalc: { name: 'salc' },
  ud2a: { name: 'ud2' }, ud2b: { name: 'ud1' },
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
  ['o'], ['no'], ['b', 'c', 'nae'], ['ae', 'nb', 'nc'], ['e', 'z'], ['ne', 'nz'], ['be', 'na'], ['a', 'nbe'],
  ['s'], ['ns'], ['p', 'pe'], ['np', 'po'], ['l', 'nge'], ['ge', 'nl'], ['le', 'ng'], ['g', 'nle'],
];

/** Synonyms of condition codes: [synonym, table name] for j, set and cmov. */
export const CONDITION_SYNONYMS: readonly (readonly [string, string])[] = ['j', 'set', 'cmov'].flatMap((stem) =>
  CONDITIONS.flatMap(([name, ...others]) => others.map((other): readonly [string, string] => [stem + other, stem + (name ?? '')])),
);

/** Forms that iced can encode and NASM never chooses: obsolete opcodes and duplicates with undocumented bits. */
export const EXCLUDED: ReadonlySet<string> = new Set([
  'Cmpxchg486_rm8_r8', 'Cmpxchg486_rm16_r16', 'Cmpxchg486_rm32_r32',
]);
