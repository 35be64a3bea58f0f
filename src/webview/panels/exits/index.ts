/** VM exits: the run's time by who acts, counts by reason and by instruction, and any one exit Step by Step. */
import type { ExitDetail, ExitPlace, ExitRow, ExitSummary } from '../../../protocol/panels/exits';
import { h } from '../../dom';
import { VirtualList, type RowView } from '../../list';
import { NotRecorded, Superseded, type Panel, type PanelContext } from '../../panel';
import { facts, graphText, sequence, type DetailActions } from './detail';
import { Histogram, type Bar } from './histogram';
import { cyclesText, type Range } from './scale';
import { Tiles } from './tiles';
import { rangeText, Timeline } from './timeline';
import './exits.css';

/** Rows of one page of the list. */
const PAGE = 64;
const PLACES = 12;
/** The list is as high as what it holds, up to so many rows. */
const LIST_ROWS = 12;
const ROW_HEIGHT = 22;

interface Filter {
  readonly reason?: string;
  readonly address?: string;
}

/** What this panel keeps over a reload. */
interface Kept {
  /** Absent: the whole run. */
  readonly range?: Range;
  /** Absent: the latest exit. */
  readonly selected?: number;
  readonly filter?: Filter;
  readonly asText?: boolean;
}

export const exitsPanel = {
  id: 'exits',
  empty: [
    "Where the run's time goes: guest, CPU, KVM, host kernel and VMM on a timeline, from the whole run down to the Steps of one VM exit.",
    'Open an assembly file, set a breakpoint and press F5.',
  ],
  create: (context: PanelContext): Panel => new ExitsPanel(context),
} as const;

class ExitsPanel implements Panel {
  readonly element: HTMLElement;
  private kept: Kept;
  private summary: ExitSummary | undefined;
  private detail: ExitDetail | undefined;
  private rows = new Map<number, ExitRow>();
  private pagesAsked = new Set<number>();
  private total = 0;
  /** Counts what is shown in full: a replay for something else stops. */
  private turn = 0;

  private readonly head = h('p', { class: 'total' });
  private readonly note = h('p', { class: 'note' });
  private readonly inSight = h('span', { class: 'in-sight' });
  private readonly filterLine = h('p', { class: 'filter' });
  private readonly selectedBox = h('section', { class: 'selected', 'aria-label': 'Selected exit' });
  private readonly timeline: Timeline;
  private readonly tiles: Tiles;
  private readonly reasons = new Histogram('By reason', (reason) =>
    this.filter(reason === undefined ? {} : { reason }),
  );
  private readonly placesNote = h('p', { class: 'note' });
  private readonly places = new Histogram(
    'By instruction',
    (address) => this.filter(address === undefined ? {} : { address }),
    this.placesNote,
  );
  private readonly list = new VirtualList({
    role: 'listbox',
    label: 'VM exits',
    render: (index) => this.row(index),
    visible: (first, last) => this.fetchRows(first, last),
    activate: (index) => {
      const row = this.rows.get(index);
      if (row) this.select(row.number);
    },
  });
  private readonly actions: DetailActions = {
    source: (path, line) => this.context.act({ kind: 'open-source', path, line }),
    translate: (expression, space) =>
      this.context.act({
        kind: 'open-panel',
        panel: 'translation',
        command: { kind: 'translate', expression, space, access: 'r' },
      }),
    copy: (text) => this.context.act({ kind: 'copy', text }),
    filter: (address) => this.filter({ address }),
  };

  constructor(private readonly context: PanelContext) {
    this.kept = context.kept<Kept>() ?? {};
    this.tiles = new Tiles(
      (level, index) =>
        context.request('pagewalk/exits/tile', { level, index }).catch((error: unknown) => {
          if (!(error instanceof Superseded || error instanceof NotRecorded)) throw error;
          return undefined;
        }),
      () => this.timeline.redraw(),
    );
    this.timeline = new Timeline({
      tile: (level, index) => this.tiles.get(level, index),
      choose: (cycle) => this.chooseAt(cycle),
      next: (by) => this.next(by),
      moved: (range) => {
        this.keep({ range });
        this.describeRange();
      },
    });
    this.element = h(
      'section',
      { 'aria-label': 'VM Exits' },
      this.head,
      this.toolbar(),
      this.timeline.element,
      this.note,
      h(
        'div',
        { class: 'columns' },
        h(
          'div',
          { class: 'counts' },
          this.reasons.element,
          this.places.element,
          h(
            'section',
            { class: 'all', 'aria-label': 'Exits' },
            h('h2', {}, 'Exits'),
            this.filterLine,
            this.list.element,
          ),
        ),
        this.selectedBox,
      ),
    );
  }

