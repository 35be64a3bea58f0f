import type { RegisterWidth } from '../../../isa/registers';
import type { CpuState } from '../../state/cpu-state';
import type { Emitter } from './emitter';
import type { Helper } from './helpers';

const swap32 = (x: number): number => ((x & 0xff) << 24) | ((x & 0xff00) << 8) | ((x >>> 8) & 0xff00) | (x >>> 24);

const swapWord: Helper = (s, d, a) => {
  const x = s.get32(a);
  s.set32(d, ((x & 0xff) << 8) | ((x >>> 8) & 0xff));
  return 0;
};
const swapDouble: Helper = (s, d, a) => {
  s.set32(d, swap32(s.get32(a)));
  return 0;
};
const swapQuad: Helper = (s: CpuState, d, a) => {
  const low = s.r32[a * 2] as number;
  const high = s.r32[a * 2 + 1] as number;
  s.r32[d * 2] = swap32(high);
  s.r32[d * 2 + 1] = swap32(low);
  return 0;
};

/** The bytes of `a` in reverse order, at 16, 32 or 64 bits. */
export function byteSwap(e: Emitter, a: number, width: RegisterWidth): number {
  return e.helpMany(width === 64 ? swapQuad : width === 32 ? swapDouble : swapWord, 1, a);
}
