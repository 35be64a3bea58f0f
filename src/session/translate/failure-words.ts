import { hex } from '../../base/hex';
import { pfErrorNames, vectorName, VECTOR } from '../../isa/exceptions';
import type { Access } from '../../hw/paging/access';
import type { PagingControls } from '../../hw/paging/controls';
import { isSecondLevel } from '../../hw/paging/second-level';
import { pageFaultErrorCode } from '../../hw/paging/page-fault';
import type { LackingEntry, WalkFailure } from '../../hw/paging/trace';
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

/** The bit of an entry that a denied access wanted otherwise, and its value there: `U/S = 0`. Undefined: no single bit of an entry denied it. */
export function lackingBit(f: WalkFailure): { readonly name: string; readonly value: 0 | 1 } | undefined {
  if (f.lacking.length === 0) return undefined;
  const ept = f.table === 'ept';
  switch (f.reason) {
    case 'write-protected':
      return { name: ept ? 'W' : 'R/W', value: 0 };
    case 'supervisor-only':
      return { name: 'U/S', value: 0 };
    case 'no-execute':
      return ept ? { name: 'X', value: 0 } : { name: 'XD', value: 1 };
    case 'not-readable':
      return { name: 'R', value: 0 };
    default:
      return undefined;
  }
}

/** `the PDE`, `the PDE and the PTE`. */
function entryList(table: WalkFailure['table'], entries: readonly LackingEntry[]): string {
  const names = entries.map((e) => `the ${entryName(table, e.level)}`);
  const last = names.pop() ?? '';
  return names.length === 0 ? last : `${names.join(', ')} and ${last}`;
}

/** How the entries of the walk differ in the bit that denied the access, and which bits of registers made it count; '' where there is nothing to add. */
export function decisionWords(f: WalkFailure): string {
  const bit = lackingBit(f);
  const sentences: string[] = [];
  if (bit) {
    const others = f.lacking.slice(1);
    const granting = f.below.filter((e) => !f.lacking.includes(e));
    const have = (n: number): string => (n === 1 ? 'has' : 'have');
    if (others.length > 0)
      sentences.push(`${capital(entryList(f.table, others))} ${have(others.length)} ${bit.name} = ${bit.value} too.`);
    if (granting.length > 0)
      sentences.push(
        `${capital(entryList(f.table, granting))} ${have(granting.length)} ${bit.name} = ${1 - bit.value}, but every entry of the walk must allow the access.`,
      );
  }
  if (f.controls.length > 0) sentences.push(`The access counts as denied because ${f.controls.join(' and ')}.`);
  return sentences.join(' ');
}

/** The same as fields. */
export function decision(f: WalkFailure): Pick<ChainFailure, 'bit' | 'lacking' | 'controls' | 'wrong'> {
  const bit = lackingBit(f);
  return {
    ...(bit
      ? {
          bit: `${bit.name} = ${bit.value}`,
          lacking: f.lacking.map((e) => ({
            level: e.level,
            name: entryName(f.table, e.level),
            entryAddress: e.address,
            entry: e.entry,
          })),
        }
      : {}),
    ...(f.controls.length > 0 ? { controls: f.controls } : {}),
    ...(f.wrong.length > 0 ? { wrong: f.wrong } : {}),
  };
}

/** `the PDE (0x202005) has R/W = 0: write to a read-only page`: the deciding entry and what is wrong with it. */
export function decidingWords(f: WalkFailure): string {
  const where = f.level > 0 ? `the ${entryName(f.table, f.level)} (${hex(f.entry)})` : 'the address';
  const bit = lackingBit(f);
  const what = f.wrong.length > 0 ? f.wrong.join('; ') : REASONS[f.reason];
  return `${where}${bit ? ` has ${bit.name} = ${bit.value}` : ''}: ${what}`;
}

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
  const level = f.level > 0 ? { level: f.level } : {};
  const deciding = capital(decidingWords(f));
  const more = decisionWords(f) === '' ? '' : ` ${decisionWords(f)}`;
  if (isSecondLevel(f.table)) {
    const name = f.table === 'ept' ? 'EPT' : 'nested paging';
    const event = f.table === 'npt' ? 'NPF' : f.reason === 'misconfiguration' ? 'EPT_MISCONFIG' : 'EPT_VIOLATION';
    const slot = physical.slotOf(f.address);
    const onTable = f.onTableWalk
      ? ` The address is that of a guest table entry, which goes through ${name} like any other${tableAccess(f)}.`
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
      explanation: `${deciding}, for GPA ${hex(f.address)}.${more}${onTable} The access exits to the hypervisor. ${then}`,
      ...decision(f),
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
      explanation: `The host's tables refuse the VMM's own access to GPA ${hex(f.address)}${what}: ${decidingWords(f)}.${more} The host kernel's page-fault handler brings the page, and the instruction runs again.`,
      ...decision(f),
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
    errorCode: BigInt(code),
    explanation: `${deciding}, for ${accessWords(access)} of ${hex(f.address)}.${more} The guest's own #PF, error code ${hex(code)} (${pfErrorNames(code).join(' ') || 'no bit set'}); it goes through the guest's IDT and does not exit.`,
    ...decision(f),
  };
}

/** How the second level is asked for a guest's table entry, where that is not as a read. */
function tableAccess(f: WalkFailure): string {
  if (f.table === 'npt') return ', as a write of a user';
  if (f.op !== 'write' || f.reason !== 'write-protected') return '';
  return f.controls.length > 0 ? ', as a write' : ', here as a write of its accessed or dirty flag';
}

const capital = (s: string): string => s.charAt(0).toUpperCase() + s.slice(1);
