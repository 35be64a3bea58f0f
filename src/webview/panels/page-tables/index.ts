/** The Page Tables panel: guest, shadow, EPT, NPT and host tables as maps, one set or two beside each other. */
import type { TableFilter, TableRow, TableSet, TableSetInfo } from '../../../protocol/panels/page-tables';
import type { PanelCommand } from '../../../protocol/panels';
import { h } from '../../dom';
import type { Panel, PanelContext } from '../../panel';
import { Pane, type PaneHost, type PaneState } from './pane';
import { SET_TITLES } from './words';
import './page-tables.css';

interface Kept {
  readonly sets: readonly [TableSet, TableSet | undefined];
  readonly panes: readonly PaneState[];
  readonly filter: string;
  /** What the last search came to. */
  readonly said: string;
}

/** What is worth looking for, and the flags of a page's entry by the manuals' names; `!`: without it. */
const FILTERS = [
  { value: '', text: 'all pages' },
  { value: 'changed', text: 'changed' },
  { value: 'drifted', text: 'drifted (≠)' },
  { value: 'RW', text: 'writable (RW)' },
  { value: '!RW', text: 'not writable' },
  { value: 'US', text: 'user (US)' },
  { value: '!US', text: 'supervisor' },
  { value: 'XD', text: 'no execute (XD)' },
  { value: '!XD', text: 'executable' },
  { value: 'A', text: 'accessed (A)' },
  { value: '!A', text: 'not accessed' },
  { value: 'D', text: 'dirty (D)' },
  { value: 'PS', text: 'large (PS)' },
  { value: 'G', text: 'global (G)' },
] as const;
/** The same in EPT entries, which name their bits otherwise and know no user and no global pages. */
const EPT_FILTERS: Readonly<Record<string, string>> = {
  ...{ RW: 'W', '!RW': '!W', XD: '!X', '!XD': 'X' },
  ...{ A: 'A', '!A': '!A', D: 'D', PS: 'PS' },
};

export const pageTablesPanel = {
  id: 'page-tables',
  empty: [
    'The page tables as maps: the guest’s own, and those that KVM and the host kernel keep for it, one beside the other. Runs of equal entries are one row.',
    'Open an assembly file, set a breakpoint and press F5.',
  ],
  create: (context: PanelContext): Panel => new PageTablesPanel(context),
} as const;

class PageTablesPanel implements Panel, PaneHost {
  readonly element: HTMLElement;
  /** The address that another place asked to be shown. */
  private wanted: string | undefined;
  private infos: readonly TableSetInfo[] = [];
  private panes: Pane[] = [];
  private sets: readonly [TableSet, TableSet | undefined];
  private states: readonly PaneState[];
  private readonly left = h('select', { 'aria-label': 'Tables' });
  private readonly right = h('select', { 'aria-label': 'Tables beside' });
  private readonly search = h('input', {
    type: 'search',
    'aria-label': 'Address or symbol',
    placeholder: 'Address or symbol',
    spellcheck: 'false',
    autocomplete: 'off',
    maxlength: 200,
  });
  private readonly filters = h(
    'select',
    { 'aria-label': 'Show', title: 'Which pages are shown' },
    ...FILTERS.map(({ value, text }) => h('option', { value }, text)),
  );
  private readonly found = h('p', { class: 'found', role: 'status' });
  private readonly body = h('div', { class: 'panes' });

  constructor(readonly context: PanelContext) {
    const kept = context.kept<Kept>();
    this.sets = kept?.sets ?? ['guest', undefined];
    this.states = kept?.panes ?? [];
    this.filters.value = kept?.filter ?? '';
    this.found.textContent = kept?.said ?? '';
    const form = h(
      'form',
      { class: 'bar', 'aria-label': 'Page tables' },
      h('div', { class: 'choice' }, this.left, h('span', { 'aria-hidden': 'true' }, '|'), this.right),
      h('div', { class: 'choice' }, this.search, this.filters),
    );
    form.addEventListener('submit', (event) => {
      event.preventDefault();
      this.searchNow();
    });
    for (const select of [this.left, this.right])
      select.addEventListener('change', () => this.choose(this.left.value, this.right.value));
    this.filters.addEventListener('change', () => {
      this.changed();
      context.run(() => this.draw());
    });
    this.element = h('div', {}, form, this.found, this.body);
  }

  async update(): Promise<void> {
    this.infos = (await this.context.request('pagewalk/tables/sets', { moment: this.context.moment.number })).sets;
    this.offer();
    await this.draw();
  }

  focus(): void {
    this.search.focus();
    this.search.select();
  }

