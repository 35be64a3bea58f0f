/**
 * One hover. While a guest is stopped the adapter knows more than the assembler: this provider shows value and chain, the
 * language client's own hover stays silent (language-client.ts), and the debugger's hover is turned off by offering it no
 * expression, for VS Code shows the language hovers exactly where the debugger has none.
 */
import * as vscode from 'vscode';
import { GUEST_SELECTOR } from './guest-files';
import { hoverMarkdown } from './hover-text';
import type { SessionTracker } from './session';

class StoppedHover implements vscode.HoverProvider {
  constructor(private readonly tracker: SessionTracker) {}

  async provideHover(document: vscode.TextDocument, position: vscode.Position): Promise<vscode.Hover | undefined> {
    if (this.tracker.standing !== 'stopped') return undefined;
    const { frameId } = this.tracker;
    const reply = await this.tracker
      .request('pagewalk/hover', {
        lineText: document.lineAt(position.line).text,
        column: position.character + 1,
        path: document.fileName,
        line: position.line + 1,
        ...(frameId === undefined ? {} : { frameId }),
      })
      .catch(() => null); // resumed meanwhile, or not an expression: no hover
    if (!reply) return undefined;
    const withChain = vscode.workspace.getConfiguration('pagewalk', document).get('hover.chain', true);
    const text = new vscode.MarkdownString(hoverMarkdown(reply, withChain), true);
    return new vscode.Hover(text, new vscode.Range(position.line, reply.start - 1, position.line, reply.end - 1));
  }
}

/** Offers the debugger's hover nothing in our sessions, and in others' sessions the word, as VS Code does by itself. */
class NoExpression implements vscode.EvaluatableExpressionProvider {
  constructor(private readonly tracker: SessionTracker) {}

  provideEvaluatableExpression(
    document: vscode.TextDocument,
    position: vscode.Position,
  ): vscode.EvaluatableExpression | undefined {
    if (this.tracker.session) return undefined;
    const word = document.getWordRangeAtPosition(position);
    return word && new vscode.EvaluatableExpression(word);
  }
}

export function registerHover(tracker: SessionTracker): vscode.Disposable {
  return vscode.Disposable.from(
    vscode.languages.registerHoverProvider(GUEST_SELECTOR, new StoppedHover(tracker)),
    vscode.languages.registerEvaluatableExpressionProvider(GUEST_SELECTOR, new NoExpression(tracker)),
  );
}
