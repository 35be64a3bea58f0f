import { VMX_EXIT } from '../../isa/exits';
import type { VmExit } from '../state/event';

/** An access that the EPT walk stopped. */
export interface EptFault {
  readonly misconfiguration: boolean;
  readonly access: 'read' | 'write' | 'fetch';
  /** The access was to a guest paging-structure entry on the way to the linear address's page, not to the page. */
  readonly tableWalk: boolean;
  /** That access was, or counts as, a write: an accessed or dirty flag to be set, or EPT's own accessed and dirty flags being enabled. */
  readonly tableWrite: boolean;
  readonly gpa: bigint;
  /** Undefined where no linear address is being translated: PDPTEs loaded by MOV CR. */
  readonly linear: bigint | undefined;
  /** Logical AND of the rights of the entries used; all false when an entry was not present. */
  readonly readable: boolean;
  readonly writable: boolean;
  readonly executable: boolean;
  /** The EPTP enables accessed and dirty flags: every access to a guest paging-structure entry then counts as a write (28.3.3.2). */
  readonly accessedDirty: boolean;
}

/** Bits of the exit qualification for EPT violations. */
export const EPT_QUALIFICATION = {
  READ: 1 << 0,
  WRITE: 1 << 1,
  FETCH: 1 << 2,
  READABLE: 1 << 3,
  WRITABLE: 1 << 4,
  EXECUTABLE: 1 << 5,
  GLA_VALID: 1 << 7,
  GLA_TRANSLATED: 1 << 8,
  NMI_UNBLOCKED: 1 << 12,
} as const;

/**
 * Exit qualification for EPT violations (SDM vol. 3, table 27-7):
 *
 *    12          8              7         6  5  4  3    2     1     0
 *   |NMI unblock|GLA translated|GLA valid|0 |X |W |R |fetch|write|read|
 *
 * An access to a guest paging-structure entry is a read, and a read and write where it sets or may set flags. Bit 6 (user execute) belongs to mode-based
 * execute control, and 11:9 to advanced exit information; neither is offered.
 */
function eptViolationQualification(f: EptFault): bigint {
  const q = EPT_QUALIFICATION;
  let bits = 0;
  if (f.tableWalk) bits |= q.READ | (f.tableWrite || f.accessedDirty ? q.WRITE : 0);
  else bits |= f.access === 'read' ? q.READ : f.access === 'write' ? q.WRITE : q.FETCH;
  if (f.readable) bits |= q.READABLE;
  if (f.writable) bits |= q.WRITABLE;
  if (f.executable) bits |= q.EXECUTABLE;
  if (f.linear !== undefined) bits |= q.GLA_VALID | (f.tableWalk ? 0 : q.GLA_TRANSLATED);
  return BigInt(bits);
}

/** EPT violation (48) or EPT misconfiguration (49). The latter's qualification is undefined (27.2.1) and 0 here. */
export function eptFaultExit(f: EptFault): VmExit {
  if (f.misconfiguration) return { reason: VMX_EXIT.EPT_MISCONFIG, qualification: 0n, guestPhysicalAddress: f.gpa };
  const exit = {
    reason: VMX_EXIT.EPT_VIOLATION,
    qualification: eptViolationQualification(f),
    guestPhysicalAddress: f.gpa,
  };
  return f.linear === undefined ? exit : { ...exit, guestLinearAddress: f.linear };
}
