/** The way of host software: GPA → HVA by the memslots, HVA → HPA by the tables of the VMM's process. */
import { hva as asHva } from '../../base/address';
import { HostTables } from '../../host/walk';
import type { Access } from '../../hw/paging/access';
import { WalkSink } from '../../hw/paging/trace';
import { ALL, chainSteps } from './chain-steps';
import { reasonWords } from './failure-words';
import type { ChainFailure, ChainRights, MemslotStage, Stage, WalkStage } from './translation';
import type { Translator } from './translator';

/** GPA → HVA → HPA as KVM and the host kernel would go, with the rights that bear on the guest. */
export function softwareStages(
  t: Translator,
  gpa: bigint,
  access: Access,
): {
  readonly stages: readonly Stage[];
  readonly hva: bigint | undefined;
  readonly hpa: bigint | undefined;
  readonly rights: ChainRights;
  readonly failure: ChainFailure | undefined;
} {
  const slot = t.physical.slotOf(gpa);
  const base = {
    stage: 'memslot',
    who: t.emulated ? 'vmm' : 'kvm',
    mode: 'root',
    from: 'gpa',
    to: 'hva',
    input: gpa,
  } as const;
  if (!slot) {
    const hole: MemslotStage = base;
    return {
      stages: [hole],
      hva: undefined,
      hpa: undefined,
      rights: ALL,
      failure: { stage: 'memslot', reason: t.emulated ? 'no memory region' : 'no memslot' },
    };
  }
  const hva = slot.hva + (gpa - slot.gpa);
  const memslot: MemslotStage = {
    ...base,
    output: hva,
    slot: slot.slot,
    base: slot.gpa,
    size: slot.size,
    hva: slot.hva,
    readOnly: slot.readOnly,
    rights: { ...ALL, w: !slot.readOnly },
  };
  const sink = new WalkSink();
  const write = access.op === 'write' && !slot.readOnly;
  const tables = new HostTables(t.physical.memory, t.host.tables.levels);
  const ok = tables.walk(t.host.cr3, asHva(hva), write, sink);
  const { out } = tables;
  const found = t.host.lookup(asHva(hva));
  const failure = ok ? undefined : out.failure();
  const swapped = ok ? undefined : t.host.swapSlot(asHva(hva));
  const host: WalkStage = {
    stage: 'host',
    who: 'cpu',
    mode: 'root',
    from: 'hva',
    to: 'hpa',
    input: hva,
    ...(found ? { output: found.hpa, pageSize: 2 ** found.pageShift } : {}),
    root: { name: 'host CR3', value: t.host.cr3 },
    ...(found ? { rights: { r: true, w: found.writable, x: ok && !out.executeDisable, user: true } } : {}),
    references: sink.steps.length,
    steps: chainSteps(sink.steps, failure),
  };
  // NX of the host mapping binds the VMM's own fetches, not the guest's: only reading and writing carry over.
  const rights: ChainRights = { ...ALL, w: !slot.readOnly && (found?.writable ?? true) };
  return {
    stages: [memslot, host],
    hva,
    hpa: found?.hpa,
    rights,
    failure: failure && {
      stage: 'host',
      level: failure.level,
      reason: swapped === undefined ? reasonWords(failure.reason) : `in swap slot ${swapped}`,
    },
  };
}
