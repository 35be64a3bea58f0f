/** The Translation view's extension side: asks the adapter, follows the cursor, and hands states to the browser side. */
import { randomBytes } from 'node:crypto';
import * as vscode from 'vscode';
import type { Space } from '../base/address';
import type { TranslateArguments } from '../protocol/messages';
import type { FromView, ToView, ViewState } from '../protocol/view';
import { isGuest } from './guest-files';
import type { SessionTracker } from './session';

/** Stops and cursor movements closer together than this are one. */
const SETTLE_MS = 120;

const FOLLOW = 'translation.followCursor';

export class TranslationView implements vscode.WebviewViewProvider, vscode.Disposable {
  static readonly id = 'pagewalk.translation';
  private view: vscode.WebviewView | undefined;
  private asked: TranslateArguments | undefined;
  /** A person asked for this address: it stays until the cursor moves. */
  private pinned = false;
  private settling: ReturnType<typeof setTimeout> | undefined;
  /** Counts the questions: an answer to an older one is dropped. */
  private turn = 0;
  private readonly subscriptions: vscode.Disposable[];

  constructor(
    private readonly extensionUri: vscode.Uri,
    private readonly tracker: SessionTracker,
  ) {
    this.subscriptions = [
      vscode.window.registerWebviewViewProvider(TranslationView.id, this),
      tracker.onDidChange(() => this.later()),
      vscode.workspace.onDidChangeConfiguration((change) => {
        if (!change.affectsConfiguration(`pagewalk.${FOLLOW}`)) return;
        this.post({ kind: 'follow', on: this.follow });
        this.pinned = false;
        this.pinned = false;
        this.later();
      }),
      vscode.window.onDidChangeTextEditorSelection(() => {
        if (!this.follow) return;
        this.pinned = false;
        this.later();
      }),
    ];
  }

  private get follow(): boolean {
    return vscode.workspace.getConfiguration('pagewalk').get(FOLLOW, true);
  }

  dispose(): void {
    clearTimeout(this.settling);
    for (const each of this.subscriptions) each.dispose();
  }

  resolveWebviewView(view: vscode.WebviewView): void {
    this.view = view;
    const dist = vscode.Uri.joinPath(this.extensionUri, 'dist');
    view.webview.options = { enableScripts: true, localResourceRoots: [dist] };
    view.webview.onDidReceiveMessage((message: FromView) => this.receive(message));
    view.onDidChangeVisibility(() => this.refresh());
    view.onDidDispose(() => {
      this.view = undefined;
    });
    view.webview.html = html(view.webview, dist);
  }

  /** Brings the view to the front, with the cursor in its box. */
  async focus(): Promise<void> {
    await vscode.commands.executeCommand(`${TranslationView.id}.focus`);
    this.post({ kind: 'focus' });
  }

  /** Shows the chain of an address, whatever the view showed before. */
  async show(expression: string, space: Space, access: 'r' | 'w' | 'x' = 'r'): Promise<void> {
    this.pinned = true; // showing the view must not bring the cursor's operand back
    await vscode.commands.executeCommand(`${TranslationView.id}.focus`);
    await this.translate({ expression, space, access });
  }

  private later(): void {
    clearTimeout(this.settling);
    this.settling = setTimeout(() => void this.refresh(), SETTLE_MS);
  }

  private post(message: ToView): void {
    void this.view?.webview.postMessage(message);
  }

  private state(state: ViewState): void {
    this.post({ kind: 'state', state });
  }

  private async receive(message: FromView): Promise<void> {
    switch (message.kind) {
      case 'loaded':
        this.post({ kind: 'follow', on: this.follow });
        return this.refresh();
      case 'translate':
        this.pinned = true;
        return this.translate({ expression: message.expression, space: message.space, access: message.access });
      case 'follow':
        return vscode.workspace
          .getConfiguration('pagewalk')
          .update(FOLLOW, message.on, vscode.ConfigurationTarget.Global);
      case 'debug':
        await vscode.commands.executeCommand('pagewalk.debugFile');
    }
  }

  /** After a stop, a change of values or a move of the cursor: the operand under the cursor, else the last question again. */
  private async refresh(): Promise<void> {
    if (!this.view?.visible) return;
    const { standing } = this.tracker;
    if (standing !== 'stopped') return this.state({ kind: standing === 'none' ? 'idle' : 'running' });
    if (!this.pinned && (await this.followCursor())) return;
    if (this.asked) await this.translate(this.asked);
    else this.state({ kind: 'ready' });
  }

  private async translate(asked: TranslateArguments): Promise<void> {
    this.asked = asked;
    const turn = ++this.turn;
    const { frameId } = this.tracker;
    const state: ViewState = await this.tracker
      .request('pagewalk/translate', { ...asked, ...(frameId === undefined ? {} : { frameId }) })
      .then(
        (reply) => ({ kind: 'translation', asked: asked.expression, reply }) as const,
        (error: Error) => ({ kind: 'error', asked: asked.expression, message: error.message }) as const,
      );
    if (turn === this.turn) this.state(state);
  }

  /** Shows the operand under the cursor, or the memory operand of the cursor's line; false where there is none. */
  private async followCursor(): Promise<boolean> {
    const editor = vscode.window.activeTextEditor;
    if (
      !this.follow ||
      !this.view?.visible ||
      !editor ||
      !isGuest(editor.document) ||
      this.tracker.standing !== 'stopped'
    )
      return false;
    const { document, selection } = editor;
    const lineText = document.lineAt(selection.active.line).text;
    const turn = ++this.turn;
    for (const column of columnsToTry(lineText, selection.active.character + 1)) {
      const { frameId } = this.tracker;
      const reply = await this.tracker
        .request('pagewalk/hover', {
          lineText,
          column,
          path: document.fileName,
          line: selection.active.line + 1,
          ...(frameId === undefined ? {} : { frameId }),
        })
        .catch(() => null);
      if (turn !== this.turn) return true;
      if (!reply?.translation || reply.address === undefined) continue;
      this.asked = { expression: reply.address, space: 'gva', access: 'r' };
      const { address, symbol, translation } = reply;
      this.state({
        kind: 'translation',
        asked: reply.expression,
        reply: { address, space: 'gva', translation, ...(symbol === undefined ? {} : { symbol }) },
      });
      return true;
    }
    return false;
  }
}

/** The cursor's own column, then the inside of the line's first memory operand (the current line's cursor is at its start). */
function columnsToTry(lineText: string, column: number): number[] {
  const code = lineText.replace(/;.*$/, '');
  const bracket = code.indexOf('[');
  return bracket < 0 ? [column] : [column, bracket + 2];
}

function html(webview: vscode.Webview, dist: vscode.Uri): string {
  const nonce = randomBytes(16).toString('base64');
  const uri = (file: string): string => webview.asWebviewUri(vscode.Uri.joinPath(dist, file)).toString();
  const policy = `default-src 'none'; style-src ${webview.cspSource}; font-src ${webview.cspSource}; script-src 'nonce-${nonce}'`;
  return `<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="stylesheet" href="${uri('webview.css')}">
<title>Translation</title>
</head>
<body>
<script nonce="${nonce}" src="${uri('webview.js')}"></script>
</body>
</html>`;
}
