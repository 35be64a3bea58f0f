import type { Core, SysResult } from '../core';

/**
 * A heavy instruction: control registers, segments, interrupts, I/O. It sees the core, the decoded instruction (`core.insn`), `core.nextRip`, and RIP in the
 * state at the instruction's start. `a` and `b` are slots the lifter filled.
 */
export type SystemFunction = (core: Core, a: number, b: number) => SysResult;

const ids = new Map<SystemFunction, number>();
export const SYSTEM: SystemFunction[] = [];

export function systemId(f: SystemFunction): number {
  let id = ids.get(f);
  if (id === undefined) {
    id = SYSTEM.length;
    SYSTEM.push(f);
    ids.set(f, id);
  }
  return id;
}
