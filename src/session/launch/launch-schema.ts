import { WARNING_NAMES } from '../../asm/index';
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
  /** VS Code's own keyword: what is said instead of the pattern. */
  readonly patternErrorMessage?: string;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly default?: string | number | boolean;
  readonly items?: JsonSchema;
}

/** What VS Code puts in place of a `${variable}` cannot be checked before the launch. */
const VARIABLE = '.*\\$\\{.+\\}.*';
/** A whole value that is one of `alternatives`, or holds a variable. */
const whole = (...alternatives: readonly string[]): string => `^(${[...alternatives, VARIABLE].join('|')})$`;

const NUMBER = '(0[xX][0-9a-fA-F]+(_[0-9a-fA-F]+)*|[0-9]+(_[0-9]+)*)';
const ZERO = '(0[xX])?0+(_0+)*[KMGTkmgt]?';
const DEFINE = '[A-Za-z_.?@][\\w.?@$#~]*(\\([^()=]*\\))?(=.*)?';

/** As parseTlb: powers of two below 100,000, the ways at most the entries. */
function tlbPattern(): string {
  const powers = Array.from({ length: 17 }, (_, bit) => 2 ** bit);
  const geometries = powers.map((entries) => `${entries},(${powers.filter((ways) => ways <= entries).join('|')})`);
  return whole('off', ...geometries);
}

/** A text that is written by a pattern, and what VS Code shows for one that is not: without its own words it would speak of variables. */
const patterned = (pattern: string, patternErrorMessage: string): JsonSchema => ({
  type: 'string',
  pattern,
  patternErrorMessage,
});

/** One text or a list of them; the pattern stands at both, and VS Code reports the one that fits the value. */
const listed = (one: JsonSchema): JsonSchema => ({ ...one, type: ['string', 'array'], items: one });

function typed(spec: OptionSpec): JsonSchema {
  switch (spec.type) {
    case 'size': {
      const least = spec.least ?? 1;
      const size = whole(`${NUMBER}[KMGTkmgt]?`);
      const text = patterned(
        least > 0 ? size.replace('^', `^(?!${ZERO}$)`) : size,
        'Write bytes, or a number with K, M, G or T, such as "64M".',
      );
      return { ...text, type: ['string', 'integer'], minimum: least, maximum: Number.MAX_SAFE_INTEGER };
    }
    case 'address': {
      const words = 'Write an address as 0x and hex digits, at most 64 bits, such as "0x100000000".';
      return {
        ...patterned(whole(NUMBER), words),
        type: ['string', 'integer'],
        minimum: 0,
        maximum: Number.MAX_SAFE_INTEGER,
      };
    }
    case 'count':
      return { type: 'integer', minimum: 1, maximum: Number.MAX_SAFE_INTEGER };
    case 'switch':
      // `on` and `off` as texts, or a JSON boolean: an enum would have to list both kinds.
      return { ...patterned(whole('on', 'off'), 'Write "on" or "off".'), type: ['string', 'boolean'] };
    case 'choice': {
      const values = spec.values ?? {};
      const described = Object.values(values).some((d) => d !== '');
      return {
        type: 'string',
        enum: Object.keys(values),
        ...(described ? { enumDescriptions: Object.values(values) } : {}),
      };
    }
    case 'choices':
      return listed(typed({ ...spec, type: 'choice' }));
    case 'tlb':
      return patterned(
        tlbPattern(),
        'Write entries,ways as powers of two, ways at most entries, such as "64,4"; or "off".',
      );
    case 'slot':
      return listed(
        patterned(
          whole(`${NUMBER}[KMGTkmgt]?\\+${NUMBER}[KMGTkmgt]?(,ro)?`),
          'Write GPA+SIZE, such as "0x100000+16M"; add ",ro" for a read-only memslot.',
        ),
      );
    case 'define':
      return listed(
        patterned(whole(DEFINE), 'Write NAME or NAME=VALUE; a name begins with a letter, such as "DEBUG=1".'),
      );
    case 'warning':
      return listed(
        patterned(
          whole(`[-+*]?(no-)?(error|(error=)?(${WARNING_NAMES.join('|')}))`),
          'Write a class of warnings with + or - before it, such as "-zeroing" or "error=label-orphan".',
        ),
      );
    case 'folder':
      return listed(patterned('.', 'The path is empty.'));
    case 'text':
      return patterned('.', 'The string is empty.');
    case 'file':
      return patterned('.', 'The path is empty.');
  }
}

function schemaOf(key: OptionKey): JsonSchema {
  const spec = optionSpec(key);
  const written = spec.default === undefined ? undefined : spec.type === 'count' ? Number(spec.default) : spec.default;
  return { ...typed(spec), markdownDescription: spec.doc, ...(written === undefined ? {} : { default: written }) };
}

/** What a launch would refuse whatever its value is not offered: options that are not built yet, and the command line's `trace`. */
const isOffered = (key: OptionKey): boolean => key !== 'trace' && !optionSpec(key).notBuilt?.includes('*');

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
    ...Object.fromEntries(OPTION_KEYS.filter(isOffered).map((key) => [key, schemaOf(key)])),
  };
}
