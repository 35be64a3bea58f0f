import { formsOf } from './forms';
import type { Operand } from './operand';

/**
 * How much NASM optimizes (`nasm -O0`, `-O1`, `-Ox`):
 *
 * - `none`: immediates are written in full, `jmp` is near and a conditional jump short, unless the source says otherwise;
 * - `minimal`: an immediate that fits in a signed byte is one, all jumps are near;
 * - `full`: jumps too are as short as they reach. The default.
 */
export type Optimization = 'none' | 'minimal' | 'full';

/** The level that the text after `-O` means. */
export const optimizationOf = (text: string): Optimization =>
  text === '0' ? 'none' : text === '1' ? 'minimal' : 'full';

/** A shift by one has an opcode of its own at every level. */
const SHIFTS = /^(ro|rc|sa|sh)[lr]$/;

/** Operands with what the level leaves to the source filled in. */
export function underOptimization(
  operands: readonly Operand[],
  mnemonic: string,
  level: Optimization,
): readonly Operand[] {
  if (level === 'full') return operands;
  return operands.map((o): Operand => {
    if (o.kind !== 'immediate') return o;
    if (formsOf(mnemonic).some((f) => f.hasNear)) {
      if (o.distance !== undefined || o.size !== 0 || o.strict) return o;
      const conditional = mnemonic !== 'jmp' && formsOf(mnemonic).some((f) => f.hasShort);
      return { ...o, distance: level === 'none' && conditional ? 'short' : 'near' };
    }
    const long = level === 'none' ? !SHIFTS.test(mnemonic) : mnemonic === 'mov';
    return long ? { ...o, strict: true } : o;
  });
}
