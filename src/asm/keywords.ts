/** Width in bits of a size keyword. */
export const SIZE_WORDS: Readonly<Record<string, number>> = {
  byte: 8,
  word: 16,
  dword: 32,
  long: 32,
  qword: 64,
  tword: 80,
  oword: 128,
  yword: 256,
  zword: 512,
};

/** Words of operands and expressions, which name nothing: neither a label nor a value (NASM manual, 3.1). */
const KEYWORDS: ReadonlySet<string> = new Set([
  ...Object.keys(SIZE_WORDS),
  ...['near', 'far', 'short', 'strict', 'to', 'rel', 'abs', 'nosplit', 'seg', 'wrt', 'times', '?'],
]);

/** Whether a lower-case word is a keyword, the name of a floating-point constant, or one of the functions `__?float32?__`, `__?utf16?__` … */
export const isKeyword = (word: string): boolean =>
  KEYWORDS.has(word) || /^__(\??)(infinity|[qs]?nan|float\w+|utf(16|32)([bl]e)?|ilog2[ewfc])\1__$/.test(word);
