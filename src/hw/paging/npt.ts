import { FRAME_MASK, PTE_P } from '../../isa/entries';
import type { Access } from './access';
import { FORMATS, type PagingControls } from './controls';
import { DirectPort, OrdinaryWalk, updateAccessedDirty, walkOrdinary } from './ordinary';
import type { SecondLevelWalk } from './second-level-walk';
import { WalkSink, type WalkStep } from './trace';

/**
 * Nested page tables (AMD APM vol. 2, 15.25): nCR3, and ordinary entries in the format of the host's own paging mode at VMRUN.
 */
export interface Npt {
  readonly kind: 'npt';
  /** nCR3. */
  readonly value: bigint;
  readonly root: bigint;
  readonly levels: number;
  /** Ordinary entries always have them. */
  readonly accessedDirty: true;
  readonly controls: PagingControls;
}

/** `host`: the paging controls of the host. SMEP, SMAP, write protection of supervisors and keys mean nothing to accesses that are all a user's. */
export const decodeNpt = (value: bigint, host: PagingControls): Npt => ({
  kind: 'npt',
  value,
  root: value & FRAME_MASK,
  levels: host.format === 'none' ? 4 : FORMATS[host.format].levels,
  accessedDirty: true,
  controls: { ...host, smep: false, smap: false, pcide: false, pke: false, pge: false, wp: true },
});

const ACCESS: Readonly<Record<Access['op'], Access>> = {
  read: { op: 'read', user: true, implicit: false },
  write: { op: 'write', user: true, implicit: false },
  fetch: { op: 'fetch', user: true, implicit: false },
};

/** Steps of the ordinary walk as those of a second-level walk. */
class SecondLevelSink extends WalkSink {
  constructor(private readonly to: WalkSink) {
    super();
  }
  override step(step: Omit<WalkStep, 'nested'>): void {
    this.to.secondLevel({ ...step, nested: [] });
  }
}

/**
 * The walk of nested page tables: GPA → HPA by the ordinary walk, every access being a user's (15.25.5). Sets no A/D
 * flags. Afterwards `walk.out` has rights as a second level has them: an entry without U/S gives none.
 */
export function walkNpt(walk: SecondLevelWalk, npt: Npt, gpa: bigint, op: Access['op']): boolean {
  const { out } = walk;
  const { controls } = npt;
  out.loads = 0;
  const width = controls.format === 'none' ? 48 : FORMATS[controls.format].linearBits;
  if (gpa >> BigInt(width) !== 0n) {
    out.readable = out.writable = out.executable = false;
    return out.fail('npt', 'not-present', npt.levels, 0n, gpa);
  }
  const { root } = npt;
  const ordinary = (walk.ordinary ??= new OrdinaryWalk(
    { port: new DirectPort(walk.memory, 'npt'), root, controls },
    out,
  ));
  ordinary.root = root;
  ordinary.controls = controls;
  ordinary.sink = walk.sink && new SecondLevelSink(walk.sink);
  // a guest physical address has no sign
  const canonical = width > 32 ? BigInt.asUintN(64, BigInt.asIntN(width, gpa)) : gpa;
  const ok = walkOrdinary(ordinary, canonical, ACCESS[op], false);
  out.failedAddress = gpa;
  const leaf = ok || (out.failedEntry & PTE_P) !== 0n;
  const { user } = out;
  out.readable = leaf && user;
  out.executable = leaf && user && !(out.executeDisable && controls.nxe);
  out.writable = leaf && user && out.writable;
  return ok;
}

/** Sets A over the walk just made and D in its leaf for a write. Returns how many entries were written. */
export function updateNptAccessedDirty({ ordinary, out }: SecondLevelWalk, write: boolean): number {
  if (ordinary) updateAccessedDirty(ordinary, write);
  return out.written;
}
