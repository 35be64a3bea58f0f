/** What the words that are no instructions mean: directives, data, the preprocessor, operand sizes. */
export const DIRECTIVE_HELP: Readonly<Record<string, string>> = {
  bits: 'The mode that the code behind it runs in: 16, 32 or 64.',
  use16: 'The same as `bits 16`.',
  use32: 'The same as `bits 32`.',
  use64: 'The same as `bits 64`.',
  org: 'The address that the file is loaded at.',
  section: 'Goes on in a section: `section .data align=16`, with start=, vstart=, follows=, nobits.',
  segment: 'The same as `section`.',
  absolute: 'Lays names out from an address on, without making bytes.',
  align: 'Fills up to a multiple of a power of two, with `nop` or the given filling.',
  alignb: 'Reserves up to a multiple of a power of two.',
  sectalign: 'Whether `align` raises the alignment of its section.',
  default: '`default rel` makes addresses without registers RIP-relative in 64-bit mode.',
  struc: 'Begins a structure: the names in it are offsets, and NAME_size is its size.',
  endstruc: 'Ends `struc`.',
  istruc: 'Begins an instance of a structure, filled by `at`.',
  at: 'Fills a field of an instance: `at point.x, dd 5`.',
  iend: 'Ends `istruc`.',
  global: 'Exports a name; without effect on a flat binary.',
  extern: 'Imports a name; a flat binary has none.',
  common: 'Declares a common variable; a flat binary has none.',
  cpu: 'Limits the instructions to those of a processor; accepted and not enforced.',
  times: 'Repeats what follows: `times 510-($-$$) db 0`.',
  equ: 'Gives a name a value: `SIZE equ 512`.',
  incbin: 'Takes the bytes of a file: `incbin "logo.bin", skip, length`.',
  db: 'Bytes: numbers, characters, strings.',
  dw: 'Words, 2 bytes each.',
  dd: 'Doublewords, 4 bytes each; also single-precision numbers.',
  dq: 'Quadwords, 8 bytes each; also double-precision numbers.',
  dt: '10 bytes each: extended-precision numbers.',
  do: '16 bytes each.',
  dy: '32 bytes each.',
  dz: '64 bytes each.',
  resb: 'Reserves bytes.',
  resw: 'Reserves words.',
  resd: 'Reserves doublewords.',
  resq: 'Reserves quadwords.',
  rest: 'Reserves units of 10 bytes.',
  reso: 'Reserves units of 16 bytes.',
  resy: 'Reserves units of 32 bytes.',
  resz: 'Reserves units of 64 bytes.',
};

export const PREPROCESSOR_HELP: Readonly<Record<string, string>> = {
  '%define': 'A single-line macro, expanded where it is used: `%define ROWS 25`, `%define cell(r,c) (r)*80+(c)`.',
  '%idefine': '`%define` whose name is found in any case.',
  '%xdefine': '`%define` whose body is expanded now.',
  '%undef': 'Forgets a single-line macro.',
  '%assign': 'Gives a name the value that an expression has now.',
  '%strlen': 'Gives a name the length of a string.',
  '%substr': 'Gives a name a part of a string.',
  '%strcat': 'Gives a name several strings joined.',
  '%defstr': 'Gives a name its text as a string.',
  '%deftok': 'Gives a name the tokens of a string.',
  '%macro':
    'Begins a multi-line macro: `%macro NAME 2`, `1-3 default`, `1-*`; its parameters are %1, %2, and %0 is their number.',
  '%imacro': '`%macro` whose name is found in any case.',
  '%endmacro': 'Ends `%macro`.',
  '%unmacro': 'Forgets a multi-line macro.',
  '%rotate': 'Turns the parameters of a macro.',
  '%rep': 'Repeats the lines up to `%endrep`.',
  '%endrep': 'Ends `%rep`.',
  '%exitrep': 'Leaves `%rep`.',
  '%if': 'Takes the lines up to %elif, %else or %endif where an expression is not 0.',
  '%ifdef': 'Where a single-line macro is defined.',
  '%ifndef': 'Where a single-line macro is not defined.',
  '%ifmacro': 'Where a multi-line macro is defined.',
  '%ifidn': 'Where two texts are the same.',
  '%ifidni': 'Where two texts are the same in any case.',
  '%ifid': 'Where a parameter is a name.',
  '%ifnum': 'Where a parameter is a number.',
  '%ifstr': 'Where a parameter is a string.',
  '%elif': 'Another condition.',
  '%else': 'Where none of the conditions held.',
  '%endif': 'Ends `%if`.',
  '%include': 'Goes on with the lines of another file.',
  '%push': 'Begins a context, in which %$names live.',
  '%pop': 'Ends a context.',
  '%error': 'An error with your text.',
  '%warning': 'A warning with your text.',
  '%fatal': 'An error with your text that ends assembly.',
  '%line': 'Sets the line that messages name.',
  '%use': 'Loads a standard macro package.',
};

export const SIZE_HELP: Readonly<Record<string, string>> = {
  byte: '1 byte',
  word: '2 bytes',
  dword: '4 bytes',
  qword: '8 bytes',
  tword: '10 bytes',
  oword: '16 bytes',
  yword: '32 bytes',
  zword: '64 bytes',
  near: 'within the segment',
  far: 'with a segment',
  short: 'within 127 bytes',
  strict: 'at the written size, without shortening',
  rel: 'relative to RIP',
  abs: 'absolute',
};

/** What a directive in a comment does. */
export const COMMENT_HELP: Readonly<Record<string, string>> = {
  guest:
    'How this guest runs, as key=value: `; @guest start=flat64 memory=128M`. It stands before the first instruction.',
  host: 'A change on the host: `; @host place HVA HPA` gives the page at HVA the frame at HPA.',
  break: 'A breakpoint: `; @break exit EPT_VIOLATION if write && gpa >= 0x5000`.',
  assert: 'Must hold when the line is reached.',
};

/** Markdown about a word that is no instruction. */
export function directiveMarkdown(word: string): string | undefined {
  for (const table of [DIRECTIVE_HELP, PREPROCESSOR_HELP, SIZE_HELP])
    if (Object.hasOwn(table, word))
      return `**${word}** ${table === SIZE_HELP ? 'operand size or distance' : ''}`.trim() + `\n\n${table[word]}`;
  return undefined;
}
