/**
 * The chain of an address: GVA → GPA by the guest's tables, GPA → HPA by EPT (the hardware's way), and GPA → HVA → HPA by memslot and
 * host tables (the way of KVM and the host kernel). The hardware's part is one probe by the hardware's own walker.
 */
import type { Access } from '../hw/paging/access';
import { walkEpt } from '../hw/paging/ept';
import type { Eptp } from '../hw/paging/ept';
import { DirectPort, walkOrdinary } from '../hw/paging/ordinary';
import type { Rights, WalkFailure, WalkStep } from '../hw/paging/trace';
import { WalkSink } from '../hw/paging/trace';
import { WalkOut } from '../hw/paging/walk-out';
import type { PagingControls } from '../hw/paging/controls';
import type { Mmu } from '../hw/cpu/mmu';
import type { TlbEntryView } from '../hw/tlb/tlb';
import type { AddressSpace } from '../host/address-space';
import { hva as asHva } from '../base/address';
import { FRAME_MASK } from '../isa/entries';
import { entryName } from './entry-names';
import { describeFailure, reasonWords } from './failure-words';
import type { GuestPhysical } from './guest-physical';
import { SoftwareEntryPort } from './guest-physical';
import type {
  Chain,
  ChainFailure,
  ChainRights,
  ChainStep,
  MemslotStage,
  Stage,
  TranslateQuery,
  WalkStage,
} from './translation';

/** Everything that translates a guest's addresses at one moment. */
export interface Translator {
  /** Probes with the guest's registers, whether the CPU is in the guest or the guest's state lies in the VMCS. */
  readonly mmu: Mmu;
  readonly controls: PagingControls;
  readonly cr3: bigint;
  readonly cpl: number;
  readonly physicalBits: number;
  readonly eptp: Eptp | undefined;
  readonly physical: GuestPhysical;
  readonly host: AddressSpace;
  /** The PAE page-directory-pointer registers. */
  readonly pdptes: readonly bigint[];
  /** The TLB entry that the guest's next access to `linear` would use. */
  tlbEntry(linear: bigint): TlbEntryView | undefined;
}

/** Entries that a walk loaded. A guest entry whose own address failed in EPT was not. */
function loadedEntries(steps: readonly WalkStep[]): number {
  return steps.reduce((n, s) => n + (s.entryHpa === undefined ? 0 : 1) + loadedEntries(s.nested), 0);
}

const ALL: ChainRights = { r: true, w: true, x: true, user: true };
const NONE: ChainRights = { r: false, w: false, x: false, user: false };
const both = (a: ChainRights, b: ChainRights): ChainRights => ({
  r: a.r && b.r,
  w: a.w && b.w,
  x: a.x && b.x,
  user: a.user && b.user,
});

export function accessOf(query: TranslateQuery, cpl: number): Access {
  const op = query.access === 'w' ? 'write' : query.access === 'x' ? 'fetch' : 'read';
  return { op, user: query.user ?? cpl === 3, implicit: false };
}

