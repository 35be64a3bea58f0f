import { hex } from '../base/hex';
import { pfErrorNames, vectorName, VECTOR } from '../isa/exceptions';
import type { Access } from '../hw/paging/access';
import type { PagingControls } from '../hw/paging/controls';
import { isSecondLevel } from '../hw/paging/nested';
import { pageFaultErrorCode } from '../hw/paging/page-fault';
import type { WalkFailure } from '../hw/paging/trace';
import { entryName } from './entry-names';
import type { GuestPhysical } from './guest-physical';
import type { ChainFailure } from './translation';

const REASONS: Readonly<Record<WalkFailure['reason'], string>> = {
  'not-present': 'not present',
  'reserved-bit': 'a reserved bit is set',
  misconfiguration: 'misconfigured',
  'write-protected': 'write to a read-only page',
  'supervisor-only': 'user access to a supervisor page',
  'no-execute': 'fetch from a page that is not executable',
  'not-readable': 'read of a page that is not readable',
  smep: 'supervisor fetch from a user page (SMEP)',
  smap: 'supervisor access to a user page (SMAP)',
  'protection-key': 'denied by the protection key',
  'no-memory': 'no memory there',
  'non-canonical': 'not a canonical address',
};
export const reasonWords = (reason: WalkFailure['reason']): string => REASONS[reason];

/** What each refused access is called in a sentence. */
export const accessWords = (a: Access): string =>
  `a ${a.user ? 'user' : 'supervisor'} ${a.op === 'fetch' ? 'instruction fetch' : a.op}`;

/** The failure of the hardware's walk in words, with the architectural event that it becomes. */
export function describeFailure(
  f: WalkFailure,
  access: Access,
  controls: PagingControls,
  physical: GuestPhysical,
): ChainFailure {
  const where = f.level > 0 ? `the ${entryName(f.table, f.level)}` : 'the address';
  const level = f.level > 0 ? { level: f.level } : {};
  if (isSecondLevel(f.table)) {
    const name = f.table === 'ept' ? 'EPT' : 'nested paging';
    const event = f.table === 'npt' ? 'NPF' : f.reason === 'misconfiguration' ? 'EPT_MISCONFIG' : 'EPT_VIOLATION';
    const slot = physical.slotOf(f.address);
    const onTable = f.onTableWalk
      ? ` The address is that of a guest table entry, which goes through ${name} like any other${f.table === 'npt' ? ', as a write of a user' : ''}.`
      : '';
    const then =
      slot === undefined
        ? `No memslot holds GPA ${hex(f.address)}: KVM treats it as device memory and emulates the instruction.`
        : f.reason === 'write-protected' && slot.readOnly
          ? `Memslot ${slot.slot} is read-only: KVM hands the write to the VMM as KVM_EXIT_MMIO.`
          : `KVM looks up memslot ${slot.slot}, finds the host page behind HVA ${hex(slot.hva + (f.address - slot.gpa))} and writes the ${f.table === 'ept' ? 'EPT' : 'nested'} entry; the instruction then runs again.`;
    return {
      stage: f.table,
      ...level,
      reason: REASONS[f.reason],
      event,
      explanation: `${capital(where)} for GPA ${hex(f.address)} (${hex(f.entry)}): ${REASONS[f.reason]}.${onTable} The access exits to the hypervisor. ${then}`,
    };
  }
  // software emulation: the memory behind a GPA as the VMM's own access finds it
  if (f.table === 'host') {
    const slot = physical.slotOf(f.address);
    const what = f.onTableWalk ? ` of a guest table entry` : '';
    if (f.reason === 'no-memory')
      return {
        stage: 'memslot',
        reason: slot ? 'read-only' : 'no memory region',
        explanation: `GPA ${hex(f.address)}${what} ${slot ? 'is read-only' : 'is in no memory region'}: the VMM calls the device there, or nobody.`,
      };
    return {
      stage: 'host',
      ...level,
      reason: REASONS[f.reason],
      explanation: `The host's tables refuse the VMM's own access to GPA ${hex(f.address)}${what}: ${REASONS[f.reason]}. The host kernel's page-fault handler brings the page, and the instruction runs again.`,
    };
  }
  if (f.reason === 'non-canonical') {
    return {
      stage: 'guest',
      ...level,
      reason: REASONS[f.reason],
      event: '#GP',
      explanation: `${hex(f.address)} is not canonical: its upper bits are no copies of the highest one that is translated. The CPU raises #GP(0), or #SS(0) for a stack access.`,
    };
  }
  if (f.reason === 'no-memory') {
    return {
      stage: 'guest',
      ...level,
      reason: REASONS[f.reason],
      explanation: `There is no memory at ${hex(f.address)}, where the walk has to go on.`,
    };
  }
  const code = pageFaultErrorCode(f.reason, access, controls);
  return {
    stage: 'guest',
    ...level,
    reason: REASONS[f.reason],
    event: vectorName(VECTOR.PF),
    explanation: `${capital(where)} (${hex(f.entry)}): ${REASONS[f.reason]}, for ${accessWords(access)} of ${hex(f.address)}. The guest's own #PF, error code ${hex(code)} (${pfErrorNames(code).join(' ') || 'no bit set'}); it goes through the guest's IDT and does not exit.`,
  };
}

const capital = (s: string): string => s.charAt(0).toUpperCase() + s.slice(1);
