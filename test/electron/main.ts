/** The extension-host tests: run inside VS Code's extension host, with the real `vscode` API. */
import * as assert from 'node:assert/strict';
import * as vscode from 'vscode';

const TESTS: Readonly<Record<string, () => Promise<void>>> = {
  'an assembly file is guest assembly': async () => {
    const document = await vscode.workspace.openTextDocument({ language: 'pagewalk-asm', content: 'bits 64\nhlt\n' });
    assert.equal(document.languageId, 'pagewalk-asm');
  },
  'the extension activates and registers its commands': async () => {
    const extension = vscode.extensions.getExtension('pagewalk.pagewalk');
    assert.ok(extension, 'the extension is installed');
    await extension.activate();
    const commands = await vscode.commands.getCommands(true);
    for (const { command } of extension.packageJSON.contributes.commands as { command: string }[])
      assert.ok(commands.includes(command), `${command} is registered`);
  },
};

/** What @vscode/test-electron calls. Rejects with the first failure's name and error. */
export async function run(): Promise<void> {
  for (const [name, test] of Object.entries(TESTS)) {
    try {
      await test();
      console.log(`  ✔ ${name}`);
    } catch (error) {
      console.error(`  ✘ ${name}`);
      throw error;
    }
  }
}
