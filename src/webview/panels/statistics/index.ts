/**
 * KVM's counters, and what each gained since the stop before. Also the panel to copy for a new one: it asks for its data in
 * `update`, draws it as a list, keeps what it needs over a reload, and leaves everything else to the frame.
 */
import type { Statistic } from '../../../protocol/panels/statistics';
import { h } from '../../dom';
import { VirtualList, type RowView } from '../../list';
import type { Panel, PanelContext } from '../../panel';
import './statistics.css';

/** What this panel keeps over a reload. */
interface Kept {
  /** The values of the stop that is shown, and of the one before. */
  readonly now: Readonly<Record<string, number>>;
  readonly before: Readonly<Record<string, number>>;
  readonly moment: number;
}

export const statisticsPanel = {
  id: 'statistics',
  empty: [
    "What KVM's counters say: exits by kind, page faults, flushes; and what changed since the last stop.",
    'Open an assembly file, set a breakpoint and press F5.',
  ],
  create: (context: PanelContext): Panel => new StatisticsPanel(context),
} as const;

class StatisticsPanel implements Panel {
  readonly element: HTMLElement;
  private statistics: readonly Statistic[] = [];
  private before: Readonly<Record<string, number>> = {};
  private readonly list = new VirtualList({
    role: 'listbox',
    label: 'KVM statistics',
    render: (index) => this.row(index),
  });

  constructor(private readonly context: PanelContext) {
    this.element = h('section', { 'aria-label': 'KVM Statistics' }, this.list.element);
  }

  async update(): Promise<void> {
    const { statistics } = await this.context.request('pagewalk/statistics', {});
    this.remember(statistics);
    this.statistics = statistics;
    this.list.changed(statistics.length);
    const changed = statistics.filter((each) => this.gain(each) !== 0);
    this.context.announce(`${changed.length} counters changed`);
  }

  private remember(statistics: readonly Statistic[]): void {
    const kept = this.context.kept<Kept>();
    const { number } = this.context.moment;
    // The same moment again (a reload): what was before stays.
    if (kept?.moment === number || this.context.moment.standing !== 'stopped') this.before = kept?.before ?? {};
    else {
      this.before = kept?.now ?? {};
      const now = Object.fromEntries(statistics.map(({ name, value }) => [name, value]));
      this.context.keep({ now, before: this.before, moment: number } satisfies Kept);
    }
  }

  private gain({ name, value }: Statistic): number {
    return value - (this.before[name] ?? value);
  }

  private row(index: number): RowView | undefined {
    const each = this.statistics[index];
    if (!each) return undefined;
    const gain = this.gain(each);
    const gained = gain === 0 ? '' : gain > 0 ? `+${gain.toLocaleString('en')}` : gain.toLocaleString('en');
    return {
      className: gain === 0 ? (each.value === 0 ? 'zero' : '') : 'changed',
      content: [
        h('span', { class: 'name' }, each.name),
        h('span', { class: 'gain' }, gained, gained !== '' && h('span', { class: 'spoken' }, ' since the last stop')),
        h('span', { class: 'value' }, each.value.toLocaleString('en')),
      ],
    };
  }
}
