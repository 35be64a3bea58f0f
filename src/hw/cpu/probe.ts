import { gpa as asGpa, hpa as asHpa, type Gpa, type Hpa } from '../../base/address';
import type { Access } from '../paging/access';
import type { PagingControls } from '../paging/controls';
import { walkSecondLevel } from '../paging/second-level';
import { walkOrdinary, withFlags } from '../paging/ordinary';
import { WalkSink, type Rights, type WalkFailure, type WalkStep } from '../paging/trace';
import type { WalkStart } from '../paging/walk-out';
import type { GuestWalk } from './guest-walk';

/** What a probe found: a walk by the same code, with no A/D update, no fill, no fault and nothing counted. */
export interface Probe {
  readonly ok: boolean;
  readonly gpa: Gpa | undefined;
  readonly hpa: Hpa | undefined;
  /** log2 of the guest's and the second level's page size; 12 where there is no such level. */
  readonly guestPageShift: number;
  readonly eptPageShift: number;
  /** Rights of the guest walk and of the EPT walk of the final address, each ANDed over its levels. */
  readonly guestRights: Rights | undefined;
  readonly eptRights: Rights | undefined;
  /** The guest walk, second-level walks nested in it, and the second-level walk of the final address. */
  readonly steps: readonly WalkStep[];
  readonly finalSteps: readonly WalkStep[];
  readonly references: number;
  readonly failure: WalkFailure | undefined;
}

/**
 * The walk of `linear` as it would go now, changing and counting nothing; `ac` is RFLAGS.AC where it lifts SMAP. The TLB
 * is not consulted: see `tlb.peek` for what it would answer. `start`: an entry of the paging-structure caches to begin at.
 */
export function probeWalk(
  walk: GuestWalk,
  c: PagingControls,
  linear: bigint,
  access: Access,
  ac: boolean,
  sink: WalkSink,
  start?: WalkStart,
): Probe {
  const { out, second, secondOut, secondLevel, physical } = walk;
  walk.probing = true;
  const ok = walkOrdinary(walk.prepare(c, start, sink), linear, access, ac);
  walk.probing = false;
  const base = { steps: sink.steps, guestPageShift: ok ? out.pageShift : 12, eptPageShift: 12, eptRights: undefined };
  if (!ok) {
    // a denied access still has a translation: software can say where it would have gone
    return {
      ...base,
      ok: false,
      gpa: undefined,
      hpa: undefined,
      guestRights: undefined,
      finalSteps: sink.takeFinal(),
      references: WalkSink.references(sink.steps),
      failure: out.failure(),
    };
  }
  const flags = c.format === 'none' ? undefined : refusedFlags(walk, access.op === 'write', sink.steps);
  const guestRights: Rights = { r: true, w: out.writable, x: !(out.executeDisable && c.nxe), user: out.user };
  const gpa = out.address;
  if (flags) {
    return {
      ...base,
      ok: false,
      gpa: asGpa(gpa),
      hpa: undefined,
      guestRights,
      finalSteps: [],
      references: WalkSink.references(sink.steps),
      ...flags,
    };
  }
  if (!secondLevel && !physical) {
    return {
      ...base,
      ok: true,
      gpa: asGpa(gpa),
      hpa: asHpa(gpa),
      guestRights,
      finalSteps: [],
      references: WalkSink.references(sink.steps),
      failure: undefined,
    };
  }
  second.sink = sink;
  const good = secondLevel
    ? walkSecondLevel(second, secondLevel, gpa, access.op)
    : physical?.find(gpa, access.op, secondOut, sink) === true;
  second.sink = undefined;
  const finalSteps = sink.takeFinal();
  return {
    ...base,
    ok: good,
    gpa: asGpa(gpa),
    hpa: good ? asHpa(secondOut.address) : undefined,
    guestRights,
    eptPageShift: good ? secondOut.pageShift : 12,
    eptRights: { r: secondOut.readable, w: secondOut.writable, x: secondOut.executable, user: true },
    finalSteps,
    references: WalkSink.references(sink.steps) + finalSteps.length,
    failure: good ? undefined : secondOut.failure(),
  };
}

/**
 * The first entry of the guest walk in `walk.out` whose accessed or dirty flag the second level does not let be set: the failure, and the steps with that write's own walk in
 * place of the read's.
 */
function refusedFlags(
  walk: GuestWalk,
  write: boolean,
  steps: readonly WalkStep[],
): { readonly steps: readonly WalkStep[]; readonly failure: WalkFailure } | undefined {
  const { out } = walk;
  for (let i = 0; i < out.depth; i++) {
    const entry = out.entries[i] as bigint;
    if (withFlags(entry, write && i === out.depth - 1) === entry) continue;
    const sink = new WalkSink();
    walk.probing = true;
    const at = walk.locate(out.addresses[i] as bigint, true, out, sink);
    walk.probing = false;
    if (at >= 0) continue;
    const nested = sink.takeFinal();
    const own = out.addresses[i];
    return {
      steps: steps.map((s) => (s.entryAddress === own && nested.length > 0 ? { ...s, nested } : s)),
      failure: out.failure(),
    };
  }
  return undefined;
}
