/** The language client's own side, wherever its server runs: which documents, one hover, and the hints of the image that runs. */
import * as vscode from 'vscode';
import type { BaseLanguageClient, LanguageClientOptions } from 'vscode-languageclient';
import type { StoppedHover } from './hover';
import { SERVED_LANGUAGE, stoppedHover } from './hover';
import { joinedMarkdown } from './hover-text';
import type { RunningImages } from './running-image';
import type { SessionTracker } from './session';

export const CLIENT_ID = 'pagewalk';
export const CLIENT_NAME = 'Pagewalk Language Server';

/** Provides information about running guests. */
export interface Debugging {
  readonly tracker: SessionTracker;
  readonly images: RunningImages;
}

/** Makes a client, starts it and keeps it for as long as the extension is active. */
export function startLanguageClient<C extends BaseLanguageClient>(
  context: vscode.ExtensionContext,
  debugging: Debugging | undefined,
  create: (options: LanguageClientOptions) => C,
): C {
  const sources = vscode.workspace.createFileSystemWatcher('**/*.{asm,nasm,inc,mac,s,S}');
  const client = create({
    documentSelector: [{ language: SERVED_LANGUAGE }],
    synchronize: { configurationSection: 'pagewalk', fileEvents: sources },
    ...(debugging ? { middleware: { ...oneHover(debugging.tracker), ...imageHints(debugging.images) } } : {}),
  });
  context.subscriptions.push(sources, vscode.workspace.onDidOpenTextDocument(adopt));
  if (debugging) context.subscriptions.push(debugging.images.onDidChange(() => refreshHints(client)));
  vscode.workspace.textDocuments.forEach(adopt);
  client.start().catch((error: unknown) => client.error('The language server did not start', error));
  return client;
}

type Middleware = NonNullable<LanguageClientOptions['middleware']>;

/**
 * While a guest runs, its sources show the hints of its own image, not of text edited since or assembled without the
 * launch configuration's options.
 */
const imageHints = (images: RunningImages): Middleware => ({
  provideInlayHints: async (document, range, token, next) => {
    const isOn = vscode.workspace.getConfiguration('pagewalk', document).get('inlayHints.enabled', true);
    const lines = isOn ? await images.lines(document, range).catch(() => undefined) : undefined; // it has just ended
    if (!lines) return next(document, range, token);
    return lines
      .filter(({ line }) => line <= document.lineCount)
      .map(({ line, label, tooltip }) => {
        const length = document.lineAt(line - 1).text.trimEnd().length;
        const hint = new vscode.InlayHint(new vscode.Position(line - 1, length), label);
        hint.paddingLeft = true;
        hint.tooltip = tooltip;
        return hint;
      });
  },
});

/** Hints are requested at edits; a new running image is not an edit. */
function refreshHints(client: BaseLanguageClient): void {
  const feature = client.getFeature('textDocument/inlayHint');
  for (const document of vscode.workspace.textDocuments) feature.getProvider(document)?.onDidChangeInlayHints.fire();
}

const oneHover = (tracker: SessionTracker): Middleware => ({
  provideHover: async (document, position, token, next) => {
    const [value, words] = await Promise.all([
      stoppedHover(tracker, document, position),
      // without an answer, the stopped guest's hover is still worth showing
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

/**
 * Included files have extensions that many languages use: they become guest assembly only if no language claims them.
 */
function adopt(document: vscode.TextDocument): void {
  if (document.languageId === 'plaintext' && /\.(inc|mac)$/i.test(document.fileName))
    void vscode.languages.setTextDocumentLanguage(document, SERVED_LANGUAGE);
}
