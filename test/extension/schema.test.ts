import * as assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { launchSchema } from '../../src/session/launch-schema';

it('package.json has the launch schema that the table of options generates', () => {
  const file = join(dirname(fileURLToPath(import.meta.url)), '../../package.json');
  const { contributes } = JSON.parse(readFileSync(file, 'utf8')) as {
    contributes: { debuggers: [{ configurationAttributes: { launch: { properties: unknown } } }] };
  };
  assert.deepEqual(
    contributes.debuggers[0].configurationAttributes.launch.properties,
    JSON.parse(JSON.stringify(launchSchema())),
  );
});
