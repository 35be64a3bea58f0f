import { hpa } from '../base/address';
import type { PagingControls } from '../hw/paging/controls';
import { DirectPort, type EntryPort } from '../hw/paging/ordinary';
import type { ShadowMmu } from '../kvm/mmu/shadow/mmu';
import { rootLevel } from '../kvm/mmu/shadow/role';
import type { Translator } from './translator';

/** Tables as a walk takes them. */
export interface Tables {
  readonly port: EntryPort;
  readonly root: bigint;
  readonly controls: PagingControls;
  readonly pdptes: readonly bigint[] | undefined;
}

/** The shadow tables that hardware walks now; undefined: none are loaded. */
export function shadowTables(t: Translator, shadow: ShadowMmu): Tables | undefined {
  const root = shadow.rootHpa;
  const format = shadow.loaded?.paging.controls.format;
  if (root === undefined || format === undefined) return undefined;
  const level = rootLevel(format);
  const controls: PagingControls = {
    ...t.controls,
    format: level === 2 ? 'pae' : level === 4 ? '4level' : '5level',
    wp: true,
    nxe: true,
    pcide: false,
    pke: false,
  };
  const pdptes = level === 2 ? [0n, 8n, 16n, 24n].map((n) => t.physical.memory.read64(hpa(root + n))) : undefined;
  return { port: new DirectPort(t.physical.memory, 'shadow'), root, controls, pdptes };
}
