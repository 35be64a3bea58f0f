/** What a row's menu may offer: the verbs of `host` and `memslot` commands that its page or slot would not refuse. */
import { hva } from '../../base/address';
import { ok } from '../../base/result';
import type { Result } from '../../base/result';
import type { PageAction } from '../../host/page-actions';
import type { Machine } from '../../vmm/machine';
import type { SpaceAddress, ViewNode } from '../types';

export type RowAction = PageAction | SlotAction;
type SlotAction = 'move' | 'delete' | 'readonly' | 'writable' | 'log' | 'unlog';

/** `hvaOf`: where the VMM has the page that an address names. */
export function rowActions(
  machine: Machine,
  node: ViewNode,
  hvaOf: (at: SpaceAddress) => Result<bigint, string>,
): readonly RowAction[] {
  switch (node.kind) {
    case 'slot': {
      const id = /^memslots\/(\d+)$/.exec(node.path)?.[1];
      const slot = machine.ram.memslots.all.find((each) => String(each.id) === id);
      return slot ? ['move', 'delete', slot.readonly ? 'writable' : 'readonly', slot.logDirty ? 'unlog' : 'log'] : [];
    }
    case 'page':
    case 'large-page': {
      if (!node.address) return [];
      const at = node.address.space === 'hva' ? ok(node.address.value) : hvaOf(node.address);
      return at.ok ? machine.host.pageActions(hva(at.value)) : [];
    }
    default:
      return [];
  }
}