  focus(): void {
    this.list.focus();
  }

  async update(): Promise<void> {
    const { context } = this;
    const summary = await context.request('pagewalk/exits', {});
    this.summary = summary;
    this.tiles.clear();
    this.timeline.show(summary.cycles, this.kept.range);
    this.describeRange();
    this.head.replaceChildren(
      h('strong', {}, summary.count.toLocaleString('en')),
      ` VM ${summary.count === 1 ? 'exit' : 'exits'} · `,
      h('strong', {}, summary.instructions.toLocaleString('en')),
      ' guest instructions · ',
      h(
        'strong',
        { title: `${summary.cycles.toLocaleString('en')} cycles of the cost model` },
        cyclesText(summary.cycles),
      ),
      ' cycles',
    );
    this.note.replaceChildren(...recorded(summary));
    await Promise.all([this.counts(), this.refilter()]);
    if (summary.count > 0) await this.load(Math.min(this.kept.selected ?? summary.count, summary.count));
    else this.selectedBox.replaceChildren(h('p', { class: 'note' }, 'No VM exits yet.'));
    context.announce(`${summary.count} VM exits in ${cyclesText(summary.cycles)} cycles`);
  }

  // ---- the controls

  private toolbar(): HTMLElement {
    const button = (text: string, label: string, act: () => void): HTMLElement => {
      const made = h('button', { type: 'button', class: 'tool', title: label, 'aria-label': label }, text);
      made.addEventListener('click', act);
      return made;
    };
    const { timeline } = this;
    return h(
      'div',
      { class: 'tools', role: 'group', 'aria-label': 'Timeline' },
      button('−', 'Zoom out', () => timeline.zoomBy(2)),
      button('+', 'Zoom in', () => timeline.zoomBy(0.5)),
      button('Whole run', 'Show the whole run', () => timeline.fit()),
      button('Selected exit', 'Zoom to the selected exit', () => {
        const at = this.selectedRange;
        if (at) timeline.approach(at);
      }),
      button('‹', 'Previous exit', () => this.next(-1)),
      button('›', 'Next exit', () => this.next(1)),
      this.inSight,
      h(
        'span',
        { class: 'export' },
        'Save ',
        button('trace', 'Save the exits as a trace for Perfetto and chrome://tracing', () => this.save('chrome')),
        button('CSV', 'Save the exits as CSV', () => this.save('csv')),
        button('SVG', 'Save the picture of the timeline as SVG', () =>
          this.context.act({ kind: 'save', name: 'exits.svg', text: timeline.svg('VM exits') }),
        ),
      ),
    );
  }

  private save(format: 'chrome' | 'csv'): void {
    this.context.run(async () => {
      const { first = 1, count = 0 } = this.summary ?? {};
      const reply = await this.context.request('pagewalk/exits/export', { format, first, last: count });
      this.context.act({ kind: 'save', name: format === 'csv' ? 'exits.csv' : 'exits.trace.json', text: reply.text });
      this.context.announce(`${reply.exits} exits`);
    });
  }

  private keep(change: Partial<{ [K in keyof Kept]: Kept[K] | undefined }>): void {
    const next = { ...this.kept, ...change };
    this.kept = Object.fromEntries(Object.entries(next).filter(([, value]) => value !== undefined));
    this.context.keep(this.kept);
  }

  private describeRange(): void {
    this.inSight.textContent = this.kept.range ? rangeText(this.timeline.range) : '';
  }

  // ---- counts and the list

  private async counts(): Promise<void> {
    const { summary, context } = this;
    if (!summary) return;
    const { reason, address } = this.filterOf;
    const bars = summary.reasons.map(({ name, count, cycles }): Bar => ({ key: name, name, count, cycles }));
    this.reasons.show(
      bars.sort((a, b) => b.count - a.count),
      summary.count,
      reason,
    );
    const { rows, total } = await context.request('pagewalk/exits/places', {
      start: 0,
      count: PLACES,
      ...(reason === undefined ? {} : { reason }),
    });
    this.places.show(rows.map(placeBar), summary.count, address);
    const more = total - rows.length;
    this.placesNote.textContent = more > 0 ? `… and ${more.toLocaleString('en')} more instructions.` : '';
  }

  private get filterOf(): Filter {
    return this.kept.filter ?? {};
  }

