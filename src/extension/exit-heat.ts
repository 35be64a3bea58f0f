/**
 * Where a guest exits, beside its lines: a bar at the gutter, hotter for more exits, and their number after the line.
 */
import * as vscode from 'vscode';
import type { ExitLine } from '../protocol/panels/exits';
import { isGuest } from './guest-files';
import type { SessionTracker } from './session';

const HEAT_SETTING = 'exitHeat.enabled';
/** Stops closer together than this count as one. */
const SETTLE_MS = 150;
/** How many pixels wide the bar is, from the coldest level on: it stands at the line's start and must not cover a label. */
const WIDTHS = [1, 1.5, 2, 3] as const;

const isOn = (): boolean => vscode.workspace.getConfiguration('pagewalk').get(HEAT_SETTING, true);

export const toggleHeat = (): Thenable<void> =>
  vscode.workspace.getConfiguration('pagewalk').update(HEAT_SETTING, !isOn(), vscode.ConfigurationTarget.Global);

/** The level of a line among all: by the logarithm, for exits differ by powers of ten. */
function levelOf(count: number, most: number): number {
  const part = most <= 1 ? 1 : Math.log(count) / Math.log(most);
  return Math.min(WIDTHS.length - 1, Math.floor(part * WIDTHS.length));
}

function words({ count, cycles, reasons }: ExitLine): vscode.MarkdownString {
  const each = reasons.map(({ name, count: n }) => `- ${n.toLocaleString('en')} ${name}`).join('\n');
  return new vscode.MarkdownString(
    `${count.toLocaleString('en')} VM exits, ${cycles.toLocaleString('en')} cycles to handle them\n\n${each}`,
  );
}

export class ExitHeat implements vscode.Disposable {
  private readonly types = WIDTHS.map((width) =>
    vscode.window.createTextEditorDecorationType({
      isWholeLine: true,
      borderStyle: 'solid',
      borderWidth: `0 0 0 ${width}px`,
      borderColor: new vscode.ThemeColor('charts.orange'),
      overviewRulerColor: new vscode.ThemeColor('charts.orange'),
      overviewRulerLane: vscode.OverviewRulerLane.Left,
      after: { color: new vscode.ThemeColor('descriptionForeground'), margin: '0 0 0 2em' },
    }),
  );
  private readonly subscriptions: vscode.Disposable[];
  private settling: ReturnType<typeof setTimeout> | undefined;
  private turn = 0;

  constructor(private readonly tracker: SessionTracker) {
    this.subscriptions = [
      ...this.types,
      tracker.onDidChange(() => this.later()),
      vscode.window.onDidChangeVisibleTextEditors(() => this.later()),
      vscode.workspace.onDidChangeConfiguration((change) => {
        if (change.affectsConfiguration(`pagewalk.${HEAT_SETTING}`)) this.later();
      }),
    ];
  }

  dispose(): void {
    clearTimeout(this.settling);
    for (const each of this.subscriptions) each.dispose();
  }

  private later(): void {
    clearTimeout(this.settling);
    this.settling = setTimeout(() => void this.update(), SETTLE_MS);
  }

  private async update(): Promise<void> {
    const turn = ++this.turn;
    const { standing } = this.tracker;
    // while the guest runs, the last state stays visible
    if (standing === 'running') return;
    for (const editor of vscode.window.visibleTextEditors) {
      if (!isGuest(editor.document)) continue;
      const lines = standing === 'stopped' && isOn() ? await this.linesOf(editor.document.uri.fsPath) : [];
      if (turn !== this.turn) return;
      this.paint(editor, lines);
    }
  }

  private async linesOf(path: string): Promise<readonly ExitLine[]> {
    return this.tracker.request('pagewalk/exits/lines', { path }).then(
      ({ lines }) => lines,
      () => [],
    );
  }

  private paint(editor: vscode.TextEditor, lines: readonly ExitLine[]): void {
    const most = Math.max(1, ...lines.map(({ count }) => count));
    this.types.forEach((type, level) => {
      const own = lines.filter(
        ({ line, count }) => line <= editor.document.lineCount && levelOf(count, most) === level,
      );
      editor.setDecorations(
        type,
        own.map((each): vscode.DecorationOptions => {
          const { range } = editor.document.lineAt(each.line - 1);
          const text = `${each.count.toLocaleString('en')} ${each.count === 1 ? 'exit' : 'exits'}`;
          return { range, hoverMessage: words(each), renderOptions: { after: { contentText: text } } };
        }),
      );
    });
  }
}
