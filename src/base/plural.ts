/** A count with its noun: `1 byte`, `2 bytes`, `1 entry`, `0 entries`. */
export function counted(n: number | bigint, noun: string): string {
  const one = n === 1 || n === 1n;
  return `${n} ${one ? noun : plural(noun)}`;
}

const plural = (noun: string): string =>
  /[^aeiou]y$/.test(noun) ? `${noun.slice(0, -1)}ies` : /(s|x|ch|sh)$/.test(noun) ? `${noun}es` : `${noun}s`;

/** `a`, `a or b`, `a, b or c`. */
export const listed = (words: readonly string[], last: 'and' | 'or' = 'or'): string =>
  words.length < 2 ? (words[0] ?? '') : `${words.slice(0, -1).join(', ')} ${last} ${words.at(-1)}`;
