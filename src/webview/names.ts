/** What the view calls things: the manuals' names, and their meaning in a few words. */
import { assertUnreachable } from '../base/assert';
import type { Space } from '../base/address';
import type { Stage, WalkMode, Walker } from '../protocol/translation';

export const SPACE_NAMES: Readonly<Record<Space, { short: string; long: string }>> = {
  gva: { short: 'GVA', long: 'guest virtual address' },
  gpa: { short: 'GPA', long: 'guest physical address' },
  hva: { short: 'HVA', long: 'host virtual address' },
  hpa: { short: 'HPA', long: 'host physical address' },
};

/** `who`: who goes that way; software emulation has QEMU's memory regions where KVM has memslots. */
export function stageTitle(stage: Stage['stage'], who?: Walker): string {
  switch (stage) {
    case 'guest':
      return 'Guest page tables';
    case 'shadow':
      return 'Shadow page tables';
    case 'ept':
      return 'Extended page tables (EPT)';
    case 'npt':
      return 'Nested page tables (NPT)';
    case 'memslot':
      return who === 'vmm' ? 'Memory region' : 'Memslot';
    case 'host':
      return 'Host page tables';
    default:
      return assertUnreachable(stage);
  }
}

const WALKERS: Readonly<Record<Walker, string>> = { cpu: 'CPU', kvm: 'KVM', host: 'host kernel', vmm: 'VMM' };
const MODES: Readonly<Record<WalkMode, string>> = {
  'non-root': 'non-root mode',
  root: 'root mode',
  kernel: 'kernel mode',
  user: 'user mode',
};
export const walkerText = (who: Walker, mode: WalkMode): string => `${WALKERS[who]}, ${MODES[mode]}`;

export function sizeText(bytes: number | bigint): string {
  let value = BigInt(bytes);
  for (const unit of ['B', 'KiB', 'MiB', 'GiB', 'TiB']) {
    if (value < 1024n || value % 1024n !== 0n || unit === 'TiB') return `${value} ${unit}`;
    value /= 1024n;
  }
  return `${bytes} B`;
}

/** Set bits of an entry (SDM vol. 3, tables 4-14 to 4-19 and 28-1 to 28-6), for the chip's tooltip. */
const FLAG_MEANINGS: Readonly<Record<string, string>> = {
  P: 'present',
  RW: 'writable',
  US: 'user access allowed',
  PWT: 'page-level write-through',
  PCD: 'page-level cache disable',
  A: 'accessed',
  D: 'dirty',
  PS: 'page size: this entry maps a large page',
  G: 'global: survives a CR3 load',
  PAT: 'page attribute table bit',
  NX: 'no execute',
  XD: 'execute disable',
  R: 'readable',
  W: 'writable',
  X: 'executable',
  XU: 'executable in user mode',
  IPAT: "the guest's memory type is ignored",
  SVE: 'violations of this entry are not converted to #VE',
};
export const flagMeaning = (flag: string): string | undefined => FLAG_MEANINGS[flag];

/** The exit or exception of a failure, as one would say it. */
export function eventText(event: string): string {
  switch (event) {
    case 'EPT_VIOLATION':
      return 'EPT violation';
    case 'EPT_MISCONFIG':
      return 'EPT misconfiguration';
    case 'NPF':
      return 'nested page fault';
    case '#PF':
      return 'guest page fault';
    default:
      return event;
  }
}
