import type { Access } from './access';
import type { PagingControls } from './controls';
import type { WalkFailure } from './trace';

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
