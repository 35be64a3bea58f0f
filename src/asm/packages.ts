/**
 * The packages of `%use` (NASM manual, chapter 6), as source that the preprocessor reads. `smartalign` is not made of macros here: its
 * directive reaches the layout, which knows how many bytes are to be filled (padding.ts).
 */
const NUMBERED = ['ax', 'cx', 'dx', 'bx', 'sp', 'bp', 'si', 'di'];
const LOW_BYTES = ['al', 'cl', 'dl', 'bl', 'spl', 'bpl', 'sil', 'dil'];
const HIGH_BYTES = ['ah', 'ch', 'dh', 'bh'];

/** r0 to r7 for the eight old registers, and Intel's r8l for what AMD calls r8b. */
const altreg = (): string[] =>
  [
    ...NUMBERED.flatMap((name, i) => [`r${i} r${name}`, `r${i}d e${name}`, `r${i}w ${name}`]),
    ...LOW_BYTES.flatMap((name, i) => [`r${i}b ${name}`, `r${i}l ${name}`]),
    ...HIGH_BYTES.map((name, i) => `r${i}h ${name}`),
    ...Array.from({ length: 8 }, (_, i) => `r${i + 8}l r${i + 8}b`),
  ].map((pair) => `%idefine ${pair}`);

const FORMATS = [
  'float8',
  'float16',
  'bfloat16',
  'float32',
  'float64',
  'float80m',
  'float80e',
  'float128l',
  'float128h',
];
const floatingPoint = (): string[] => [
  '%define Inf __?Infinity?__',
  '%define NaN __?QNaN?__',
  '%define QNaN __?QNaN?__',
  '%define SNaN __?SNaN?__',
  ...FORMATS.map((f) => `%define ${f}(x) __?${f}?__(x)`),
  '%imacro bf16 1-*',
  '%rep %0',
  'dw __?bfloat16?__(%1)',
  '%rotate 1',
  '%endrep',
  '%endmacro',
];

const logarithms = (): string[] =>
  [
    ['ilog2', 'e'],
    ['ilog2e', 'e'],
    ['ilog2w', 'w'],
    ['ilog2fw', 'w'],
    ['ilog2f', 'f'],
    ['ilog2c', 'c'],
    ['ilog2cw', 'c'],
  ].map(([name, kind]) => `%idefine ${name}(x) (__?ilog2${kind}?__(x))`);

const masm = (): string[] => [
  '%unmacro segment 1+',
  '%imacro segment 0-1+',
  '%define __?SECT?__ [segment %00 %1]',
  '__?SECT?__',
  '%endmacro',
  '%imacro ends 0+',
  '%null %00',
  '%endmacro',
  '%imacro proc 0-*',
  '%rep %0',
  '%ifidni %1,far',
  '%idefine ret retf',
  '%else',
  '%idefine ret retn',
  '%endif',
  '%rotate 1',
  '%endrep',
  '%endmacro',
  '%imacro endp 0',
  '%null %00',
  '%undef ret',
  '%endmacro',
  '%imacro end 0+',
  '%endmacro',
  '%idefine ptr',
  '%idefine flat',
  '%idefine offset',
  '%idefine tbyte tword',
  'default rel',
];

const PACKAGES: Readonly<Record<string, () => string[]>> = {
  altreg,
  fp: floatingPoint,
  ifunc: logarithms,
  masm,
  smartalign: () => ['[alignmode generic]'],
};

/** The source of a package, or undefined where there is none of that name. */
export const packageSource = (name: string): string | undefined => PACKAGES[name.toLowerCase()]?.().join('\n');
export const packageNames = (): readonly string[] => Object.keys(PACKAGES);
