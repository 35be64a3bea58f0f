/** The run's time on the screen: which cycles are in sight, and how they read. */

/** A stretch of the run in cycles. */
export interface Range {
  readonly from: number;
  readonly to: number;
}

/** Nothing is finer than a few cycles. */
const SHORTEST = 40;

/** The nearest range of that length that lies within the run. */
export function clamp({ from, to }: Range, total: number): Range {
  const length = Math.min(Math.max(to - from, SHORTEST), Math.max(total, SHORTEST));
  const start = Math.min(Math.max(0, from), Math.max(0, total - length));
  return { from: start, to: start + length };
}

/** `factor` < 1 comes closer; the cycle `at` keeps its place on the screen. */
export const zoom = ({ from, to }: Range, at: number, factor: number): Range => ({
  from: at - (at - from) * factor,
  to: at + (to - at) * factor,
});

/** The level of tiles whose bins are 2 to 4 pixels wide at so many cycles to a pixel. */
export const levelFor = (cyclesPerPixel: number): number => Math.max(0, Math.ceil(Math.log2(cyclesPerPixel * 2)));

const UNITS = [
  [1e12, 'T'],
  [1e9, 'G'],
  [1e6, 'M'],
  [1e3, 'k'],
] as const;

/** A count of cycles in three or four digits: `1.25 M`. Exact below ten thousand. */
export function cyclesText(n: number, digits = 3): string {
  if (n < 10_000) return Math.round(n).toLocaleString('en');
  const [unit, name] = UNITS.find(([size]) => n >= size) ?? [1, ''];
  return `${Number((n / unit).toPrecision(digits))} ${name}`;
}

/** Round cycles between which the axis is divided, about `apart` pixels from each other. */
export function ticks({ from, to }: Range, width: number, apart = 90): readonly number[] {
  const rough = ((to - from) / Math.max(width, 1)) * apart;
  const power = 10 ** Math.floor(Math.log10(Math.max(rough, 1)));
  const step = [1, 2, 5, 10].map((n) => n * power).find((n) => n >= rough) ?? power * 10;
  const out: number[] = [];
  for (let at = Math.ceil(from / step) * step; at <= to; at += step) out.push(at);
  return out;
}

/** A tick in as many digits as it takes to tell it from its neighbours. */
export function tickText(at: number, list: readonly number[]): string {
  const step = (list[1] ?? 0) - (list[0] ?? 0);
  const digits = step > 0 && at > 0 ? Math.max(1, Math.floor(Math.log10(at)) - Math.floor(Math.log10(step)) + 1) : 3;
  return at < 10_000 || digits > 7 ? at.toLocaleString('en') : cyclesText(at, digits);
}
