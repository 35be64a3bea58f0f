/** A tree view over one of the adapter's table trees: children are requested when a node opens, a page at a time. */
import * as vscode from 'vscode';
import type { TreeName, TreeNode } from '../protocol/messages';
import type { SessionTracker } from './session';

/** One table has 512 entries: a page of them is shown whole. */
const PAGE = 512;

export type TreeItem =
  | { readonly kind: 'node'; readonly node: TreeNode }
  | { readonly kind: 'more'; readonly parent: TreeNode | undefined; readonly left: number }
  | { readonly kind: 'note'; readonly text: string };

const ICONS: Readonly<Record<TreeNode['kind'], string>> = {
  root: 'type-hierarchy-sub',
  table: 'table',
  page: 'file',
  'large-page': 'files',
  slot: 'layers',
  hole: 'circle-slash',
  range: 'symbol-array',
};

/** Where guest and shadow tables differ, the first of these that holds (session/tables/drift.ts). */
const MARK_ICONS: readonly (readonly [mark: string, icon: string, color?: string])[] = [
  ['stale', 'warning', 'list.warningForeground'],
  ['write-protected', 'lock'],
  ['missing', 'circle-large-outline', 'disabledForeground'],
  ['unsync', 'sync-ignored'],
];

function iconOf({ kind, marks = [] }: TreeNode): vscode.ThemeIcon {
  const [, icon, color] = MARK_ICONS.find(([mark]) => marks.includes(mark)) ?? [];
  if (icon === undefined) return new vscode.ThemeIcon(ICONS[kind] ?? 'symbol-field');
  return new vscode.ThemeIcon(icon, color === undefined ? undefined : new vscode.ThemeColor(color));
}

export class TableTree implements vscode.TreeDataProvider<TreeItem>, vscode.Disposable {
  private readonly changed = new vscode.EventEmitter<void>();
  /** How many children of a node are shown, by its id; one page by default. */
  private readonly shown = new Map<string, number>();
  private readonly subscription: vscode.Disposable;
  private readonly view: vscode.TreeView<TreeItem>;
  readonly onDidChangeTreeData = this.changed.event;

  constructor(
    private readonly tree: TreeName,
    viewId: string,
    private readonly tracker: SessionTracker,
  ) {
    this.view = vscode.window.createTreeView(viewId, { treeDataProvider: this, showCollapseAll: true });
    this.subscription = tracker.onDidChange(() => this.refresh());
  }

  dispose(): void {
    this.subscription.dispose();
    this.view.dispose();
    this.changed.dispose();
  }

  refresh(): void {
    const running = this.tracker.standing === 'running';
    this.view.message = running ? 'The guest is running; pause it to inspect it.' : '';
    this.changed.fire();
  }

  showMore(parent: TreeNode | undefined): void {
    const key = parent?.id ?? '';
    this.shown.set(key, (this.shown.get(key) ?? PAGE) + PAGE);
    this.changed.fire();
  }

  async getChildren(item?: TreeItem): Promise<TreeItem[]> {
    if (this.tracker.standing !== 'stopped' || (item && item.kind !== 'node')) return [];
    const parent = item?.node;
    const count = this.shown.get(parent?.id ?? '') ?? PAGE;
    try {
      const { nodes, total } = await this.tracker.request('pagewalk/tree', {
        tree: this.tree,
        start: 0,
        count,
        ...(parent ? { node: parent.id } : {}),
      });
      const items: TreeItem[] = nodes.map((node) => ({ kind: 'node', node }));
      if (total > nodes.length) items.push({ kind: 'more', parent, left: total - nodes.length });
      return items;
    } catch (error) {
      // a session that ended or resumed meanwhile needs no message: the next change redraws
      if (this.tracker.standing !== 'stopped') return [];
      return [{ kind: 'note', text: error instanceof Error ? error.message : String(error) }];
    }
  }

  getTreeItem(item: TreeItem): vscode.TreeItem {
    switch (item.kind) {
      case 'node':
        return this.nodeItem(item.node);
      case 'more': {
        const more = new vscode.TreeItem(`Show more (${item.left} left)`);
        more.command = { command: 'pagewalk.showMore', title: 'Show more', arguments: [this, item.parent] };
        return more;
      }
      case 'note': {
        const note = new vscode.TreeItem(item.text);
        note.iconPath = new vscode.ThemeIcon('info');
        return note;
      }
    }
  }

  private nodeItem(node: TreeNode): vscode.TreeItem {
    const { Collapsed, None, Expanded } = vscode.TreeItemCollapsibleState;
    const item = new vscode.TreeItem(node.label, !node.children ? None : node.kind === 'root' ? Expanded : Collapsed);
    item.id = node.id;
    if (node.description !== undefined) item.description = node.description;
    if (node.tooltip !== undefined) item.tooltip = new vscode.MarkdownString(node.tooltip);
    item.iconPath = iconOf(node);
    const actions = (node.actions ?? []).map((action) => `can:${action}`);
    item.contextValue = [node.kind, node.address && 'addressed translatable', ...actions].filter(Boolean).join(' ');
    item.accessibilityInformation = { label: [node.label, node.description].filter(Boolean).join(', ') };
    return item;
  }
}
