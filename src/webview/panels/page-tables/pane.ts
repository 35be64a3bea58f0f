/** One set of tables: what it is, its strips, its rows as a tree, the selected row in full. */
import type { TableFilter, TableRow, TableSet, TableSetInfo } from '../../../protocol/panels/page-tables';
import { h } from '../../dom';
import { VirtualList, type RowView } from '../../list';
import { SPACE_NAMES } from '../../names';
import { sinceText } from '../../since';
import { NotRecorded, Superseded, type PanelContext } from '../../panel';
import { details } from './details';
import { Strips } from './strips';
import { TableTree, type Path } from './tree';
import { SET_LONG, driftText, SET_TITLES, indexText, nameText, plural, rightsWords, targetText } from './words';

/** What a pane keeps over a reload. */
export interface PaneState {
  readonly set: TableSet;
  readonly open: readonly string[];
  readonly selected?: readonly string[];
}

export interface PaneHost {
  readonly context: PanelContext;
  filter(set: TableSet): TableFilter | undefined;
  /** A person selected a row: the pane beside shows the same address, or where it leads. */
  selected(pane: Pane, row: TableRow): void;
  /** The set beside this one into which its targets lead. */
  beside(pane: Pane): Pane | undefined;
  changed(): void;
}

export class Pane {
  readonly element: HTMLElement;
  info: TableSetInfo | undefined;
  private selectedPath: Path;
  private readonly heading = h('header', {});
  private readonly below = h('div', { class: 'below' });
  private readonly none = h('p', { class: 'none', hidden: true });
  private readonly tree: TableTree;
  private readonly list: VirtualList;
  private readonly strips = new Strips((depth, index) => this.pick(depth, index));

  constructor(
    private readonly host: PaneHost,
    readonly set: TableSet,
    state: PaneState | undefined,
  ) {
    this.selectedPath = state?.selected ?? [];
    this.tree = new TableTree(
      (path, start) => this.load(path, start),
      new Set(state?.open),
      () => this.refresh(),
    );
    this.list = new VirtualList({
      role: 'tree',
      label: SET_LONG[set],
      render: (index) => this.row(index),
      visible: (first, last) => this.tree.fetch(first, last),
      parent: (index) => this.tree.parentOf(index),
      toggle: (index, open) => this.toggle(index, open),
      activate: (index) => this.activate(index),
      select: (index) => this.select(index),
    });
    this.element = h(
      'section',
      { class: `pane ${set}`, 'aria-label': SET_LONG[set] },
      this.heading,
      this.strips.element,
      this.none,
      this.list.element,
      this.below,
    );
  }

  get state(): PaneState {
    return { set: this.set, open: [...this.tree.open], selected: this.selectedPath };
  }

  /** Shows the present moment. */
  async update(info: TableSetInfo): Promise<void> {
    this.info = info;
    this.head(info);
    const sight: { path: Path; start: number }[] = [];
    const top = Math.floor(this.list.scrollTop / 22);
    for (let i = top; i < top + 60; i++) {
      const item = this.tree.at(i);
      if (item) sight.push({ path: item.parent, start: item.index });
    }
    await Promise.all([this.tree.reload(sight), this.drawStrips()]);
    // A first look shows the first page's way, not the root alone.
    if (this.selectedPath.length === 0) this.mark(0);
    else if (this.tree.indexOf(this.selectedPath) < 0) this.below.replaceChildren();
  }

  /** Opens the way to an address and selects its entry; says why where there is none. */
  async find(expression: string, focus: boolean): Promise<string> {
    const { moment } = this.host.context;
    const { frameId } = moment;
    const reply = await this.host.context.request('pagewalk/tables/find', {
      set: this.set,
      moment: moment.number,
      expression,
      ...(frameId === undefined ? {} : { frameId }),
    });
    await this.show(reply.path, focus);
    return reply.present
      ? `${SET_TITLES[this.set]}: found ${reply.address}`
      : `${SET_TITLES[this.set]}: ${reply.missing ?? 'not mapped'}`;
  }

  focus(): void {
    this.list.focus();
  }

