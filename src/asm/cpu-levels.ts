/**
 * Processor levels of NASM's `cpu` directive, in order, and which one an instruction needs: by the CPUID feature that iced-x86's tables
 * name for it, as nasm 2.16 places it. Where nasm lists a feature without a level (VMX, SSE4, XOP), the lowest is right for it.
 */
import { CpuidFeature, Instruction } from 'iced-x86';
import type { Code } from 'iced-x86';
import type { Bits } from './code-size';

/** By number, each with the names that `cpu` takes for it. */
const LEVELS: readonly (readonly string[])[] = [
  ['8086'],
  ['186'],
  ['286'],
  ['386'],
  ['486'],
  ['586', 'pentium'],
  ['686', 'p6', 'ppro', 'pentiumpro', 'p2'],
  ['p3', 'katmai'],
  ['p4', 'willamette'],
  ['prescott'],
  ['x64', 'x86-64'],
  ['nehalem'],
  ['westmere'],
  ['sandybridge'],
  ['any', 'all', 'default', 'ia64', 'ia-64', 'itanium', 'itanic', 'merced'],
];
/** Every instruction: the default. */
export const ANY_CPU = LEVELS.length - 1;
/** Words that `cpu` takes besides, which choose among encodings rather than instructions. */
const FLAGS: ReadonlySet<string> = new Set(['vex', 'novex', 'evex', 'noevex', 'latevex', 'nolatevex', 'nop', 'nonop']);

const levelByName = (name: string): number => LEVELS.findIndex((names) => names.includes(name));
export const I386 = levelByName('386');
export const X64 = levelByName('x64');
export const cpuName = (level: number): string => LEVELS[level]?.[0] ?? 'any';
export const CPU_NAMES: readonly string[] = LEVELS.map(([name = '']) => name);

const byFeature = (level: string, ...names: (keyof typeof CpuidFeature)[]): [CpuidFeature, number][] =>
  names.map((name) => [CpuidFeature[name], levelByName(level)]);
const FEATURE_LEVEL: ReadonlyMap<CpuidFeature, number> = new Map([
  ...byFeature('8086', 'INTEL8086', 'INTEL8086_ONLY', 'FPU', 'CYRIX_FPU', 'FMA4', 'XOP', 'SSSE3', 'SSE4_1', 'SSE4_2'),
  ...byFeature('8086', 'SSE4A', 'SVM', 'SKINIT_or_SVM', 'VMX', 'INVEPT', 'INVVPID', 'INVLPGB', 'MCOMMIT', 'MONITORX'),
  ...byFeature('8086', 'PADLOCK_UNDOC', 'PAUSE', 'RDPRU', 'SEV_ES', 'SEV_SNP', 'TDX'),
  ...byFeature('186', 'INTEL186'),
  ...byFeature('286', 'INTEL286', 'FPU287'),
  ...byFeature('386', 'INTEL386', 'INTEL386_ONLY', 'INTEL386_A0_ONLY', 'FPU387', 'LWP', 'MOV_TR', 'UMOV'),
  ...byFeature('486', 'INTEL486', 'CYRIX_SMM'),
  ...byFeature('586', 'CPUID', 'CX8', 'CYRIX_D3NOW', 'CYRIX_DDI', 'CYRIX_EMMI', 'D3NOW', 'D3NOWEXT', 'MMX', 'MSR'),
  ...byFeature('586', 'PADLOCK_ACE', 'PADLOCK_PHE', 'PADLOCK_PMM', 'PADLOCK_RNG', 'SMM', 'TSC'),
  ...byFeature('686', 'CMOV', 'CYRIX_DMI', 'CYRIX_SHR', 'CYRIX_SMINT', 'CYRIX_SMINT_0F7E', 'FXSR', 'LZCNT'),
  ...byFeature('686', 'MULTIBYTENOP', 'RDPMC', 'SEP', 'SYSCALL'),
  ...byFeature('p3', 'SSE', 'SMX'),
  ...byFeature('p4', 'SSE2'),
  ...byFeature('prescott', 'SSE3', 'MONITOR'),
  ...byFeature('x64', 'X64', 'CMPXCHG16B', 'FRED', 'RDTSCP', 'RMPQUERY', 'TSE'),
  ...byFeature('nehalem', 'MOVBE', 'POPCNT', 'XSAVE'),
  ...byFeature('westmere', 'AES', 'PCLMULQDQ'),
  ...byFeature('sandybridge', 'AVX', 'BMI2', 'CMPCCXADD', 'FSGSBASE', 'MSRLIST', 'TBM', 'UINTR', 'XSAVES'),
]);

const known = new Map<Code, number>();

/** The lowest level that has an instruction. */
function levelOf(code: Code): number {
  let level = known.get(code);
  if (level !== undefined) return level;
  const instruction = new Instruction();
  instruction.code = code;
  level = Math.max(...[...instruction.cpuidFeatures()].map((f: CpuidFeature) => FEATURE_LEVEL.get(f) ?? ANY_CPU));
  instruction.free();
  known.set(code, level);
  return level;
}

/**
 * What `code` needs if it is above `level`, by name; undefined if it is allowed. In 64-bit mode nasm also allows the
 * newest instructions with `sandybridge`.
 */
export function neededCpu(code: Code, level: number, bits: Bits): string | undefined {
  if (level === ANY_CPU) return undefined;
  const needed = Math.max(levelOf(code), bits === 64 ? X64 : bits === 32 ? I386 : 0);
  const most = bits === 64 && needed === ANY_CPU ? ANY_CPU - 1 : needed;
  return most > level ? cpuName(most) : undefined;
}

/** The level that a `cpu` line sets; undefined where it names none, and the word that is none of either kind. */
export function parseCpu(words: readonly string[]): {
  readonly level: number | undefined;
  readonly unknown: string | undefined;
} {
  let level: number | undefined;
  for (const word of words) {
    const found = levelByName(word.toLowerCase());
    if (found >= 0) level = found;
    else if (!FLAGS.has(word.toLowerCase())) return { level, unknown: word };
  }
  return { level, unknown: undefined };
}
