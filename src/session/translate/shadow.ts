/**
 * The chain of an address under shadow paging: GVA → HPA in one go by the shadow tables, which are what hardware walks; and what they are made from: GVA → GPA by the guest's
 * tables, walked by KVM in software, then memslot and host tables.
 */
import { hex } from '../../base/hex';
import type { Access } from '../../hw/paging/access';
import { OrdinaryWalk, walkOrdinary } from '../../hw/paging/ordinary';
import { WalkSink, type Rights } from '../../hw/paging/trace';
import { WalkOut } from '../../hw/paging/walk-out';
import type { ShadowMmu } from '../../kvm/mmu/shadow/mmu';
import { PTE_P } from '../../isa/entries';
import { NONE, both, chain, chainSteps, loadedEntries } from './chain-steps';
import { decidingWords, decision, decisionWords, describeFailure, reasonWords } from './failure-words';
import { driftOf } from '../tables/drift';
import { SoftwareEntryPort } from './guest-physical';
import { shadowTables } from '../tables/shadow-tables';
import { softwareStages } from './software-stages';
import type { TablesAnswer } from './tlb-answer';
import type { Chain, ChainFailure, ChainTlb, WalkStage } from './translation';
import type { Translator } from './translator';

export function translateByShadow(
  t: Translator,
  shadow: ShadowMmu,
  linear: bigint,
  access: Access,
  ac: boolean,
  tlb: (tables: TablesAnswer) => ChainTlb,
): Chain {
  const out = new WalkOut();
  const sink = new WalkSink();
  const port = new SoftwareEntryPort(t.physical);
  const walk = new OrdinaryWalk({ port, root: t.cr3, controls: t.controls, pdptes: t.pdptes }, out, sink);
  const guestOk = walkOrdinary(walk, linear, access, ac);
  const guestFailure = guestOk ? undefined : out.failure();
  const guestRights: Rights | undefined = guestOk ? rightsOf(out, t.controls.nxe) : undefined;
  const gpa = guestOk ? out.address : undefined;
  const guest: WalkStage = {
    stage: 'guest',
    who: 'kvm',
    mode: 'root',
    from: 'gva',
    to: 'gpa',
    input: linear,
    ...(gpa === undefined ? {} : { output: gpa, pageSize: 2 ** out.pageShift }),
    ...(t.controls.format === 'none' ? {} : { root: { name: 'guest CR3', value: t.cr3 } }),
    ...(guestRights ? { rights: guestRights } : {}),
    references: loadedEntries(sink.steps),
    steps: chainSteps(sink.steps, guestFailure),
  };
  const hardware = walkShadow(t, shadow, linear, access, ac);
  const software = gpa === undefined ? undefined : softwareStages(t, gpa, access);
  const at = hardware.output;
  return chain(
    { gva: linear, gpa, hva: software?.hva, hpa: at ?? software?.hpa },
    {
      ok: at !== undefined,
      rights: guestRights ? both(guestRights, both(hardware.rights, software?.rights ?? NONE)) : NONE,
      references: hardware.stage.references ?? 0,
      tlb: tlb({ ok: at !== undefined, gpa, hpa: at }),
      stages: [hardware.stage, guest, ...(software?.stages ?? [])],
      failure:
        at !== undefined
          ? undefined
          : guestFailure
            ? guestFault(describeFailure(guestFailure, access, t.controls, t.physical))
            : hardware.failure,
    },
  );
}

const rightsOf = (out: WalkOut, nxe: boolean): Rights => ({
  r: true,
  w: out.writable,
  x: !(out.executeDisable && nxe),
  user: out.user,
});

/** The guest's own fault comes to it through KVM. */
const guestFault = (f: ChainFailure): ChainFailure => ({
  ...f,
  ...(f.explanation === undefined
    ? {}
    : {
        explanation: f.explanation.replace(
          "it goes through the guest's IDT and does not exit.",
          'the #PF exits, KVM walks these tables, and injects it into the guest.',
        ),
      }),
});

function walkShadow(
  t: Translator,
  shadow: ShadowMmu,
  linear: bigint,
  access: Access,
  ac: boolean,
): {
  readonly stage: WalkStage;
  readonly output: bigint | undefined;
  /** Those of an entry that is absent or marks MMIO: none. */
  readonly rights: Rights;
  readonly failure: ChainFailure | undefined;
} {
  const base = { stage: 'shadow', who: 'cpu', mode: 'non-root', from: 'gva', to: 'hpa', input: linear } as const;
  const tables = shadowTables(t, shadow);
  if (!tables) {
    const failure = {
      stage: 'shadow',
      reason: 'no root',
      explanation: 'No shadow root is loaded: the guest has not been entered, or the instruction emulator runs it.',
    } as const;
    return { stage: { ...base, references: 0, steps: [] }, output: undefined, rights: NONE, failure };
  }
  const { root } = tables;
  const out = new WalkOut();
  const sink = new WalkSink();
  const ok = walkOrdinary(new OrdinaryWalk(tables, out, sink), linear, access, ac);
  const failed = ok ? undefined : out.failure();
  const drift = driftOf(t)?.ofLinear(linear) ?? [];
  const stage: WalkStage = {
    ...base,
    ...(ok ? { output: out.address, pageSize: 2 ** out.pageShift, rights: rightsOf(out, true) } : {}),
    root: { name: 'shadow root', value: root },
    ...(drift.length > 0 ? { drift } : {}),
    references: loadedEntries(sink.steps),
    steps: chainSteps(sink.steps, failed),
  };
  const rights = !failed || failed.lacking.length > 0 ? rightsOf(out, true) : NONE;
  if (!failed) return { stage, output: out.address, rights, failure: undefined };
  const present = (failed.entry & PTE_P) !== 0n;
  return {
    stage,
    output: undefined,
    rights,
    failure: {
      stage: 'shadow',
      level: failed.level,
      reason: reasonWords(failed.reason),
      event: 'EXCEPTION_NMI',
      explanation: present
        ? `In the shadow tables ${decidingWords(failed)}, which the guest’s own tables allow. ${decisionWords(failed)} The #PF exits, and KVM looks at the guest's tables.`.replace(
            '  ',
            ' ',
          )
        : `The shadow entry of level ${failed.level} (${hex(failed.entry)}) is not filled: the #PF exits, and KVM looks at the guest's tables.`,
      ...decision(failed),
    },
  };
}
