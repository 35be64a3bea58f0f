/**
 * One hover. While a guest is stopped the adapter knows more than the assembler: value and chain come first, then the
 * language server's text on the word, in the same hover (language-client.ts joins them). The debugger's own hover is
 * disabled by offering it no expression, since VS Code shows the language hovers exactly where the debugger has none.
 */
import * as vscode from 'vscode';
import type { HoverReply } from '../protocol/messages';
import { GUEST_LANGUAGES } from './guest-languages';
import { hoverMarkdown } from './hover-text';
import type { SessionTracker } from './session';

/** The language whose files the language server looks after. */
export const SERVED_LANGUAGE = 'pagewalk-asm';

export interface StoppedHover {
  readonly hover: vscode.Hover;
  readonly about: HoverReply['about'];
}

/** Value and chain of what is at a position; undefined if no guest is stopped or nothing there has a value. */
export async function stoppedHover(
  tracker: SessionTracker,
  document: vscode.TextDocument,
  position: vscode.Position,
): Promise<StoppedHover | undefined> {
  if (tracker.standing !== 'stopped') return undefined;
  const { frameId } = tracker;
  const reply = await tracker
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
  const range = new vscode.Range(position.line, reply.start - 1, position.line, reply.end - 1);
  return { hover: new vscode.Hover(text, range), about: reply.about };
}

/** Offers the debugger's hover nothing in our sessions, and in others' sessions the word, as VS Code does by default. */
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
  const selector = (languages: readonly string[]): vscode.DocumentSelector =>
    languages.map((language) => ({ language }));
  const others = GUEST_LANGUAGES.filter((language) => language !== SERVED_LANGUAGE);
  return vscode.Disposable.from(
    vscode.languages.registerHoverProvider(selector(others), {
      provideHover: async (document, position) => (await stoppedHover(tracker, document, position))?.hover,
    }),
    vscode.languages.registerEvaluatableExpressionProvider(selector(GUEST_LANGUAGES), new NoExpression(tracker)),
  );
}
