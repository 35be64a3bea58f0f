import { DELIVERY_RULES } from './delivery';
import { DESCRIPTOR_RULES, GATE_RULES } from './descriptors';
import { INSTRUCTION_RULES } from './instructions';
import { MEMORY_RULES } from './memory';
import { PAGING_RULES } from './paging';
import { REGISTER_RULES } from './registers';

export { ROLE } from './descriptors';

/** Every rule whose violation raises an exception. */
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

/** Makes the reason to raise an exception with; the only way to make one. */
export const because = <N extends RuleName>(rule: N, ...values: ValuesOf<N>): FaultReason<N> => ({ rule, values });

/** Rules of single instructions: their sentences read better after the instruction's name. */
const OF_INSTRUCTIONS: Readonly<Record<string, unknown>> = {
  ...DESCRIPTOR_RULES,
  ...REGISTER_RULES,
  ...INSTRUCTION_RULES,
};

export interface ExplainedReason {
  /** The sentence, without a full stop. */
  readonly why: string;
  /** The section that states the rule. */
  readonly section: string;
  /** The rule belongs to the instruction that raised the exception. */
  readonly ofInstruction: boolean;
}

export function explainReason({ rule, values }: FaultReason): ExplainedReason {
  const { say, section } = RULES[rule];
  return {
    why: (say as (...v: typeof values) => string)(...values),
    section,
    ofInstruction: Object.hasOwn(OF_INSTRUCTIONS, rule),
  };
}