  command(command: PanelCommand): void {
    if (command.kind !== 'reveal-entry') return;
    this.sets = [command.set, this.sets[1] === command.set ? undefined : this.sets[1]];
    this.wanted = command.address;
    // Before the first moment nothing is known: `update` comes.
    if (this.infos.length === 0) return;
    this.offer();
    this.context.run(() => this.draw());
  }

  // ---- what panes ask

  filter(set: TableSet): TableFilter | undefined {
    const chosen = this.filters.value;
    if (chosen === 'changed' || chosen === 'drifted') return { kind: chosen };
    const value = set === 'ept' ? (EPT_FILTERS[chosen] ?? '') : chosen;
    return value === '' ? undefined : { kind: 'flag', flag: value.replace('!', ''), without: value.startsWith('!') };
  }

  selected(pane: Pane, row: TableRow): void {
    for (const each of this.panes) each.element.classList.toggle('active', each === pane);
    const other = this.panes.find((each) => each !== pane);
    if (!other?.info || !pane.info) return;
    const { info } = pane;
    const address =
      other.info.from === info.from
        ? row.from
        : other.info.from === info.to && row.kind === 'page'
          ? row.target
          : undefined;
    if (address !== undefined) this.context.run(async () => this.say(await other.find(address, false)));
  }

  beside(pane: Pane): Pane | undefined {
    return this.panes.find((each) => each !== pane && each.info?.from === pane.info?.to);
  }

  changed(): void {
    this.context.keep({
      sets: this.sets,
      panes: [...this.panes.map((pane) => pane.state), ...this.states.filter(({ set }) => !this.pane(set))],
      filter: this.filters.value,
      said: this.found.textContent ?? '',
    } satisfies Kept);
  }

  // ----

  private pane(set: TableSet): Pane | undefined {
    return this.panes.find((each) => each.set === set);
  }

  private say(text: string | undefined): void {
    this.found.textContent = text ?? '';
    this.changed();
  }

  private searchNow(): void {
    const text = this.search.value.trim();
    if (text === '') return;
    this.context.run(async () => {
      const said: string[] = [];
      // Each set looks for it in its own space: the guest's tables by a GVA, EPT by where that leads.
      for (const [i, pane] of this.panes.entries())
        if (i === 0 || pane.info?.from === this.panes[0]?.info?.from) said.push(await pane.find(text, false));
      this.say(said.join('; '));
    });
  }

  /** The sets of this moment, in the two boxes. */
  private offer(): void {
    const options = this.infos.map(({ set }) => h('option', { value: set }, SET_TITLES[set]));
    this.left.replaceChildren(...options);
    this.right.replaceChildren(
      h('option', { value: '' }, 'nothing beside'),
      ...this.infos.map(({ set }) => h('option', { value: set }, SET_TITLES[set])),
    );
    const has = (set: TableSet | undefined): set is TableSet => this.infos.some((info) => info.set === set);
    const [left, right] = this.sets;
    this.left.value = has(left) ? left : (this.infos[0]?.set ?? '');
    this.right.value = has(right) && right !== this.left.value ? right : '';
    this.left.hidden = this.infos.length === 0;
  }

  private choose(left: string, right: string): void {
    const of = (value: string): TableSet | undefined => this.infos.find(({ set }) => set === value)?.set;
    const first = of(left) ?? 'guest';
    this.sets = [first, of(right) === first ? undefined : of(right)];
    this.offer();
    this.changed();
    this.context.run(() => this.draw());
  }

  /** The panes of the chosen sets, with the present moment in them. */
  private async draw(): Promise<void> {
    const wanted = [this.left.value, this.right.value].flatMap((value) =>
      this.infos.filter(({ set }) => set === value),
    );
    const before = this.panes;
    this.states = [...before.map((pane) => pane.state), ...this.states.filter(({ set }) => !this.pane(set))];
    this.panes = wanted.map(
      ({ set }) =>
        before.find((pane) => pane.set === set) ??
        new Pane(
          this,
          set,
          this.states.find((each) => each.set === set),
        ),
    );
    const elements = this.panes.map(({ element }) => element);
    if (elements.length !== this.body.children.length || elements.some((each, i) => this.body.children[i] !== each))
      this.body.replaceChildren(...elements);
    this.body.classList.toggle('two', this.panes.length > 1);
    if (!this.panes.some(({ element }) => element.classList.contains('active')))
      this.panes[0]?.element.classList.add('active');
    await Promise.all(this.panes.flatMap((pane, i) => (wanted[i] ? [pane.update(wanted[i])] : [])));
    const { wanted: address } = this;
    this.wanted = undefined;
    if (address !== undefined) this.say(await this.panes[0]?.find(address, true));
  }
}
