import type { OptionKey, OptionSpec } from './option-table';
import { OPTION_KEYS, optionSpec } from './option-table';

/** The part of JSON Schema that launch configurations need. */
export interface JsonSchema {
  readonly type?: string | readonly string[];
  readonly description?: string;
  readonly markdownDescription?: string;
  readonly enum?: readonly string[];
  readonly enumDescriptions?: readonly string[];
  readonly pattern?: string;
  readonly minimum?: number;
  readonly default?: string | number | boolean;
  readonly items?: JsonSchema;
  readonly oneOf?: readonly JsonSchema[];
}

const SIZE_PATTERN = '^(0x[0-9a-fA-F_]+|[0-9_]+)[KMGTkmgt]?$';
const ADDRESS_PATTERN = '^(0x[0-9a-fA-F_]+|[0-9_]+)$';
const SLOT_PATTERN = '^(0x[0-9a-fA-F_]+|[0-9_]+)\\+(0x[0-9a-fA-F_]+|[0-9_]+)[KMGTkmgt]?(,ro)?$';

function typed(spec: OptionSpec): JsonSchema {
  switch (spec.type) {
    case 'size':
      return { type: ['string', 'integer'], pattern: SIZE_PATTERN, minimum: spec.least ?? 1 };
    case 'address':
      return { type: ['string', 'integer'], pattern: ADDRESS_PATTERN, minimum: 0 };
    case 'count':
      return { type: 'integer', minimum: 1 };
    case 'switch':
      return { type: ['string', 'boolean'] as const };
    case 'choice': {
      const values = spec.values ?? {};
      const described = Object.values(values).some((d) => d !== '');
      return {
        type: 'string',
        enum: Object.keys(values),
        ...(described ? { enumDescriptions: Object.values(values) } : {}),
      };
    }
    case 'tlb':
      return { type: 'string', pattern: '^(off|[0-9]+,[0-9]+)$' };
    case 'slot': {
      const one: JsonSchema = { type: 'string', pattern: SLOT_PATTERN };
      return { oneOf: [one, { type: 'array', items: one }] };
    }
    case 'define':
    case 'folder':
    case 'warning': {
      const one: JsonSchema = { type: 'string' };
      return { oneOf: [one, { type: 'array', items: one }] };
    }
    case 'text':
    case 'file':
      return { type: 'string' };
  }
}

function schemaOf(key: OptionKey): JsonSchema {
  const spec = optionSpec(key);
  const type = typed(spec);
  // `on` and `off` as texts, or a JSON boolean: an enum would have to list both kinds.
  const pattern: JsonSchema = spec.type === 'switch' ? { pattern: '^(on|off)$' } : {};
  const written = spec.default === undefined ? undefined : spec.type === 'count' ? Number(spec.default) : spec.default;
  return { ...type, ...pattern, markdownDescription: spec.doc, ...(written === undefined ? {} : { default: written }) };
}

/**
 * The properties of a launch configuration, as package.json's `contributes.debuggers[].configurationAttributes.launch` must have
 * them: the table of options and what only a debugger asks for.
 */
export function launchSchema(): Readonly<Record<string, JsonSchema>> {
  return {
    program: {
      type: 'string',
      markdownDescription: 'The guest: an assembly file, an ELF or Multiboot kernel, or a flat image.',
    },
    stopOnEntry: { type: 'boolean', default: false, markdownDescription: "Stop before the guest's first instruction." },
    ...Object.fromEntries(OPTION_KEYS.map((key) => [key, schemaOf(key)])),
  };
}
