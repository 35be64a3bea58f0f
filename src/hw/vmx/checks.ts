import type { VmcsFieldName } from '../../isa/vmcs-fields';
import type { HostMemory } from '../memory/host-memory';
import type { VmxCapabilities } from './capabilities';
import { CONTROL_RULES } from './checks-controls';
import { GUEST_RULES } from './checks-guest';
import { HOST_RULES } from './checks-host';
import { SEGMENT_RULES } from './checks-segments';
import { EntryView } from './entry-view';
import type { Vmcs } from './vmcs';

/** What the checks depend on beside the VMCS. */
export interface CheckContext {
  readonly capabilities: VmxCapabilities;
  readonly memory: HostMemory;
  /** IA32_EFER.LMA of the CPU that would execute VMLAUNCH or VMRESUME. */
  readonly rootLongMode: boolean;
}

/** A VM-entry check that the VMCS does not meet. */
export interface UnmetCheck {
  /** 'control' ends as VM-instruction error 7, 'host' as 8, 'guest' as a failed VM entry (exit reason 33). */
  readonly area: 'control' | 'host' | 'guest';
  /** The fields to look at, the one to change first. */
  readonly fields: readonly VmcsFieldName[];
  /** Section of the SDM, vol. 3. */
  readonly section: string;
  /** What must hold. */
  readonly message: string;
  /** Exit qualification of the failed VM entry: 0, 2 PDPTE loading, 3 NMI injection, 4 VMCS link pointer (26.8). */
  readonly qualification: number;
}

/** One VM-entry check. */
export interface EntryRule {
  readonly fields: readonly VmcsFieldName[];
  readonly section: string;
  readonly message: string;
  readonly qualification?: number;
  readonly holds: (v: EntryView) => boolean;
}

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
