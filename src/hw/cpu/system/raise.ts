import { VECTOR } from '../../../isa/exceptions';
import { because, type FaultReason } from '../../../isa/reasons/index';
import type { CpuState } from '../../state/cpu-state';
import type { FaultEvent } from '../../state/event';
import { SEG, SLOT } from '../../state/layout';
import type { Core } from '../core';

/** Records an exception and answers undefined, for functions that return a value or nothing. */
export function fault(core: Core, vector: number, why: FaultReason, errorCode?: number): undefined {
  core.raise(vector, why, errorCode);
  return undefined;
}

/** Records an exception and answers false, for checks. */
export function deny(core: Core, vector: number, why: FaultReason, errorCode?: number): false {
  core.raise(vector, why, errorCode);
  return false;
}

/** Most privileged instructions: #GP(0) unless CPL is 0. */
export const requireCpl0 = (core: Core): boolean =>
  core.state.cpl === 0 || deny(core, VECTOR.GP, because('cpl', core.state.cpl), 0);

/** The error code that names a selector: index and TI, with EXT in bit 0 (SDM vol. 3, 6.13). */
export const selectorError = (selector: number, ext = 0): number => (selector & 0xfffc) | ext;

/** #DB. `dr6`: the bits that DR6 gains when it is delivered. */
export const debugException = (s: CpuState, dr6: bigint): FaultEvent => ({
  kind: 'fault',
  vector: VECTOR.DB,
  debug: dr6,
  why: because('debug', dr6, s.get(SLOT.DR0), s.get(SLOT.DR0 + 1), s.get(SLOT.DR0 + 2), s.get(SLOT.DR0 + 3)),
});

/** #GP(0): the instruction at RIP is not, or not whole, inside the limit of CS. */
export const denyFetch = (core: Core): false =>
  deny(core, VECTOR.GP, because('fetch-limit', core.state.rip, core.state.get32(SLOT.LIMIT + SEG.CS)), 0);
