import { SVM_EXIT } from '../../isa/svm-exits';
import { NPF } from '../../isa/vmcb-fields';
import type { VmExit } from '../state/event';

/** An access that the nested walk stopped. */
export interface NestedPageFault {
  /** The access was to a guest paging-structure entry on the way, not the final one. */
  readonly tableWalk: boolean;
  readonly access: 'read' | 'write' | 'fetch';
  /** The nested entry was present. */
  readonly present: boolean;
  readonly reserved: boolean;
  readonly gpa: bigint;
  /** EFER.NXE of the host: fetches are told from reads. */
  readonly noExecute: boolean;
}

/**
 * #NPF (AMD APM vol. 2, 15.25.6): EXITINFO1 is a page fault's error code for the nested access, which is always a user's; bits 32 and 33 say whose access it was. Accesses to guest
 * table entries count as writes. EXITINFO2 is the guest physical address.
 *
 *    33              32           4   3    2  1  0
 *   |guest table walk|final access|ID|RSVD|U |W |P |
 */
export function nestedPageFaultExit(f: NestedPageFault): VmExit {
  let code: bigint = NPF.U | (f.tableWalk ? NPF.TABLE_WALK : NPF.FINAL);
  if (f.present) code |= NPF.P;
  if (f.tableWalk || f.access === 'write') code |= NPF.W;
  if (f.reserved) code |= NPF.RSVD;
  if (!f.tableWalk && f.access === 'fetch' && f.noExecute) code |= NPF.ID;
  return { reason: SVM_EXIT.NPF, qualification: code, info2: f.gpa, guestPhysicalAddress: f.gpa };
}
