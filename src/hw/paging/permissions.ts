import { EPTE_R, EPTE_W, EPTE_X, PTE_RW, PTE_US, PTE_XD } from '../../isa/entries';
import type { Access } from './access';
import type { PagingControls } from './controls';
import type { TableKind, WalkFailure } from './trace';

/** Rights of a finished ordinary walk, ANDed over its levels. */
export interface OrdinaryRights {
  readonly writable: boolean;
  readonly user: boolean;
  readonly executeDisable: boolean;
  readonly protectionKey: number;
}

/**
 * Whether an access is permitted by paging (SDM vol. 3, 4.6.1), as undefined, or the reason it is not. `ac`: RFLAGS.AC, which lifts SMAP for explicit supervisor accesses.
 * This is the one place where these rules stand; the TLB's fast words and the walk both come from it.
 */
export function denied(
  rights: OrdinaryRights,
  access: Access,
  ac: boolean,
  c: PagingControls,
): WalkFailure['reason'] | undefined {
  if (access.user) {
    if (!rights.user) return 'supervisor-only';
    if (access.op === 'fetch') return rights.executeDisable && c.nxe ? 'no-execute' : undefined;
    const key = keyDenies(rights, access, c);
    if (key) return 'protection-key';
    return access.op === 'write' && !rights.writable ? 'write-protected' : undefined;
  }
  if (access.op === 'fetch') {
    if (rights.user && c.smep) return 'smep';
    return rights.executeDisable && c.nxe ? 'no-execute' : undefined;
  }
  if (rights.user && c.smap && (access.implicit || !ac)) return 'smap';
  if (keyDenies(rights, access, c)) return 'protection-key';
  return access.op === 'write' && !rights.writable && c.wp ? 'write-protected' : undefined;
}

/** Protection keys bear on data accesses to user pages; write disable binds supervisors only with CR0.WP. */
export function keyDenies(rights: OrdinaryRights, access: Access, c: PagingControls): boolean {
  if (!c.pke || !rights.user || access.op === 'fetch') return false;
  const bits = (c.pkru >>> (rights.protectionKey * 2)) & 3;
  if ((bits & 1) !== 0) return true;
  return (bits & 2) !== 0 && access.op === 'write' && (access.user || c.wp);
}

/** Whether this entry of a walk that was denied for `reason` is one that lacks the right. */
export function lacksRight(table: TableKind, reason: WalkFailure['reason'], entry: bigint): boolean {
  const ept = table === 'ept';
  switch (reason) {
    case 'write-protected':
      return (entry & (ept ? EPTE_W : PTE_RW)) === 0n;
    case 'no-execute':
      return ept ? (entry & EPTE_X) === 0n : (entry & PTE_XD) !== 0n;
    case 'supervisor-only':
      return (entry & PTE_US) === 0n;
    case 'not-readable':
      return (entry & EPTE_R) === 0n;
    default:
      return false;
  }
}

/** The bits of registers that made a denied access a denied one, with their values: each of them, the other way round, would have allowed it. */
export function decidingControls(
  reason: WalkFailure['reason'],
  rights: OrdinaryRights,
  access: Access,
  c: PagingControls,
): string[] {
  switch (reason) {
    case 'write-protected':
      return access.user ? [] : ['CR0.WP = 1'];
    case 'no-execute':
      return ['EFER.NXE = 1'];
    case 'smep':
      return ['CR4.SMEP = 1'];
    case 'smap':
      // EFLAGS.AC lifts SMAP for explicit accesses alone (SDM vol. 3, 4.6.1)
      return access.implicit ? ['CR4.SMAP = 1'] : ['CR4.SMAP = 1', 'RFLAGS.AC = 0'];
    case 'protection-key': {
      const key = rights.protectionKey;
      const bits = (c.pkru >>> (key * 2)) & 3;
      if ((bits & 1) !== 0) return [`PKRU.AD${key} = 1`];
      return access.user ? [`PKRU.WD${key} = 1`] : [`PKRU.WD${key} = 1`, 'CR0.WP = 1'];
    }
    default:
      return [];
  }
}
