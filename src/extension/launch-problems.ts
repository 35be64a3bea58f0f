/**
 * What is wrong with a launched guest: one notification that leads to it, and rows in the Problems view. The language
 * server checks only files open in the editor, so without this an included file, or a source for another assembler,
 * has no rows there.
 */
import { basename } from 'node:path';
import * as vscode from 'vscode';
import type { Problem, ProblemsEvent } from '../protocol/messages';
import { announcement } from './launch-announcement';
import type { SessionTracker } from './session';

type Located = Problem & { readonly path: string; readonly range: NonNullable<Problem['range']> };
const isLocated = (problem: Problem): problem is Located => problem.path !== undefined && problem.range !== undefined;

const SEVERITIES: Readonly<Record<Problem['severity'], vscode.DiagnosticSeverity>> = {
  error: vscode.DiagnosticSeverity.Error,
  warning: vscode.DiagnosticSeverity.Warning,
  info: vscode.DiagnosticSeverity.Information,
};

function rangeOf({ range }: Located): vscode.Range {
  return new vscode.Range(range.line - 1, range.column - 1, range.endLine - 1, range.endColumn - 1);
}

export class LaunchProblems implements vscode.Disposable {
  private readonly collection = vscode.languages.createDiagnosticCollection('pagewalk-launch');
  private readonly subscriptions: vscode.Disposable[];

  constructor(tracker: SessionTracker) {
    this.subscriptions = [
      this.collection,
      tracker.onDidReportProblems((event) => this.report(event)),
      // an edited file belongs to the language server again
      vscode.workspace.onDidChangeTextDocument(({ document }) => this.collection.delete(document.uri)),
    ];
  }

  dispose(): void {
    for (const each of this.subscriptions) each.dispose();
  }

  private report(event: ProblemsEvent): void {
    this.collection.clear();
    const located = event.problems.filter(isLocated);
    const byPath = new Map<string, Located[]>();
    for (const problem of located) byPath.set(problem.path, [...(byPath.get(problem.path) ?? []), problem]);
    for (const [path, problems] of byPath) this.collection.set(vscode.Uri.file(path), unknownOf(path, problems));
    if (!event.launched) void announce(event, located);
  }
}

/** The problems of a file that the Problems view does not have yet. */
function unknownOf(path: string, problems: readonly Located[]): vscode.Diagnostic[] {
  const known = new Set(
    vscode.languages.getDiagnostics(vscode.Uri.file(path)).map((d) => `${d.range.start.line} ${d.message}`),
  );
  return problems
    .filter((problem) => !known.has(`${problem.range.line - 1} ${problem.message}`))
    .map((problem) => {
      const diagnostic = new vscode.Diagnostic(rangeOf(problem), problem.message, SEVERITIES[problem.severity]);
      diagnostic.source = 'pagewalk';
      diagnostic.code = problem.code;
      return diagnostic;
    });
}

async function announce(event: ProblemsEvent, located: readonly Located[]): Promise<void> {
  const { message, actions } = announcement(event, basename);
  const chosen = await vscode.window.showErrorMessage(message, ...actions);
  const first = located.find(({ severity }) => severity === 'error');
  switch (chosen) {
    case 'Show Problems':
      await vscode.commands.executeCommand('workbench.actions.view.problems');
      break;
    case 'Go to First':
    case 'Go to Error':
      if (first)
        await vscode.window.showTextDocument(vscode.Uri.file(first.path), { selection: rangeOf(first), preview: true });
      break;
    case 'Open launch.json':
      await vscode.commands.executeCommand('workbench.action.debug.configure');
      break;
    case undefined:
      break;
  }
}
