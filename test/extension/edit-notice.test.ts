import * as assert from 'node:assert/strict';
import { basename } from 'node:path';
import { EditPeriod, editNotice } from '../../src/extension/edit-notice';

/** `notes`: a file, with `+` that it differs now, with `-` that it does not. `told`: those at which the notice comes. */
function check(notes: string, told: string): void {
  const period = new EditPeriod();
  const heard = notes.split(' ').filter((note) => period.note(note.slice(1), note.startsWith('+')));
  assert.equal(heard.join(' '), told);
}

describe('the notice about edited sources', () => {
  it('comes once, whatever else is edited', () => check('+a +a +b +a', '+a'));
  it('does not come for edits that change nothing', () => check('-a -b -a', ''));
  it('comes again after all is as it was', () => check('+a +b -a +a -a -b +b', '+a +b'));
  it('says what runs, and what to do about an image that others build', () => {
    assert.equal(
      editNotice('/w/guest.asm', true, basename),
      'guest.asm has changed since the guest was assembled. The guest keeps running the image that it was started with.',
    );
    assert.equal(
      editNotice('/w/kernel.c', false, basename),
      'kernel.c has changed since the guest was started. To run the change, build the guest and restart it.',
    );
  });
});
