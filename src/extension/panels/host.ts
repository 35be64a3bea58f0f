/**
 * The extension's side of every panel: as a view of the side bar and as an editor tab, the same page. It forwards the
 * panels' requests to the adapter, notifies them of the session's state, and carries out their requests outside
 * themselves. A hidden page gets no messages and so costs nothing; it receives what it missed when it is shown.
 */
import * as vscode from 'vscode';
import {
  PANELS,
  type FromPanel,
  type PanelCommand,
  type PanelId,
  type PanelSettings,
  type ToPanel,
} from '../../protocol/panels';
import type { SessionTracker } from '../session';
import { act } from './actions';
import { cursorNow } from './cursor';
import { pageOf } from './html';

/** Cursor movements and changes of the selected frame closer together than this count as one. */
const SETTLE_MS = 120;

interface Page {
  readonly panel: PanelId;
  readonly webview: vscode.Webview;
  readonly isVisible: () => boolean;
  readonly setTitle: (title: string) => void;
  loaded: boolean;
}

export class PanelHost implements vscode.Disposable {
  private readonly pages = new Set<Page>();
  /** Commands for panels whose page is not loaded yet. */
  private readonly pending = new Map<PanelId, PanelCommand>();
  private readonly subscriptions: vscode.Disposable[];
  private readonly dist: vscode.Uri;
  private settling: ReturnType<typeof setTimeout> | undefined;
  private notified = -1;

  constructor(
    extensionUri: vscode.Uri,
    private readonly tracker: SessionTracker,
  ) {
    this.dist = vscode.Uri.joinPath(extensionUri, 'dist');
    this.subscriptions = [
      ...PANELS.flatMap((panel) => [
        vscode.window.registerWebviewViewProvider(panel.view, {
          resolveWebviewView: (view) => this.inSidebar(panel, view),
        }),
        vscode.window.registerWebviewPanelSerializer(panel.view, {
          deserializeWebviewPanel: (tab) => Promise.resolve(this.inEditor(panel, tab)),
        }),
      ]),
      tracker.onDidChange(() => this.changed()),
      vscode.workspace.onDidChangeConfiguration((change) => {
        if (change.affectsConfiguration('pagewalk')) this.each((page) => this.sendSettings(page));
      }),
      vscode.window.onDidChangeTextEditorSelection(() => this.later()),
    ];
  }

  dispose(): void {
    clearTimeout(this.settling);
    for (const each of this.subscriptions) each.dispose();
  }

  /** Opens a panel as an editor tab. */
  openInEditor(id: PanelId): void {
    const panel = panelOf(id);
    const tab = vscode.window.createWebviewPanel(panel.view, panel.title, vscode.ViewColumn.Beside);
    this.inEditor(panel, tab);
  }

  /** Brings an open panel to the front (in the side bar if it is not open), and gives it the command. */
  async show(id: PanelId, command: PanelCommand = { kind: 'focus' }): Promise<void> {
    const open = [...this.pages].find((page) => page.panel === id && page.loaded && page.isVisible());
    if (!open) this.pending.set(id, command);
    if (!open || command.kind === 'focus') await vscode.commands.executeCommand(`${panelOf(id).view}.focus`);
    const page = open ?? [...this.pages].find((each) => each.panel === id && each.loaded && each.isVisible());
    if (page && (open || this.pending.delete(id))) this.post(page, { kind: 'command', command });
  }

  private inSidebar(panel: (typeof PANELS)[number], view: vscode.WebviewView): void {
    const page = this.add(panel, 'sidebar', view.webview, {
      isVisible: () => view.visible,
      setTitle: (title) => {
        if (view.title !== title) view.title = title;
      },
    });
    view.onDidChangeVisibility(() => this.refresh(page));
    view.onDidDispose(() => this.pages.delete(page));
  }

