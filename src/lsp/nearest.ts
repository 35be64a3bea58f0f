/** Names that a misspelt one may have meant. */

/** At most so many are offered. */
const MAX_OFFERED = 3;
/** Longer names are compared by their beginning only. */
const MAX_LENGTH = 64;

/** The nearest of `known`, nearest first: one slip in a short name, up to a third of a long one. Case does not count. */
export function nearest(name: string, known: Iterable<string>): string[] {
  const wanted = name.toLowerCase().slice(0, MAX_LENGTH);
  const limit = Math.max(1, Math.floor(wanted.length / 3));
  const found: { readonly text: string; readonly distance: number }[] = [];
  for (const text of new Set(known)) {
    if (Math.abs(text.length - wanted.length) > limit || text === name) continue;
    const distance = slips(wanted, text.toLowerCase().slice(0, MAX_LENGTH), limit);
    if (distance <= limit) found.push({ text, distance });
  }
  found.sort((a, b) => a.distance - b.distance || (a.text < b.text ? -1 : 1));
  return found.slice(0, MAX_OFFERED).map(({ text }) => text);
}

/** Letters to insert, drop, replace or swap with a neighbour to make `b` of `a`; gives up above `limit`. */
function slips(a: string, b: string, limit: number): number {
  let [before, row]: number[][] = [[], Array.from({ length: b.length + 1 }, (_, i) => i)];
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1] ? 0 : 1;
      let best = Math.min((row?.[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1, (row?.[j - 1] ?? 0) + same);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1])
        best = Math.min(best, (before?.[j - 2] ?? 0) + 1);
      next.push(best);
    }
    if (Math.min(...next) > limit) return limit + 1;
    [before, row] = [row, next];
  }
  return row?.[b.length] ?? limit + 1;
}
