import { invariant } from '../../../base/assert';
import { VECTOR } from '../../../isa/exceptions';
import { because } from '../../../isa/reasons/index';
import { VMX_EXIT } from '../../../isa/exits';
import { SLOT } from '../../state/layout';
import { setArithmeticFlags } from '../../state/lazy-flags';
import { SYS_NEXT } from '../core';
import type { CpuFeature } from '../cpuid-model';
import { instructionInfo } from './instruction-info';
import { operand, putGpr } from './operand';
import type { SystemFunction } from './table';

const CF = 1;
const STEP = 0x9e37_79b9_7f4a_7c15n;

/** Sebastiano Vigna's splitmix64: the state counts up, the answer is that mixed. */
function next(state: bigint): { readonly state: bigint; readonly value: bigint } {
  const counted = BigInt.asUintN(64, state + STEP);
  let z = counted;
  z = BigInt.asUintN(64, (z ^ (z >> 30n)) * 0xbf58_476d_1ce4_e5b9n);
  z = BigInt.asUintN(64, (z ^ (z >> 27n)) * 0x94d0_49bb_1331_11ebn);
  return { state: counted, value: z ^ (z >> 31n) };
}

/** RDRAND and RDSEED: always a number (CF = 1, the other arithmetic flags clear), from a generator in the CPU's state, so that a run can be repeated. */
const random =
  (feature: CpuFeature, reason: number): SystemFunction =>
  (core) => {
    if (!core.model.has(feature)) return core.raise(VECTOR.UD, because('feature-absent', feature));
    const exit = core.intercepts?.instruction(core, reason, 0n, instructionInfo(core, 0, {}));
    if (exit) return core.exit(exit);
    const o = operand(core, 0);
    invariant(o.kind === 'gpr', 'RDRAND and RDSEED have a register operand');
    const s = core.state;
    const { state, value } = next(s.get(SLOT.RANDOM));
    s.set(SLOT.RANDOM, state);
    putGpr(s, o.index, o.width, value);
    setArithmeticFlags(s.r32, CF);
    return SYS_NEXT;
  };
export const rdrand = random('RDRAND', VMX_EXIT.RDRAND);
export const rdseed = random('RDSEED', VMX_EXIT.RDSEED);
