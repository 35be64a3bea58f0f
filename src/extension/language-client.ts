/** The language client's own side, wherever its server runs: which documents, and one hover. */
import * as vscode from 'vscode';
import type { BaseLanguageClient, LanguageClientOptions } from 'vscode-languageclient';
import type { StoppedHover } from './hover';
import { SERVED_LANGUAGE, stoppedHover } from './hover';
import { joinedMarkdown } from './hover-text';
import type { SessionTracker } from './session';

export const CLIENT_ID = 'pagewalk';
export const CLIENT_NAME = 'Pagewalk Language Server';

/** Makes a client, starts it and keeps it for as long as the extension is active. */
export function startLanguageClient<C extends BaseLanguageClient>(
  context: vscode.ExtensionContext,
  tracker: SessionTracker | undefined,
  create: (options: LanguageClientOptions) => C,
): C {
  const sources = vscode.workspace.createFileSystemWatcher('**/*.{asm,nasm,inc,mac,s,S}');
  const client = create({
    documentSelector: [{ language: SERVED_LANGUAGE }],
    synchronize: { configurationSection: 'pagewalk', fileEvents: sources },
    ...(tracker ? { middleware: oneHover(tracker) } : {}),
  });
  context.subscriptions.push(sources, vscode.workspace.onDidOpenTextDocument(adopt));
  vscode.workspace.textDocuments.forEach(adopt);
  client.start().catch((error: unknown) => client.error('The language server did not start', error));
  return client;
}

const oneHover = (tracker: SessionTracker): NonNullable<LanguageClientOptions['middleware']> => ({
  provideHover: async (document, position, token, next) => {
    const [value, words] = await Promise.all([
      stoppedHover(tracker, document, position),
      // Without an answer the hover of the stopped guest is still worth showing.
      Promise.resolve(next(document, position, token)).catch(() => undefined),
    ]);
    if (!value || !words) return value?.hover ?? words;
    return joined(value, words);
  },
});

function joined({ hover, about }: StoppedHover, words: vscode.Hover): vscode.Hover {
  const [guest] = hover.contents;
  const [server] = words.contents;
  if (!(guest instanceof vscode.MarkdownString) || !(server instanceof vscode.MarkdownString)) return hover;
  return new vscode.Hover(
    new vscode.MarkdownString(joinedMarkdown(guest.value, server.value, about), true),
    hover.range,
  );
}

/** Included files have endings that many languages use: they become guest assembly only where no language claims them. */
function adopt(document: vscode.TextDocument): void {
  if (document.languageId === 'plaintext' && /\.(inc|mac)$/i.test(document.fileName))
    void vscode.languages.setTextDocumentLanguage(document, SERVED_LANGUAGE);
}
