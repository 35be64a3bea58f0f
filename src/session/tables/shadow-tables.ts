import { hpa } from '../../base/address';
import type { PagingControls } from '../../hw/paging/controls';
import { DirectPort, type OrdinaryTables } from '../../hw/paging/ordinary';
import type { ShadowMmu } from '../../kvm/mmu/shadow/mmu';
import type { Translator } from '../translate/translator';

/** The shadow tables that hardware walks now; undefined: none are loaded. */
export function shadowTables(t: Translator, shadow: ShadowMmu): OrdinaryTables | undefined {
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
