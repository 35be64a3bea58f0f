import * as assert from 'node:assert/strict';
import { inVSCode } from './vscode';

describe('the editor', () => {
  it('knows guest assembly', () =>
    inVSCode(
      'editor-language',
      { 'hello.asm': 'bits 64\nstart:\n    mov rax, [rbx+8] ; load\n    hlt\n' },
      async (code) => {
        await code.open('hello.asm');
        await code.language('Guest Assembly');
        assert.deepEqual(await code.notifications(), []);
      },
    ));
});
