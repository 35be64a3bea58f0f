/** Our own language and the common ids that other extensions give to assembly; `npm run manifest` puts them into package.json. */
export const GUEST_LANGUAGES = [
  'pagewalk-asm',
  'asm',
  'asm-collection',
  'asm-intel-x86-generic',
  'assembly',
  'gas',
  'nasm',
  'x86_64assembly',
  'x86asm',
] as const;

/** Languages of sources that a compiler makes an ELF guest of, and that compiler: breakpoints may be set in them. */
export const COMPILED_LANGUAGES: ReadonlyMap<string, string> = new Map([
  ['c', 'gcc'],
  ['cpp', 'g++'],
]);
