/** Starts the language server, and joins its hover with that of a stopped guest. */
import * as vscode from 'vscode';
import { LanguageClient, TransportKind } from 'vscode-languageclient/node';
import { SERVED_LANGUAGE, stoppedHover } from './hover';
import { joinedMarkdown } from './hover-text';
import type { SessionTracker } from './session';

export function startLanguageClient(context: vscode.ExtensionContext, tracker: SessionTracker): LanguageClient {
  const module = context.asAbsolutePath('dist/server.js');
  const sources = vscode.workspace.createFileSystemWatcher('**/*.{asm,nasm,inc,mac,s,S}');
  const client = new LanguageClient(
    'pagewalk',
    'Pagewalk Language Server',
    {
      run: { module, transport: TransportKind.ipc },
      debug: { module, transport: TransportKind.ipc, options: { execArgv: ['--nolazy', '--inspect=6009'] } },
    },
    {
      documentSelector: [{ language: SERVED_LANGUAGE }],
      synchronize: { configurationSection: 'pagewalk', fileEvents: sources },
      middleware: {
        provideHover: async (document, position, token, next) => {
          const [value, words] = await Promise.all([
            stoppedHover(tracker, document, position),
            // Without an answer the hover of the stopped guest is still worth showing.
            Promise.resolve(next(document, position, token)).catch(() => undefined),
          ]);
          if (!value || !words) return value ?? words;
          return joined(value, words);
        },
      },
    },
  );
  context.subscriptions.push(sources, vscode.workspace.onDidOpenTextDocument(adopt));
  vscode.workspace.textDocuments.forEach(adopt);
  client.start().catch((error: unknown) => client.error('The language server did not start', error));
  return client;
}

function joined(value: vscode.Hover, words: vscode.Hover): vscode.Hover {
  const [guest] = value.contents;
  const [server] = words.contents;
  if (!(guest instanceof vscode.MarkdownString) || !(server instanceof vscode.MarkdownString)) return value;
  return new vscode.Hover(new vscode.MarkdownString(joinedMarkdown(guest.value, server.value), true), value.range);
}

/** Included files have endings that many languages use: they become guest assembly only where no language claims them. */
function adopt(document: vscode.TextDocument): void {
  if (document.languageId === 'plaintext' && /\.(inc|mac)$/i.test(document.fileName))
    void vscode.languages.setTextDocumentLanguage(document, SERVED_LANGUAGE);
}
