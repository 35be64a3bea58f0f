/**
 * The chain of an address: GVA → GPA by the guest's tables, GPA → HPA by EPT or NPT (the hardware's way), and GPA → HVA → HPA by memslot and
 * host tables (the way of KVM and the host kernel). The hardware's part is one probe by the hardware's own walker.
 */
import type { Access } from '../../hw/paging/access';
import { translateSecondLevel, type SecondLevelTables } from '../../hw/paging/second-level';
import { OrdinaryWalk, walkOrdinary } from '../../hw/paging/ordinary';
import { WalkSink, type Rights, type WalkFailure, type WalkStep } from '../../hw/paging/trace';
import { ALL, NONE, both, chain, chainSteps, loadedEntries } from './chain-steps';
import { describeFailure } from './failure-words';
import { SoftwareEntryPort } from './guest-physical';
import { translateByShadow } from './shadow';
import { softwareStages } from './software-stages';
import { tlbAnswer } from './tlb-answer';
import type { Chain, Stage, TranslateQuery, WalkStage } from './translation';
import type { Translator } from './translator';

export function accessOf(query: TranslateQuery, cpl: number): Access {
  const op = query.access === 'w' ? 'write' : query.access === 'x' ? 'fetch' : 'read';
  return { op, user: query.user ?? cpl === 3, implicit: false };
}

/** The chain of a linear address. */
export function translateGva(t: Translator, linear: bigint, access: Access): Chain {
  if (t.shadow)
    return translateByShadow(t, t.shadow, linear, access, t.ac, (tables) => tlbAnswer(t, linear, access, tables));
  const probe = t.mmu.probeWalk(linear, access);
  const gpa = probe.gpa ?? softwareGpa(t, linear);
  const paged = t.controls.format !== 'none';
  const guestOk = probe.gpa !== undefined;
  const guest: WalkStage = {
    stage: 'guest',
    ...(t.emulated ? ({ who: 'vmm', mode: 'root' } as const) : ({ who: 'cpu', mode: 'non-root' } as const)),
    from: 'gva',
    to: 'gpa',
    input: linear,
    ...(probe.gpa !== undefined ? { output: probe.gpa, pageSize: 2 ** probe.guestPageShift } : {}),
    ...(paged ? { root: { name: 'CR3', value: t.cr3 } } : {}),
    ...(probe.guestRights ? { rights: probe.guestRights } : {}),
    references: loadedEntries(probe.steps),
    steps: chainSteps(probe.steps, probe.failure),
  };
  const failure = probe.failure && describeFailure(probe.failure, access, t.controls, t.physical);
  const stages: Stage[] = [guest];
  if (t.nested)
    stages.push(
      nestedStage(
        t.nested,
        guestOk ? gpa : undefined,
        probe.hpa,
        probe.eptRights,
        probe.eptPageShift,
        probe.finalSteps,
        probe.failure,
      ),
    );
  const software = gpa === undefined ? undefined : softwareStages(t, gpa, access);
  if (software) stages.push(...software.stages);
  // under emulation the memory behind a GPA is found by the host's tables: what they do not map gives no right
  const second = !grants(probe.failure) ? NONE : t.nested ? (probe.eptRights ?? NONE) : ALL;
  const rights = both(probe.guestRights ?? NONE, both(second, software?.rights ?? ALL));
  return chain(
    { gva: linear, gpa, hva: software?.hva, hpa: probe.hpa ?? software?.hpa },
    {
      ok: probe.ok,
      rights,
      references: loadedEntries(probe.steps) + probe.finalSteps.length,
      tlb: tlbAnswer(t, linear, access, { ok: probe.ok, gpa: probe.gpa, hpa: probe.hpa }),
      stages,
      failure,
    },
  );
}

/** The chain of a guest physical address: what the second level and the memslots make of it. */
export function translateGpa(t: Translator, gpa: bigint, access: Access): Chain {
  const software = softwareStages(t, gpa, access);
  const tlb = { hit: false, stale: null };
  if (!t.nested) {
    return chain(
      { gpa, hva: software.hva, hpa: software.hpa },
      {
        ok: software.hpa !== undefined,
        rights: software.rights,
        references: 0,
        tlb,
        stages: software.stages,
        failure: software.failure,
      },
    );
  }
  const sink = new WalkSink();
  const walked = { memory: t.physical.memory, tables: t.nested, physicalBits: t.physicalBits };
  const { ok, out } = translateSecondLevel(walked, gpa, access.op, sink);
  const steps = sink.takeFinal();
  const failure = ok ? undefined : out.failure();
  const rights: Rights = { r: out.readable, w: out.writable, x: out.executable, user: true };
  const second = nestedStage(t.nested, gpa, ok ? out.address : undefined, rights, out.pageShift, steps, failure);
  return chain(
    { gpa, hva: software.hva, hpa: ok ? out.address : software.hpa },
    {
      ok,
      rights: both(grants(failure) ? rights : NONE, software.rights),
      references: steps.length,
      tlb,
      stages: [second, ...software.stages],
      failure: failure && describeFailure(failure, access, t.controls, t.physical),
    },
  );
}

/** The GPA that the guest's tables give, read through the memslots and whatever their rights: what KVM's walk_addr could find out. */
export function softwareGpa(t: Translator, linear: bigint): bigint | undefined {
  const anyone: Access = { op: 'read', user: false, implicit: false };
  const port = new SoftwareEntryPort(t.physical);
  const walk = new OrdinaryWalk({ port, root: t.cr3, controls: t.controls, pdptes: t.pdptes });
  return walkOrdinary(walk, linear, anyone, true) ? walk.out.address : undefined;
}

/** Whether the entries on the way give any right: those of an absent or misconfigured one mean nothing. */
const grants = (failure: WalkFailure | undefined): boolean =>
  failure === undefined ||
  (failure.reason !== 'not-present' && failure.reason !== 'misconfiguration' && failure.reason !== 'reserved-bit');

function nestedStage(
  tables: SecondLevelTables,
  gpa: bigint | undefined,
  hpa: bigint | undefined,
  rights: Rights | undefined,
  pageShift: number,
  steps: readonly WalkStep[],
  failure: WalkFailure | undefined,
): WalkStage {
  return {
    stage: tables.kind,
    who: 'cpu',
    mode: 'non-root',
    from: 'gpa',
    to: 'hpa',
    ...(gpa === undefined ? {} : { input: gpa }),
    ...(hpa === undefined ? {} : { output: hpa, pageSize: 2 ** pageShift }),
    root: { name: tables.kind === 'ept' ? 'EPTP' : 'nCR3', value: tables.value },
    ...(rights && gpa !== undefined ? { rights: grants(failure) ? rights : NONE } : {}),
    references: steps.length,
    steps: chainSteps(steps, failure?.onTableWalk ? undefined : failure),
  };
}
