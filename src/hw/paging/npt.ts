import { FRAME_MASK, PTE_P } from '../../isa/entries';
import type { HostMemory } from '../memory/host-memory';
import type { Access } from './access';
import { FORMATS, type PagingControls } from './controls';
import { DirectPort, updateAccessedDirty, walkOrdinary } from './ordinary';
import { WalkSink, type WalkStep } from './trace';
import type { WalkOut } from './walk-out';

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

/** Steps of a nested walk as steps nested in another. */
class Nested extends WalkSink {
  constructor(private readonly to: (step: WalkStep) => void) {
    super();
  }
  override step(step: Omit<WalkStep, 'nested'>): void {
    this.to({ ...step, nested: [] });
  }
}

/**
 * The nested walk: GPA → HPA by the ordinary walk, every access being a user's (15.25.5). Sets no A/D flags. Afterwards `out` has rights as a second level has them: an
 * entry without U/S gives none.
 */
export function walkNpt(
  memory: HostMemory,
  npt: Npt,
  gpa: bigint,
  op: Access['op'],
  out: WalkOut,
  sink: ((step: WalkStep) => void) | undefined,
  loaded?: () => void,
): boolean {
  const port = new NptPort(memory, loaded);
  const width = npt.controls.format === 'none' ? 48 : FORMATS[npt.controls.format].linearBits;
  if (gpa >> BigInt(width) !== 0n) {
    out.readable = out.writable = out.executable = false;
    return out.fail('npt', 'not-present', npt.levels, 0n, gpa);
  }
  // a guest physical address has no sign
  const canonical = width > 32 ? BigInt.asUintN(64, BigInt.asIntN(width, gpa)) : gpa;
  const ok = walkOrdinary(
    port,
    npt.root,
    npt.controls,
    canonical,
    ACCESS[op],
    false,
    out,
    sink && new Nested(sink),
    undefined,
  );
  out.failedAddress = gpa;
  const leaf = ok || (out.failedEntry & PTE_P) !== 0n;
  const { user } = out;
  out.readable = leaf && user;
  out.executable = leaf && user && !(out.executeDisable && npt.controls.nxe);
  out.writable = leaf && user && out.writable;
  return ok;
}

/** Sets A over the walk in `out` and D in its leaf for a write. Result: entries written. */
export function updateNptAccessedDirty(memory: HostMemory, npt: Npt, write: boolean, out: WalkOut): number {
  let n = 0;
  updateAccessedDirty(new DirectPort(memory, 'npt'), npt.controls, write, out, () => n++);
  return n;
}

class NptPort extends DirectPort {
  constructor(
    memory: HostMemory,
    private readonly count: (() => void) | undefined,
  ) {
    super(memory, 'npt');
  }
  loaded(): void {
    this.count?.();
  }
}