/** The chain of a linear address. */
export function translateGva(t: Translator, linear: bigint, access: Access): Chain {
  const probe = t.mmu.probeWalk(linear, access);
  const gpa = probe.gpa ?? softwareGpa(t, linear);
  const paged = t.controls.format !== 'none';
  const guestOk = probe.gpa !== undefined;
  const guest: WalkStage = {
    stage: 'guest',
    who: 'cpu',
    mode: 'non-root',
    from: 'gva',
    to: 'gpa',
    input: linear,
    ...(probe.gpa !== undefined ? { output: probe.gpa, pageSize: 2 ** probe.guestPageShift } : {}),
    ...(paged ? { root: { name: 'CR3', value: t.cr3 } } : {}),
    ...(probe.guestRights ? { rights: probe.guestRights } : {}),
    references: loadedEntries(probe.steps),
    steps: probe.steps.map((s) => chainStep(s, probe.failure)),
  };
  const failure = probe.failure && describeFailure(probe.failure, access, t.controls, t.physical);
  const stages: Stage[] = [guest];
  if (t.eptp)
    stages.push(
      eptStage(
        t.eptp,
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
  const second = !t.eptp ? ALL : grants(probe.failure) ? (probe.eptRights ?? NONE) : NONE;
  const rights = both(probe.guestRights ?? NONE, both(second, software?.rights ?? ALL));
  return chain(
    { gva: linear, gpa, hva: software?.hva, hpa: probe.hpa ?? software?.hpa },
    {
      ok: probe.ok,
      rights,
      references: loadedEntries(probe.steps) + probe.finalSteps.length,
      tlb: tlbAnswer(t, linear, access, gpa, probe.hpa),
      stages,
      failure,
    },
  );
}

/** The chain of a guest physical address: what the second level and the memslots make of it. */
export function translateGpa(t: Translator, gpa: bigint, access: Access): Chain {
  const software = softwareStages(t, gpa, access);
  const tlb = { hit: false, stale: null };
  if (!t.eptp) {
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
  const out = new WalkOut();
  const steps: WalkStep[] = [];
  const ok = walkEpt(t.physical.memory, t.eptp, gpa, access.op, t.physicalBits, out, (s) =>
    steps.push({ ...s, nested: [] }),
  );
  const failure = ok ? undefined : out.failure();
  const rights: Rights = { r: out.readable, w: out.writable, x: out.executable, user: true };
  const ept = eptStage(t.eptp, gpa, ok ? out.address : undefined, rights, out.pageShift, steps, failure);
  return chain(
    { gpa, hva: software.hva, hpa: ok ? out.address : software.hpa },
    {
      ok,
      rights: both(grants(failure) ? rights : NONE, software.rights),
      references: steps.length,
      tlb,
      stages: [ept, ...software.stages],
      failure: failure && describeFailure(failure, access, t.controls, t.physical),
    },
  );
}

type Addresses = {
  readonly gva?: bigint;
  readonly gpa: bigint | undefined;
  readonly hva: bigint | undefined;
  readonly hpa: bigint | undefined;
};
type Rest = Omit<Chain, 'gva' | 'gpa' | 'hva' | 'hpa' | 'failure'> & { readonly failure: ChainFailure | undefined };

/** Leaves out what is not known: absent fields, not undefined ones. */
function chain(a: Addresses, { failure, ...rest }: Rest): Chain {
  const { ok, ...others } = rest;
  return {
    ok,
    ...(a.gva === undefined ? {} : { gva: a.gva }),
    ...(a.gpa === undefined ? {} : { gpa: a.gpa }),
    ...(a.hva === undefined ? {} : { hva: a.hva }),
    ...(a.hpa === undefined ? {} : { hpa: a.hpa }),
    ...others,
    ...(failure ? { failure } : {}),
  };
}

/** The GPA that the guest's tables give, read through the memslots and whatever their rights: what KVM's walk_addr could find out. */
export function softwareGpa(t: Translator, linear: bigint): bigint | undefined {
  const out = new WalkOut();
  const anyone: Access = { op: 'read', user: false, implicit: false };
  const ok = walkOrdinary(
    new SoftwareEntryPort(t.physical),
    t.cr3,
    t.controls,
    linear,
    anyone,
    true,
    out,
    undefined,
    t.pdptes,
  );
  return ok ? out.address : undefined;
}

/** Whether the entries on the way give any right: those of an absent or misconfigured one mean nothing. */
const grants = (failure: WalkFailure | undefined): boolean =>
  failure === undefined || (failure.reason !== 'not-present' && failure.reason !== 'misconfiguration');

function eptStage(
  eptp: Eptp,
  gpa: bigint | undefined,
  hpa: bigint | undefined,
  rights: Rights | undefined,
  pageShift: number,
  steps: readonly WalkStep[],
  failure: WalkFailure | undefined,
): WalkStage {
  return {
    stage: 'ept',
    who: 'cpu',
    mode: 'non-root',
    from: 'gpa',
    to: 'hpa',
    ...(gpa === undefined ? {} : { input: gpa }),
    ...(hpa === undefined ? {} : { output: hpa, pageSize: 2 ** pageShift }),
    root: { name: 'EPTP', value: eptp.value },
    ...(rights && gpa !== undefined ? { rights: grants(failure) ? rights : NONE } : {}),
    references: steps.length,
    steps: steps.map((s) => chainStep(s, failure?.onTableWalk ? undefined : failure)),
  };
}

/** GPA → HVA → HPA as KVM and the host kernel would go, with the rights that bear on the guest. */
function softwareStages(
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
  const base = { stage: 'memslot', who: 'kvm', mode: 'root', from: 'gpa', to: 'hva', input: gpa } as const;
  if (!slot) {
    const hole: MemslotStage = base;
    return {
      stages: [hole],
      hva: undefined,
      hpa: undefined,
      rights: ALL,
      failure: { stage: 'memslot', reason: 'no memslot' },
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
  const out = new WalkOut();
  const sink = new WalkSink();
  const write = access.op === 'write' && !slot.readOnly;
  const ok = walkOrdinary(
    new DirectPort(t.physical.memory, 'host'),
    t.host.cr3,
    HOST_CONTROLS,
    hva,
    { op: write ? 'write' : 'read', user: true, implicit: false },
    false,
    out,
    sink,
  );
  const found = t.host.lookup(asHva(hva));
  const failure = ok ? undefined : out.failure();
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
    steps: sink.steps.map((s) => chainStep(s, failure)),
  };
  // NX of the host mapping binds the VMM's own fetches, not the guest's: only reading and writing carry over.
  const rights: ChainRights = { ...ALL, w: !slot.readOnly && (found?.writable ?? true) };
  return {
    stages: [memslot, host],
    hva,
    hpa: found?.hpa,
    rights,
    failure: failure && { stage: 'host', level: failure.level, reason: reasonWords(failure.reason) },
  };
}

/** The host runs in long mode with 4-level paging, NX, WP, SMEP and SMAP, as Linux does. */
const HOST_CONTROLS: PagingControls = {
  format: '4level',
  wp: true,
  nxe: true,
  smep: true,
  smap: true,
  pse: true,
  pge: true,
  pcide: false,
  pke: false,
  pkru: 0,
  physicalBits: 52,
  pages1g: true,
};

function chainStep(s: WalkStep, failure: WalkFailure | undefined): ChainStep {
  const present = s.outcome === 'next' || s.outcome === 'leaf' || s.outcome === 'denied';
  const here = s.outcome !== 'next' && s.outcome !== 'leaf';
  const unloaded = s.entryHpa === undefined ? 'not loaded: its own address has no translation' : undefined;
  const problem =
    unloaded ??
    (here ? (failure && s.entry === failure.entry ? reasonWords(failure.reason) : OUTCOMES[s.outcome]) : undefined);
  return {
    level: s.level,
    name: entryName(s.table, s.level),
    index: s.index,
    entryAddress: s.entryAddress,
    space: s.space,
    ...(s.entryHpa === undefined || s.space === 'hpa' ? {} : { entryHpa: s.entryHpa }),
    entry: s.entry,
    flags: s.flags,
    ...(present ? { target: s.entry & FRAME_MASK } : {}),
    ...(problem === undefined ? {} : { problem }),
    nested: s.nested.map((n) => chainStep(n, failure)),
  };
}
const OUTCOMES: Readonly<Record<WalkStep['outcome'], string | undefined>> = {
  next: undefined,
  leaf: undefined,
  'not-present': 'not present',
  reserved: 'a reserved bit is set',
  misconfigured: 'misconfigured',
  denied: 'denied',
  'no-memory': 'no memory there',
};

/** What the TLB would say: whether it serves the access, and where it would lead if that is not where the tables lead now. */
function tlbAnswer(
  t: Translator,
  linear: bigint,
  access: Access,
  gpa: bigint | undefined,
  hpa: bigint | undefined,
): Chain['tlb'] {
  const e = t.tlbEntry(linear);
  if (!e) return { hit: false, stale: null };
  const within = linear & 0xfffn;
  const serves =
    access.op === 'write'
      ? e.writable && e.dirty && e.eptRights.w
      : access.op === 'fetch'
        ? e.executable && e.eptRights.x
        : e.eptRights.r;
  const guestMoved = gpa === undefined || (gpa & ~0xfffn) !== e.gpa;
  const moved = guestMoved || hpa === undefined || (hpa & ~0xfffn) !== e.hpa;
  return {
    hit: serves,
    stale: moved
      ? { hpa: e.hpa + within, missing: guestMoved ? 'INVLPG of the address, or a load of CR3' : 'INVEPT of this EPTP' }
      : null,
  };
}
