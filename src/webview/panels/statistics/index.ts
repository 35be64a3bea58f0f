/**
 * KVM's counters, and what each gained since the stop before. Also the panel to copy for a new one: it asks for its data in
 * `update`, draws it as a list, keeps what a person chose, and leaves everything else to the frame.
 */
import type { Statistic } from '../../../protocol/panels/statistics';
import { h } from '../../dom';
import { VirtualList, type RowView } from '../../list';
import type { Panel, PanelContext } from '../../panel';
import type { Compared } from '../../since';
import './statistics.css';

type Values = Readonly<Record<string, number>>;

export const statisticsPanel = {
  id: 'statistics',
  empty: [
    "KVM's counters: exits by kind, page faults and flushes, and what changed since the last stop.",
    'Open an assembly file, set a breakpoint and press F5.',
  ],
  create: (context: PanelContext): Panel => new StatisticsPanel(context),
} as const;

const FILTERS = { all: 'All counters', some: 'Not zero', changed: 'Changed' } as const;
type Filter = keyof typeof FILTERS;

class StatisticsPanel implements Panel {
  readonly element: HTMLElement;
  private statistics: readonly Statistic[] = [];
  private shown: readonly Statistic[] = [];
  private compared: Compared<Values> = { before: undefined, since: '' };
  private readonly filter = h(
    'select',
    { 'aria-label': 'Counters shown' },
    ...Object.entries(FILTERS).map(([value, text]) => h('option', { value }, text)),
  );
  private readonly news = h('span', { class: 'news' });
  private readonly list = new VirtualList({
    role: 'listbox',
    label: 'KVM statistics',
    render: (index) => this.row(index),
  });

  constructor(private readonly context: PanelContext) {
    this.filter.value = context.kept<Filter>() ?? 'all';
    this.filter.addEventListener('change', () => {
      context.keep(this.filter.value);
      this.refill();
    });
    this.element = h(
      'section',
      { 'aria-label': 'KVM Statistics' },
      h('div', { class: 'filters' }, this.filter, this.news),
      this.list.element,
    );
  }

  async update(): Promise<void> {
    const { statistics } = await this.context.request('pagewalk/statistics', {});
    this.compared = this.context.compare<Values>(Object.fromEntries(statistics.map((s) => [s.name, s.value])));
    this.statistics = statistics;
    const changed = statistics.filter((each) => this.gain(each) !== 0);
    const { before, since } = this.compared;
    this.news.textContent = before ? `${changed.length} changed since ${since}` : '';
    this.refill();
    this.context.announce(`${changed.length} counters changed`);
  }

  private refill(): void {
    const { value } = this.filter;
    this.shown = this.statistics.filter(
      (each) => value === 'all' || (value === 'some' ? each.value !== 0 : this.gain(each) !== 0),
    );
    this.list.changed(this.shown.length);
  }

  private gain({ name, value }: Statistic): number {
    return value - (this.compared.before?.[name] ?? value);
  }

  private row(index: number): RowView | undefined {
    const each = this.shown[index];
    if (!each) return undefined;
    const gain = this.gain(each);
    const gained = gain === 0 ? '' : gain > 0 ? `+${gain.toLocaleString('en')}` : gain.toLocaleString('en');
    return {
      className: gain === 0 ? (each.value === 0 ? 'zero' : '') : 'changed',
      content: [
        h('span', { class: 'name' }, each.name),
        h(
          'span',
          { class: 'gain' },
          gained,
          gained !== '' && h('span', { class: 'spoken' }, ` since ${this.compared.since}`),
        ),
        h('span', { class: 'value' }, each.value.toLocaleString('en')),
      ],
    };
  }
}
