import { PF_ERROR } from '../../isa/exceptions';
import { because, type FaultReason } from '../../isa/reasons/index';
import type { Access } from './access';
import type { PagingControls } from './controls';
import { keyDenies, type OrdinaryRights } from './permissions';
import type { WalkFailure } from './trace';
import type { WalkOut } from './walk-out';

/**
 * The #PF error code (SDM vol. 3, 4.7) of an ordinary walk's failure:
 *
 *    5    4    3     2    1    0
 *   |PK |I/D |RSVD |U/S |W/R | P |
 *
 * I/D is reported only where fetches are distinguished (EFER.NXE in a 64-bit entry format, or SMEP). PK says that the key forbids the access, whether or not SMAP does too.
 * `rights`: of the walk that failed, for reasons that are about a whole translation.
 */
export function pageFaultErrorCode(
  reason: WalkFailure['reason'],
  access: Access,
  c: PagingControls,
  rights?: OrdinaryRights,
): number {
  let code = 0;
  // an entry that lies where no memory is reads as zero to KVM's walk_addr and to QEMU's
  if (reason !== 'not-present' && reason !== 'no-memory') code |= 1 << PF_ERROR.P;
  if (access.op === 'write') code |= 1 << PF_ERROR.W;
  if (access.user) code |= 1 << PF_ERROR.U;
  if (reason === 'reserved-bit') code |= 1 << PF_ERROR.RSVD;
  if (access.op === 'fetch' && ((c.nxe && c.format !== '32bit') || c.smep)) code |= 1 << PF_ERROR.I;
  if (reason === 'protection-key' || (reason === 'smap' && rights !== undefined && keyDenies(rights, access, c)))
    code |= 1 << PF_ERROR.PK;
  return code;
}

/** Why the walk whose failure is in `out` gives a #PF, or for an address that is no translation's the #GP of it. */
export function pageFaultReason(
  out: WalkOut,
  access: Access,
  c: PagingControls,
  reason: WalkFailure['reason'] = out.reason,
): FaultReason {
  const { failedLevel: level, failedEntry: entry } = out;
  switch (reason) {
    case 'reserved-bit':
      return because('page-reserved', level, entry, c);
    case 'write-protected':
      return because('page-write', level, entry, access.user);
    case 'supervisor-only':
      return because('page-user', level, entry);
    case 'no-execute':
      return because('page-execute', level, entry);
    case 'smep':
      return because('page-smep');
    case 'smap':
      return because('page-smap');
    case 'protection-key':
      return because('page-key', out.protectionKey, c.pkru);
    case 'no-memory':
      return because('page-no-memory', out.failedAddress);
    case 'non-canonical':
      return because('address-canonical', out.failedAddress, c.format === '5level' ? 57 : 48);
    case 'not-present':
    case 'misconfiguration':
    case 'not-readable':
      return because('page-not-present', level, entry);
  }
}
