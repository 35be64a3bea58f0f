import { invariant } from '../../../base/assert';
import { VECTOR } from '../../../isa/exceptions';
import { because } from '../../../isa/reasons/index';
import { RFLAGS } from '../../../isa/flags';
import { SVM_EXIT } from '../../../isa/svm-exits';
import { SYS_EVENT, SYS_NEXT } from '../core';
import { iopl, isV86 } from './modes';
import { operand } from './operand';
import type { SystemFunction } from './table';
import { isRedirected, redirect } from './vme';

/** INT n. In virtual-8086 mode it may be the program's own affair; else only with IOPL 3 (#GP(0)). The gate is looked at by delivery. */
export const intN: SystemFunction = (core) => {
  const o = operand(core, 0);
  invariant(o.kind === 'immediate', 'INT takes a vector');
  const vector = Number(o.value & 0xffn);
  const redirected = isRedirected(core, vector);
  if (redirected === undefined) return SYS_EVENT;
  if (redirected) return redirect(core, vector);
  if (isV86(core.state) && iopl(core.state) < 3) return core.raise(VECTOR.GP, because('v86-iopl', iopl(core.state)), 0);
  // decode assists tell the vector
  const exit = core.intercepts?.svm?.(core, SVM_EXIT.SWINT, BigInt(vector));
  if (exit) return core.exit(exit);
  core.event = { kind: 'fault', vector, software: 'int', why: because('software-interrupt', vector) };
  return SYS_EVENT;
};

/** INT3: not subject to IOPL in virtual-8086 mode. */
export const int3: SystemFunction = (core) => {
  core.event = { kind: 'fault', vector: VECTOR.BP, software: 'int3', why: because('breakpoint-instruction') };
  return SYS_EVENT;
};

/** INT1 (ICEBP): a #DB that checks no gate DPL and leaves DR6 alone. */
export const int1: SystemFunction = (core) => {
  const exit = core.intercepts?.svm?.(core, SVM_EXIT.ICEBP);
  if (exit) return core.exit(exit);
  core.event = { kind: 'fault', vector: VECTOR.DB, software: 'icebp', why: because('debug-instruction') };
  return SYS_EVENT;
};

export const into: SystemFunction = (core) => {
  if ((core.state.rflags & (1n << BigInt(RFLAGS.OF))) === 0n) return SYS_NEXT;
  core.event = { kind: 'fault', vector: VECTOR.OF, software: 'into', why: because('overflow-instruction') };
  return SYS_EVENT;
};