  private async show(path: Path, focus: boolean): Promise<void> {
    let index = path.length === 0 ? 0 : await this.tree.reveal(path);
    // Filtered away: the deepest row that is there.
    for (let depth = path.length - 1; index < 0 && depth > 0; depth--) index = this.tree.indexOf(path.slice(0, depth));
    this.mark(Math.max(0, index), focus);
  }

  /** Selects without notifying the other pane. */
  private mark(index: number, focus = false): void {
    this.list.select(index, { focus, tell: false });
    this.inFull(index);
  }

  /** `the last stop`, unless nobody looked then. */
  private get since(): string {
    return sinceText(this.info?.since ?? 1);
  }

  private head({ root, from, to, pages, partial, since = 1 }: TableSetInfo): void {
    this.heading.replaceChildren(
      h('h1', {}, SET_LONG[this.set]),
      h(
        'p',
        { class: 'way' },
        h(
          'span',
          { class: 'from-to' },
          h('span', { class: from }, SPACE_NAMES[from].short),
          ' → ',
          h('span', { class: to }, SPACE_NAMES[to].short),
        ),
        ' ',
        h('span', { class: 'root' }, `${root.name} `, h('code', {}, root.value)),
        ' ',
        h('span', { class: 'total' }, `${plural(pages, 'page')}${partial ? ' or more' : ''}`),
      ),
      ...(since > 1 ? [h('p', { class: 'since' }, `● marks what changed since ${this.since}.`)] : []),
    );
  }

  private load(path: Path, start: number): ReturnType<ConstructorParameters<typeof TableTree>[0]> {
    const filter = this.host.filter(this.set);
    return this.host.context.request('pagewalk/tables/rows', {
      set: this.set,
      moment: this.host.context.moment.number,
      path,
      start,
      count: 64,
      ...(filter ? { filter } : {}),
    });
  }

  private async drawStrips(): Promise<void> {
    const { moment } = this.host.context;
    const path = this.selectedPath;
    try {
      const { strips } = await this.host.context.request('pagewalk/tables/strips', {
        set: this.set,
        moment: moment.number,
        path,
      });
      if (path === this.selectedPath) this.strips.show(strips);
    } catch (error) {
      if (!(error instanceof Superseded || error instanceof NotRecorded)) throw error;
    }
  }

  /** The rows are others: the selection goes along with its entry. */
  private refresh(): void {
    const at = this.selectedPath.length > 0 ? this.tree.indexOf(this.selectedPath) : -1;
    this.list.changed(this.tree.length);
    const isEmpty = this.tree.length === 0;
    this.none.hidden = !isEmpty;
    this.list.element.hidden = isEmpty;
    this.none.textContent = this.nothing();
    if (isEmpty) this.below.replaceChildren();
    if (at >= 0 && at !== this.list.selection) this.mark(at);
    else if (at >= 0) this.detail(this.tree.at(at)?.row);
    this.host.changed();
  }

  /** Why there is no row. */
  private nothing(): string {
    switch (this.host.filter(this.set)?.kind) {
      case 'flag':
        return 'No page matches.';
      case 'changed':
        return this.info?.since === undefined
          ? 'Nothing to compare with yet: this is the first stop at which these tables were opened.'
          : `Nothing changed since ${this.since}.`;
      case 'drifted':
        return this.set === 'guest' || this.set === 'shadow'
          ? 'No drift: the shadow agrees with the guest’s tables.'
          : 'Only shadow tables drift.';
      case undefined:
        return this.set === 'guest'
          ? 'No entry: the table is empty.'
          : 'No entries yet: they are created as the guest accesses its memory.';
    }
  }

