/** How an address splits into the indices of a walk and an offset. */
import type { WalkStage } from '../../../protocol/translation';

export interface Field {
  /** Bits high..low, both inclusive, as the manuals write them. */
  readonly high: number;
  readonly low: number;
  /** The level that this field is the index of; absent for the offset. */
  readonly level?: number;
  readonly value: bigint;
}

/**
 * The fields from the highest down. Indices have 10 bits each in 32-bit paging, 2 at the top of PAE, else 9 (SDM vol. 3, 4.3
 * to 4.5). A walk that ended above level 1 in a page found a large one, whose offset takes the lower fields; one that failed
 * there has them still to come.
 */
export function splitAddress({
  input,
  output,
  steps,
}: Pick<WalkStage, 'input' | 'output' | 'steps'>): readonly Field[] {
  const top = steps[0]?.level;
  const last = steps.at(-1)?.level;
  if (input === undefined || top === undefined || last === undefined) return [];
  const bottom = output === undefined ? 1 : last;
  const field = (high: number, low: number): Omit<Field, 'level'> => {
    return { high, low, value: (BigInt(input) >> BigInt(low)) & ((1n << BigInt(high - low + 1)) - 1n) };
  };
  const width = (level: number): number => (top === 2 ? 10 : top === 3 && level === 3 ? 2 : 9);
  let low = 12;
  for (let level = 1; level < bottom; level++) low += width(level);
  const fields: Field[] = [field(low - 1, 0)];
  for (let level = bottom; level <= top; level++) {
    fields.unshift({ ...field(low + width(level) - 1, low), level });
    low += width(level);
  }
  return fields;
}
