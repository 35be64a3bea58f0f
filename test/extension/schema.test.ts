import * as assert from 'node:assert/strict';
import { type JsonSchema, launchSchema } from '../../src/session/launch/launch-schema';
import { OPTION_KEYS } from '../../src/session/launch/option-table';
import { checkOptions } from '../../src/session/launch/options';

const SCHEMA = launchSchema();

/** What VS Code's JSON validation does with the keywords that the schema uses. */
function accepts(schema: JsonSchema, value: unknown): boolean {
  const types = [schema.type ?? []].flat();
  const kind = Array.isArray(value) ? 'array' : Number.isInteger(value) ? 'integer' : typeof value;
  if (!types.includes(kind)) return false;
  if (Array.isArray(value)) return value.every((each) => accepts(schema.items ?? {}, each));
  if (typeof value === 'number') return value >= (schema.minimum ?? value) && value <= (schema.maximum ?? value);
  if (typeof value !== 'string') return true;
  return (
    (schema.enum?.includes(value) ?? true) && (schema.pattern === undefined || new RegExp(schema.pattern).test(value))
  );
}

/** Values that fit one kind of option or none. */
const SAMPLES: readonly unknown[] = [
  ...['', ' ', 'on', 'off', 'true', 'yes', 'ept', 'auto', '4k', 'classic', 'builtin', 'pagewalk-x64', 'guest.bin'],
  ...[
    '0',
    '1',
    '64',
    '64M',
    '64m',
    '0x1000',
    '0X10K',
    '1_000',
    '1__0',
    '_1',
    '1_',
    '0x',
    '64MB',
    '-1',
    '1.5',
    '00',
    '0x0',
  ],
  ...[
    '64,4',
    '64,5',
    '4,64',
    '0,0',
    '65536,1',
    '131072,1',
    '64, 4',
    '0+1M',
    '0x1000+0x1000,ro',
    '0x1000+16M,rw',
    '+1M',
  ],
  ...['DEBUG', 'DEBUG=1', '1DEBUG', 'A(x)=x+1', '-zeroing', '+zeroing', 'error=zeroing', '-Zeroing', '=x'],
  ...[true, false, 0, 1, 2, -1, 4096, 1.5, Number.MAX_SAFE_INTEGER, 2 ** 60, null, {}, ['64,4'], ['DEBUG'], [7]],
];

describe('the schema of launch configurations', () => {
  it('refuses what a launch refuses', () => {
    const refused = (key: string, value: unknown): boolean =>
      checkOptions([{ key, value }], 'launch', 'launch configuration').diagnostics.length > 0;
    const wrong = OPTION_KEYS.flatMap((key) =>
      SAMPLES.filter((value) => SCHEMA[key] && refused(key, value) && accepts(SCHEMA[key], value)).map(
        (value) => `${key}: ${JSON.stringify(value)}`,
      ),
    );
    assert.deepEqual(wrong, []);
  });

  it('accepts variables and every default', () => {
    for (const [key, schema] of Object.entries(SCHEMA)) {
      if (schema.default !== undefined) assert.ok(accepts(schema, schema.default), `${key}: ${schema.default}`);
      if (schema.pattern !== undefined) assert.ok(accepts(schema, '${config:mine}'), key);
    }
  });

  it('says in its own words what a pattern wants: VS Code would speak of deprecated variables', () => {
    const bare = Object.entries(SCHEMA).flatMap(([key, { pattern, patternErrorMessage, items }]) =>
      [{ pattern, patternErrorMessage }, items].some(
        (s) => s?.pattern !== undefined && s.patternErrorMessage === undefined,
      )
        ? [key]
        : [],
    );
    assert.deepEqual(bare, []);
  });

  it('does not offer what is refused in any case', () =>
    assert.deepEqual(
      OPTION_KEYS.filter((key) => !SCHEMA[key]),
      ['cpus', 'disk', 'trace'],
    ));
});
