import { VECTOR } from '../../../isa/exceptions';
import type { Core } from '../core';

/** Records an exception and answers undefined, for functions that return a value or nothing. */
export function fault(core: Core, vector: number, errorCode?: number): undefined {
  core.raise(vector, errorCode);
  return undefined;
}

/** Records an exception and answers false, for checks. */
export function deny(core: Core, vector: number, errorCode?: number): false {
  fault(core, vector, errorCode);
  return false;
}

/** Most privileged instructions: #GP(0) unless CPL is 0. */
export const requireCpl0 = (core: Core): boolean => core.state.cpl === 0 || deny(core, VECTOR.GP, 0);

/** The error code that names a selector: index and TI, with EXT in bit 0 (SDM vol. 3, 6.13). */
export const selectorError = (selector: number, ext = 0): number => (selector & 0xfffc) | ext;
