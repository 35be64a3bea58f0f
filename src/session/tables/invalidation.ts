/** Which instruction or event drops a cached translation, in words that fit its tags: one place for every view. */
import { listed } from '../../base/plural';
import type { CachedTables, Invalidation } from './tlb-state';

/** What would have dropped an entry. */
export interface Advice {
  readonly missing: readonly Invalidation[];
  /** `INVLPG, INVPCID or a write of CR4.PGE`. */
  readonly advice: string;
  /** What one might think does it, and does not. */
  readonly note?: string;
}

/** Who flushes, as far as the advice depends on it. */
export interface Flusher {
  readonly vpid: number;
  /** CR4.PCIDE of the guest. */
  readonly pcide: boolean;
  /** The guest's processor has the instruction. */
  readonly invpcid: boolean;
  /** The PCID that is loaded. */
  readonly pcid: number;
}

const WORDS: Readonly<Record<Invalidation, string>> = {
  INVLPG: 'INVLPG',
  INVPCID: 'INVPCID',
  'MOV CR3': 'a load of CR3',
  'MOV CR4': 'a write of CR4.PGE',
  INVVPID: 'INVVPID',
  INVEPT: 'INVEPT',
  INVLPGA: 'INVLPGA',
  TLB_CONTROL: 'a flush of the ASID by TLB_CONTROL',
  'VM entry': 'the next VM entry',
};

/** What the guest itself can do about an entry of `pcid`, −1 for a global one (SDM vol. 3, 4.10.4.1; AMD APM vol. 2, 5.5.1). */
export function guestAdvice(pcid: number, f: Flusher): Advice {
  const invpcid: readonly Invalidation[] = f.invpcid ? ['INVPCID'] : [];
  if (pcid < 0) {
    const missing: readonly Invalidation[] = ['INVLPG', ...invpcid, 'MOV CR4'];
    return { missing, advice: listed(missing.map((m) => WORDS[m])), note: 'a load of CR3 keeps global pages' };
  }
  const load = f.pcide ? `a load of CR3 with bit 63 = 0` : WORDS['MOV CR3'];
  if (f.pcide && pcid !== f.pcid) {
    const missing: readonly Invalidation[] = [...invpcid, 'MOV CR3'];
    return {
      missing,
      advice: listed([...invpcid.map((m) => `${WORDS[m]} of PCID ${pcid}`), `${load}, of PCID ${pcid}`]),
      note: 'INVLPG reaches the PCID that is loaded and global pages alone',
    };
  }
  const missing: readonly Invalidation[] = ['INVLPG', ...invpcid, 'MOV CR3'];
  return {
    missing,
    advice: listed([...missing.slice(0, -1).map((m) => WORDS[m]), load]),
    ...(f.pcide ? { note: 'a load of CR3 with bit 63 = 1 keeps what its PCID has cached' } : {}),
  };
}

/** What the hypervisor can do about an entry made from its tables. */
const HYPERVISORS: Readonly<Record<Exclude<CachedTables, 'guest'>, readonly Invalidation[]>> = {
  ept: ['INVEPT'],
  npt: ['INVLPGA', 'TLB_CONTROL'],
  shadow: ['INVVPID'],
};

export function hypervisorAdvice(where: Exclude<CachedTables, 'guest'>, vpid: number): Advice {
  // what VPID 0 has cached does not survive a VM entry (SDM vol. 3, 28.4.3.1)
  const missing: readonly Invalidation[] = vpid === 0 ? [...HYPERVISORS[where], 'VM entry'] : HYPERVISORS[where];
  return { missing, advice: listed(missing.map((m) => WORDS[m])) };
}
