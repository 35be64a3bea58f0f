/** What a person sees who edits a guest while it is stopped: the running image keeps its lines, and a notice offers to restart. */
import * as assert from 'node:assert/strict';
import { inVSCode } from './vscode';

const GUEST = `bits 64
start:
    mov eax, 1
    mov ebx, 2
    mov ecx, 3
    hlt
`;

describe('a guest that is edited while it is stopped', () => {
  it('keeps stops, hints and breakpoints at its own lines, and starts anew when it is asked to', () =>
    inVSCode('edited', { 'main.asm': GUEST }, async (code) => {
      const line = (text: RegExp) => code.editor.locator('.view-line', { hasText: text });
      await code.debug('main.asm', 3);
      await line(/mov\secx,\s3.*10000a:/).waitFor();
      // two lines above the others, and another operand
      await code.typeAt(2, 'Home', '; new\n    xor edi, edi\n');
      await code.typeAt(6, 'End', '0');
      const toast = code.toast('main.asm has changed since the guest was assembled.');
      await toast.waitFor();
      await line(/mov\sebx,\s20(?!.*10000)/).waitFor();
      await line(/mov\secx,\s3.*10000a:\sb9\s03/).waitFor();
      await code.shot('notice');
      await code.page.keyboard.press('F10');
      await code.stoppedAt(6);
      await code.page.keyboard.press('F10');
      await code.stoppedAt(7);
      assert.equal(await toast.count(), 1);
      await code.shot('stopped');
      await toast.locator('.monaco-button', { hasText: 'Restart' }).click();
      await code.stoppedAt(5);
      await line(/mov\sebx,\s20.*100007:/).waitFor();
      assert.deepEqual(await code.notifications(), []);
    }));
});
