import { CONTROL_RULES } from './checks-controls';
import { GUEST_RULES } from './checks-guest';
import { HOST_RULES } from './checks-host';
import { SEGMENT_RULES } from './checks-segments';
import type { CheckContext } from './entry-view';
import { EntryView } from './entry-view';
import type { EntryRule, UnmetCheck } from './rule';
import type { Vmcs } from './vmcs';

const RULES: readonly (readonly [UnmetCheck['area'], readonly EntryRule[]])[] = [
  ['control', CONTROL_RULES],
  ['host', HOST_RULES],
  ['guest', [...GUEST_RULES, ...SEGMENT_RULES]],
];
const GUEST_ONLY = RULES.filter(([area]) => area === 'guest');

/**
 * All VM-entry checks that `vmcs` does not meet (SDM vol. 3, 26.2 and 26.3), in the order of the areas; empty when VM entry would go through to loading MSRs.
 * Changes nothing, and needs no VM entry: a VMCS being edited can be judged by it.
 */
export function unmetChecks(vmcs: Vmcs, context: CheckContext): UnmetCheck[] {
  return unmetIn(RULES, new EntryView(vmcs, context));
}

/** The checks on guest state alone, for a VMCS whose other areas are known to hold. */
export function unmetGuestChecks(vmcs: Vmcs, context: CheckContext): UnmetCheck[] {
  return unmetIn(GUEST_ONLY, new EntryView(vmcs, context));
}

function unmetIn(areas: typeof RULES, view: EntryView): UnmetCheck[] {
  const unmet: UnmetCheck[] = [];
  for (const [area, rules] of areas) {
    for (const rule of rules) {
      if (rule.holds(view)) continue;
      unmet.push({
        area,
        fields: rule.fields,
        section: rule.section,
        message: rule.message,
        qualification: rule.qualification ?? 0,
      });
    }
  }
  return unmet;
}
