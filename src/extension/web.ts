/** The extension in a browser: the language server in a worker. A guest can be run and debugged only where there are processes. */
import * as vscode from 'vscode';
import { LanguageClient } from 'vscode-languageclient/browser';
import { CLIENT_ID, CLIENT_NAME, startLanguageClient } from './language-client';

/** Larger files are not sent to the server: they could not be part of an image anyway. */
const MAX_BYTES = 64 * 1024 * 1024;
const MAX_SOURCES = 2000;
const NEEDS_PROCESSES = [
  'pagewalk.debugFile',
  'pagewalk.runFile',
  'pagewalk.translate',
  'pagewalk.breakOnExit',
] as const;

type WorkerConstructor = new (url: string) => ConstructorParameters<typeof LanguageClient>[3];
declare const Worker: WorkerConstructor;

let client: LanguageClient | undefined;

export function activate(context: vscode.ExtensionContext): void {
  const script = vscode.Uri.joinPath(context.extensionUri, 'dist/server.browser.js').toString(true);
  client = startLanguageClient(
    context,
    undefined,
    (options) => new LanguageClient(CLIENT_ID, CLIENT_NAME, options, new Worker(script)),
  );
  context.subscriptions.push(
    client.onRequest('pagewalk/readFile', ({ uri }: { uri: string }) => readInWorkspace(vscode.Uri.parse(uri, true))),
    client.onRequest('pagewalk/findSources', async () => {
      const found = await vscode.workspace.findFiles('**/*.{asm,nasm,inc,mac,s,S}', '**/node_modules/**', MAX_SOURCES);
      return found.map((uri) => uri.toString());
    }),
    ...NEEDS_PROCESSES.map((command) => vscode.commands.registerCommand(command, tellWhatIsMissing)),
  );
}

export function deactivate(): Promise<void> | undefined {
  return client?.stop();
}

/** Bytes of a file of the workspace; null where there is none, it is too large, or it lies elsewhere. */
async function readInWorkspace(uri: vscode.Uri): Promise<Uint8Array | null> {
  if (!vscode.workspace.getWorkspaceFolder(uri)) return null;
  try {
    const { type, size } = await vscode.workspace.fs.stat(uri);
    if ((type & vscode.FileType.File) === 0 || size > MAX_BYTES) return null;
    return await vscode.workspace.fs.readFile(uri);
  } catch {
    return null; // missing or unreadable: the assembler reports it where it is named
  }
}

const tellWhatIsMissing = (): Thenable<unknown> =>
  vscode.window.showInformationMessage(
    'In the browser Pagewalk helps to write guests. To run and debug one, open the folder in VS Code on a machine.',
  );
