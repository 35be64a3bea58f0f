import { hpa } from '../../base/address';
import type { PagingControls } from '../../hw/paging/controls';
import { DirectPort, type EntryPort } from '../../hw/paging/ordinary';
import type { ShadowMmu } from '../../kvm/mmu/shadow/mmu';
import type { Translator } from '../translate/translator';

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
  const { entryRules } = shadow;
  if (root === undefined || !entryRules) return undefined;
  const controls: PagingControls = {
    ...t.controls,
    ...entryRules,
    wp: true,
    pcide: false,
    pke: false,
  };
  const pdptes =
    entryRules.format === 'pae' ? [0n, 8n, 16n, 24n].map((n) => t.physical.memory.read64(hpa(root + n))) : undefined;
  return { port: new DirectPort(t.physical.memory, 'shadow'), root, controls, pdptes };
}
