import { DELIVERY_RULES } from './delivery';
import { DESCRIPTOR_RULES, GATE_RULES } from './descriptors';
import { INSTRUCTION_RULES } from './instructions';
import { MEMORY_RULES } from './memory';
import { PAGING_RULES } from './paging';
import { REGISTER_RULES } from './registers';

export { ROLE } from './descriptors';

/** Every rule that an exception can be raised for. */
export const RULES = {
  ...MEMORY_RULES,
  ...DESCRIPTOR_RULES,
  ...GATE_RULES,
  ...REGISTER_RULES,
  ...INSTRUCTION_RULES,
  ...PAGING_RULES,
  ...DELIVERY_RULES,
} as const;

export type RuleName = keyof typeof RULES;
type ValuesOf<N extends RuleName> = Parameters<(typeof RULES)[N]['say']>;

/** Why an exception was raised. */
export interface FaultReason<N extends RuleName = RuleName> {
  readonly rule: N;
  readonly values: ValuesOf<N>;
}

/** The reason to raise an exception with; the only way to make one. */
export const because = <N extends RuleName>(rule: N, ...values: ValuesOf<N>): FaultReason<N> => ({ rule, values });

/** The sentence, without full stop, and where the rule stands. */
export function explainReason({ rule, values }: FaultReason): { readonly why: string; readonly section: string } {
  const { say, section } = RULES[rule];
  return { why: (say as (...v: typeof values) => string)(...values), section };
}