  private filter(filter: Filter): void {
    this.keep({ filter: filter.reason === undefined && filter.address === undefined ? undefined : filter });
    this.context.run(async () => {
      await Promise.all([this.counts(), this.refilter()]);
      // what is shown in full is one of those in the list: the last of them where it was another
      const [last] = [...this.rows.values()].some(({ number }) => number === this.detail?.row.number)
        ? []
        : await this.lastRow();
      if (last) await this.load(last.number);
      else this.mark();
    });
  }

  private async refilter(): Promise<void> {
    const { reason, address } = this.filterOf;
    this.filterLine.replaceChildren();
    if (reason !== undefined || address !== undefined) {
      const all = h('button', { type: 'button', class: 'link' }, 'Show all');
      all.addEventListener('click', () => this.filter({}));
      this.filterLine.append('Only ', h('code', {}, reason ?? address ?? ''), '. ', all);
    }
    this.rows.clear();
    this.pagesAsked.clear();
    await this.page(0);
    this.list.element.style.height = `${Math.min(Math.max(this.total, 1), LIST_ROWS) * ROW_HEIGHT}px`;
    this.list.changed(this.total);
  }

  private async lastRow(): Promise<readonly ExitRow[]> {
    const { rows } = await this.context.request('pagewalk/exits/list', {
      start: Math.max(0, this.total - 1),
      count: 1,
      ...this.filterOf,
    });
    return rows;
  }

  private async page(page: number): Promise<void> {
    if (this.pagesAsked.has(page)) return;
    this.pagesAsked.add(page);
    const start = page * PAGE;
    const { rows, total } = await this.context.request('pagewalk/exits/list', { start, count: PAGE, ...this.filterOf });
    this.total = total;
    rows.forEach((row, i) => this.rows.set(start + i, row));
  }

  private fetchRows(first: number, last: number): void {
    const missing: number[] = [];
    for (let page = Math.floor(first / PAGE); page <= Math.floor(last / PAGE); page++)
      if (!this.pagesAsked.has(page)) missing.push(page);
    if (missing.length === 0) return;
    this.context.run(async () => {
      await Promise.all(missing.map((page) => this.page(page)));
      this.list.changed(this.total);
    });
  }

  private row(index: number): RowView | undefined {
    const row = this.rows.get(index);
    if (!row) return undefined;
    const isShown = row.number === this.detail?.row.number;
    return {
      className: isShown ? 'shown' : '',
      content: [
        h('span', { class: 'number' }, row.number.toLocaleString('en')),
        titleCell(row),
        h('span', { class: 'place' }, row.symbol ?? row.address),
        h('span', { class: 'cost' }, row.cost.toLocaleString('en'), h('span', { class: 'spoken' }, ' cycles')),
      ],
    };
  }

  // ---- the selected exit

  private get selectedRange(): Range | undefined {
    const row = this.detail?.row;
    return row && { from: row.start, to: row.start + row.cost };
  }

  private chooseAt(cycle: number): void {
    this.context.run(async () => {
      const detail = await this.context.request('pagewalk/exits/exit', { cycle: Math.floor(cycle) });
      if (detail) this.show(detail, true);
    });
  }

  private next(by: number): void {
    const { summary, detail } = this;
    if (!summary) return;
    const number = Math.min(summary.count, Math.max(summary.first, (detail?.row.number ?? 0) + by));
    this.select(number);
  }

  private select(number: number): void {
    this.context.run(async () => {
      const detail = await this.context.request('pagewalk/exits/exit', { number });
      if (detail) this.show(detail, true);
    });
  }

  private async load(number: number): Promise<void> {
    const detail = await this.context.request('pagewalk/exits/exit', { number });
    if (detail) this.show(detail, false);
  }

  private show(detail: ExitDetail, byHand: boolean): void {
    this.detail = detail;
    const { row } = detail;
    if (byHand) this.keep({ selected: row.number });
    this.draw(detail);
    this.mark();
    if (!byHand) return;
    this.timeline.reveal({ from: row.start, to: row.start + row.cost });
    if (row.source) this.context.act({ kind: 'open-source', ...row.source, keepFocus: true });
    this.context.announce(`Exit ${row.number}, ${row.title}, ${row.cost} cycles`);
  }

  private mark(): void {
    this.timeline.mark(this.filterOf.reason, this.selectedRange);
    const { number = 0 } = this.detail?.row ?? {};
    const { reason, address } = this.filterOf;
    const isAll = reason === undefined && address === undefined;
    const at = isAll
      ? number - (this.summary?.first ?? 1)
      : [...this.rows].find(([, row]) => row.number === number)?.[0];
    this.list.changed(this.total);
    if (at !== undefined) this.list.select(at);
  }

