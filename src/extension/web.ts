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
declare const Blob: new (parts: readonly Uint8Array[], options: { readonly type: string }) => object;
declare const URL: { createObjectURL(blob: object): string };

let client: LanguageClient | undefined;

export async function activate(context: vscode.ExtensionContext): Promise<void> {
  const script = await scriptUrl(vscode.Uri.joinPath(context.extensionUri, 'dist/server.browser.js'));
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

/**
 * Where a worker may load a script from. A script served by a remote is cross-origin, so its text is passed instead.
 */
async function scriptUrl(file: vscode.Uri): Promise<string> {
  if (/^https?$/.test(file.scheme)) return file.toString(true);
  const text = await vscode.workspace.fs.readFile(file);
  return URL.createObjectURL(new Blob([text], { type: 'text/javascript' }));
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
    'In the browser, Pagewalk helps you write guests. To run and debug one, open the folder in desktop VS Code.',
  );
