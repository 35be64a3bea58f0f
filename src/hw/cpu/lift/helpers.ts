import type { CpuState } from '../../state/cpu-state';

/** A computation too long for micro-ops: reads slots a and b, writes slot d. 0, or a HELPER_FAULT to raise an exception. It never touches memory. */
export type Helper = (state: CpuState, d: number, a: number, b: number) => number;

const ids = new Map<Helper, number>();
export const HELPERS: Helper[] = [];

/** The number of a helper; helpers are numbered as lifters first use them. */
export function helperId(f: Helper): number {
  let id = ids.get(f);
  if (id === undefined) {
    id = HELPERS.length;
    HELPERS.push(f);
    ids.set(f, id);
  }
  return id;
}