  private draw(detail: ExitDetail): void {
    this.turn++;
    const { row, steps, full, open } = detail;
    const asText = this.kept.asText === true;
    const toggle = (text: string, on: boolean, value: boolean): HTMLElement => {
      const button = h('button', { type: 'button', class: 'tool', 'aria-pressed': String(on) }, text);
      button.addEventListener('click', () => {
        this.keep({ asText: value ? true : undefined });
        this.draw(detail);
        this.selectedBox.querySelector<HTMLElement>('[aria-pressed="true"]')?.focus();
      });
      return button;
    };
    const copy = h('button', { type: 'button', class: 'tool' }, 'Copy');
    copy.addEventListener('click', () => this.actions.copy(graphText(detail)));
    this.selectedBox.replaceChildren(
      h('h2', {}, `Exit ${row.number.toLocaleString('en')}: ${row.title}`),
      facts(detail, this.actions),
      h(
        'div',
        { class: 'tools' },
        toggle('Sequence', !asText, false),
        toggle('Call graph', asText, true),
        steps ? copy : '',
      ),
      ...(open ? [h('p', { class: 'note' }, 'This exit is being handled; these Steps are done.')] : []),
      ...(full || open ? [] : [this.replayOffer(detail)]),
      ...(steps ? [asText ? h('pre', { class: 'graph', tabindex: 0 }, graphText(detail)) : sequence(detail)] : []),
    );
  }

  /** An exit too old for its Steps to be kept in full: the run can be replayed up to it. */
  private replayOffer({ row, steps }: ExitDetail): HTMLElement {
    const kept = steps
      ? 'For an exit this far back, only functions and cycles are kept.'
      : 'Its Steps are no longer kept.';
    const said = h('span', { role: 'status' }, kept);
    const button = h('button', { type: 'button', class: 'tool' }, 'Replay');
    button.title = 'Runs the guest again from its start to this exit, on a machine of its own';
    let running = false;
    const stop = (text: string): void => {
      running = false;
      said.textContent = text;
      button.textContent = 'Replay';
    };
    const replay = async (): Promise<void> => {
      const turn = this.turn;
      while (running && turn === this.turn) {
        const { at, detail, differs } = await this.context.request('pagewalk/exits/replay', { number: row.number });
        // another exit is shown by now
        if (turn !== this.turn || !running) return;
        if (detail) {
          this.draw(detail);
          this.selectedBox.querySelector<HTMLElement>('[aria-pressed="true"]')?.focus();
          return this.context.announce('Steps in full');
        }
        if (differs) return stop('The run came to another exit: registers, memory or the host were changed by hand.');
        said.textContent = `Exit ${at.toLocaleString('en')} of ${row.number.toLocaleString('en')} …`;
      }
    };
    button.addEventListener('click', () => {
      if (running) return stop(kept);
      running = true;
      button.textContent = 'Cancel';
      this.context.run(() =>
        replay().catch((error: unknown) => {
          stop(kept);
          throw error;
        }),
      );
    });
    return h('p', { class: 'note replay' }, said, ' ', button);
  }
}

/** The resolution of the record, shown if it is not complete. */
function recorded({ count, first, binWidth, uncounted }: ExitSummary): (Node | string)[] {
  const notes: string[] = [];
  if (first > 1)
    notes.push(
      `Exits 1 to ${(first - 1).toLocaleString('en')} are kept as counts only, in bins of ${cyclesText(binWidth)} cycles; exits ${first.toLocaleString('en')} to ${count.toLocaleString('en')} one by one.`,
    );
  if (uncounted > 0)
    notes.push(`${uncounted.toLocaleString('en')} exits occurred at instructions that are not counted separately.`);
  return notes.length > 0 ? [notes.join(' ')] : [];
}

function titleCell({ title }: ExitRow): HTMLElement {
  const at = title.indexOf(', ');
  const reason = at < 0 ? title : title.slice(0, at + 1);
  return h(
    'span',
    { class: 'title', title },
    h('span', { class: 'reason' }, reason),
    at >= 0 && h('span', { class: 'about' }, title.slice(at + 1)),
  );
}

const placeBar = ({ address, symbol, source, count, cycles }: ExitPlace): Bar => ({
  key: address,
  name: h('code', {}, symbol ?? address),
  ...(source ? { place: `${source.path.replace(/^.*[\\/]/, '')}:${source.line}` } : {}),
  count,
  cycles,
});