  private row(index: number): RowView | undefined {
    const item = this.tree.at(index);
    const row = item?.row;
    if (!item || !row) return undefined;
    const from = this.info?.from ?? 'gva';
    const marks = [
      row.changed !== undefined &&
        h(
          'span',
          { class: 'mark changed', title: `${changedText(row)} since ${this.since}` },
          '●',
          h('span', { class: 'spoken' }, ` ${changedText(row)}`),
        ),
      row.changed === undefined &&
        row.changedBelow &&
        h(
          'span',
          { class: 'mark changed below-mark', title: `Changed below since ${this.since}` },
          '○',
          h('span', { class: 'spoken' }, ' changed below'),
        ),
    ].filter((mark) => mark !== false && mark !== undefined);
    return {
      level: item.parent.length + 1,
      expanded: row.rows > 0 ? this.tree.isOpen([...item.parent, row.id]) : undefined,
      position: item.index + 1,
      siblings: item.siblings,
      className: `${row.kind}${row.changed === undefined ? '' : ' is-changed'}`,
      content: [
        h('span', { class: 'label' }, h('span', { class: 'index' }, indexText(row)), ' ', nameText(row)),
        driftCell(row),
        h('code', { class: `address ${from}` }, row.from),
        h('code', { class: 'last' }, `– ${row.to}`),
        h('code', { class: 'entry' }, row.entry),
        h('span', { class: 'leads' }, targetText(row)),
        h('span', { class: 'symbol' }, row.symbol ?? ''),
        ...marks,
        rightsCell(row),
      ],
    };
  }

  private toggle(index: number, open: boolean): void {
    const path = this.tree.pathAt(index);
    if (path) this.host.context.run(() => this.tree.toggle(path, open));
  }

  /** Enter, a click: opens or closes; a page is followed. */
  private activate(index: number): void {
    const row = this.tree.at(index)?.row;
    const path = this.tree.pathAt(index);
    if (row && path && row.rows > 0) this.toggle(index, !this.tree.isOpen(path));
  }

  private select(index: number): void {
    const row = this.inFull(index);
    if (row) this.host.selected(this, row);
  }

  /** The selected row in full, and its way down the strips. */
  private inFull(index: number): TableRow | undefined {
    const row = this.tree.at(index)?.row;
    const path = this.tree.pathAt(index);
    if (!row || !path) return undefined;
    this.selectedPath = path;
    this.detail(row);
    this.host.changed();
    this.host.context.run(() => this.drawStrips());
    return row;
  }

  private detail(row: TableRow | undefined): void {
    const { info } = this;
    if (!row || !info) return this.below.replaceChildren();
    const beside = this.host.beside(this);
    this.below.replaceChildren(
      details(row, info, this.host.context, {
        follow: beside && SET_TITLES[beside.set],
        onFollow: () =>
          this.host.context.run(async () => this.host.context.announce((await beside?.find(row.target, true)) ?? '')),
      }),
    );
  }

  /** A column of a strip: the entry of the table that many levels below the root. */
  private pick(depth: number, index: number): void {
    // Runs of tables are two steps of the path: only entries count as levels.
    const way: string[] = [];
    for (let at = 0, level = 0; level < depth && at < this.selectedPath.length; at++) {
      const id = this.selectedPath[at] ?? '';
      way.push(id);
      if (!id.includes('-')) level++;
    }
    this.host.context.run(async () => {
      const parent = await this.load(way, 0);
      const holds = (row: TableRow): boolean => row.first <= index && index <= row.last;
      for (let start = 0, page = parent; start < page.total; start += 64) {
        if (start > 0) page = await this.load(way, start);
        const row = page.rows.find(holds);
        if (row) return this.show([...way, row.id], true);
      }
    });
  }
}

const changedText = ({ changed = 0, first, last }: TableRow): string =>
  first === last ? 'changed' : `${changed} of ${last - first + 1} changed`;

/** Words, not colours alone: `≠` where what the hardware walks is not what the guest wrote. */
function driftCell(row: TableRow): HTMLElement {
  const { text, isStale } = driftText(row);
  const parts = isStale ? ['≠', h('span', { class: 'words' }, text.slice(1))] : [text];
  return h('span', { class: `drift${isStale ? ' stale' : ''}`, title: text === '' ? undefined : text }, ...parts);
}

function rightsCell({ rights, kind }: TableRow): HTMLElement {
  if (kind === 'absent' || kind === 'mmio') return h('span', { class: 'rights' });
  const letters = [...rights].map((letter, i) =>
    h(
      'span',
      { class: letter === '-' ? 'no' : 'yes', 'aria-hidden': 'true' },
      letter === '-' ? '·' : ('rwxu'[i] ?? ''),
    ),
  );
  return h('span', { class: 'rights' }, ...letters, h('span', { class: 'spoken' }, ` ${rightsWords(rights)}`));
}