  private inEditor(panel: (typeof PANELS)[number], tab: vscode.WebviewPanel): void {
    tab.iconPath = vscode.Uri.joinPath(this.dist, '../media/pagewalk.svg');
    const page = this.add(panel, 'editor', tab.webview, {
      isVisible: () => tab.visible,
      setTitle: (title) => {
        if (tab.title !== title) tab.title = title;
      },
    });
    tab.onDidChangeViewState(() => this.refresh(page));
    tab.onDidDispose(() => this.pages.delete(page));
  }

  private add(
    panel: (typeof PANELS)[number],
    place: 'editor' | 'sidebar',
    webview: vscode.Webview,
    shown: Pick<Page, 'isVisible' | 'setTitle'>,
  ): Page {
    const page: Page = { panel: panel.id, webview, ...shown, loaded: false };
    this.pages.add(page);
    page.setTitle(this.titleOf(panel));
    webview.options = { enableScripts: true, localResourceRoots: [this.dist] };
    webview.onDidReceiveMessage((message: FromPanel) => void this.receive(page, message));
    webview.html = pageOf(panel, place, webview, this.dist);
    return page;
  }

  /** A control structure has one of two names, once its vendor is known. */
  private titleOf({ id, title }: (typeof PANELS)[number]): string {
    const { mmu } = this.tracker;
    return id !== 'vmcs' || mmu === undefined || mmu === 'software' ? title : mmu === 'npt' ? 'VMCB' : 'VMCS';
  }

  private async receive(page: Page, message: FromPanel): Promise<void> {
    switch (message.kind) {
      case 'loaded':
        page.loaded = true;
        return this.refresh(page);
      case 'request':
        return this.answer(page, message);
      case 'act':
        return act(message.action, this.tracker, this);
    }
  }

  private async answer(
    page: Page,
    { id, name, arguments: args }: Extract<FromPanel, { kind: 'request' }>,
  ): Promise<void> {
    const answer = await this.tracker.request(name, args).then(
      (body) => ({ kind: 'reply', id, body }) as const,
      (error: Error) => ({ kind: 'refused', id, message: error.message }) as const,
    );
    this.post(page, answer);
  }

  /** A stop or a resumption is sent at once; its consequences a moment later (another selected frame) settle first. */
  private changed(): void {
    const { number, standing } = this.tracker.moment;
    const isNews = number !== this.notified || standing !== 'stopped';
    this.notified = number;
    for (const page of this.pages) page.setTitle(this.titleOf(panelOf(page.panel)));
    if (isNews) this.each((page) => this.sendMoment(page));
    this.later();
  }

  private later(): void {
    clearTimeout(this.settling);
    this.settling = setTimeout(() => {
      const cursor = cursorNow();
      this.each((page) => {
        this.sendMoment(page);
        if (cursor) this.post(page, { kind: 'cursor', cursor });
      });
    }, SETTLE_MS);
  }

  private each(send: (page: Page) => void): void {
    for (const page of this.pages) if (page.loaded && page.isVisible()) send(page);
  }

  /** Everything that a page just shown has missed. */
  private refresh(page: Page): void {
    if (!page.loaded || !page.isVisible()) return;
    const command = this.pending.get(page.panel);
    this.pending.delete(page.panel);
    this.sendSettings(page);
    if (command) this.post(page, { kind: 'command', command });
    const cursor = cursorNow();
    if (cursor) this.post(page, { kind: 'cursor', cursor });
    this.sendMoment(page);
  }

  private sendMoment(page: Page): void {
    this.post(page, { kind: 'moment', moment: this.tracker.moment });
  }

  private sendSettings(page: Page): void {
    const configuration = vscode.workspace.getConfiguration('pagewalk');
    const settings: PanelSettings = {
      updateAtStop: configuration.get<readonly string[]>('panels.updateAtStop', []).includes(page.panel),
      followCursor: configuration.get('translation.followCursor', true),
    };
    this.post(page, { kind: 'settings', settings });
  }

  private post(page: Page, message: ToPanel): void {
    void page.webview.postMessage(message);
  }
}

function panelOf(id: PanelId): (typeof PANELS)[number] {
  const found = PANELS.find((each) => each.id === id);
  if (!found) throw new Error(`there is no panel ${id}`);
  return found;
}
