import * as assert from 'node:assert/strict';
import { basename } from 'node:path';
import type { Problem } from '../../src/protocol/messages';
import { announcement } from '../../src/extension/launch-announcement';

const range = (line: number) => ({ line, column: 5, endLine: line, endColumn: 8 });
const error = (path: string, line: number): Problem => ({
  severity: 'error',
  code: 'PW101',
  message: 'there is no register named raxx',
  path,
  range: range(line),
});

function check(problems: readonly Problem[], message: string, actions: readonly string[]): void {
  const errors = problems.filter(({ severity }) => severity === 'error').length;
  assert.deepEqual(announcement({ problems, errors, launched: false }, basename), { message, actions });
}

describe('the notification of a failed launch', () => {
  it('gives one error in full', () =>
    check(
      [error('/w/guest.asm', 3)],
      'The guest was not started. guest.asm:3: PW101: there is no register named raxx',
      ['Show Problems', 'Go to Error'],
    ));

  it('counts several, not the warnings beside them', () =>
    check(
      [{ ...error('/w/guest.asm', 1), severity: 'warning' }, error('/w/guest.asm', 3), error('/w/guest.asm', 4)],
      'The guest was not started: 2 errors in guest.asm.',
      ['Show Problems', 'Go to First'],
    ));

  it('counts the files behind the first', () =>
    check(
      [error('/w/guest.asm', 3), error('/w/a.inc', 4), error('/w/b.inc', 4)],
      'The guest was not started: 3 errors in guest.asm and 2 more files.',
      ['Show Problems', 'Go to First'],
    ));

  it('leads to launch.json for its fields', () =>
    check(
      [{ severity: 'error', code: 'PW304', message: 'field `memory`: 12 is too small' }],
      'The guest was not started. PW304: field `memory`: 12 is too small',
      ['Open launch.json'],
    ));

  it('names a file that cannot be read', () =>
    check(
      [{ severity: 'error', code: 'PW501', message: 'the file cannot be read', path: '/w/guest.asm' }],
      'The guest was not started. guest.asm: PW501: the file cannot be read',
      [],
    ));
});
