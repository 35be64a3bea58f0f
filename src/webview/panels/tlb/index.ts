/**
 * The TLB as sets and ways, each entry with its tags, size and age and, if the tables no longer match, the missing
 * invalidation; below it the paging-structure caches.
 */
import type { TlbEntry, TlbReply, WalkCacheEntry } from '../../../protocol/tlb';
import { h } from '../../dom';
import { VirtualList, type RowView } from '../../list';
import type { Panel, PanelContext } from '../../panel';
import { details, staleBox } from './details';
import { TlbMap } from './map';
import {
  FILTERS,
  ageText,
  cellState,
  isFilter,
  keyOf,
  placeOf,
  rightsText,
  sizesText,
  summaryText,
  tagsText,
  type Filter,
} from './model';
import type { Compared } from '../../since';
import './tlb.css';

/** What survives a reload: what a person chose. */
interface Kept {
  readonly filter: Filter;
  readonly place?: string;
}

const NOTHING: TlbReply = { sets: 0, ways: 0, hits: 0, misses: 0, entries: [], total: 0, staleCount: 0 };
const CACHE_NAMES: Readonly<Record<number, string>> = { 2: 'PDE', 3: 'PDPTE', 4: 'PML4E', 5: 'PML5E' };
/** Limit on the dropped entries listed by address. */
const MOST_DROPPED = 3;

export const tlbPanel = {
  id: 'tlb',
  empty: [
    'What the TLB holds, by set and way, and which entries no longer match the page tables.',
    'Open an assembly file, set a breakpoint and press F5.',
  ],
  create: (context: PanelContext): Panel => new TlbPanel(context),
} as const;

class TlbPanel implements Panel {
  readonly element: HTMLElement;
  private reply = NOTHING;
  private shown: readonly TlbEntry[] = [];
  private kept: Kept;
  /** The entries of the stop before, by key. */
  private compared: Compared<readonly string[]> = { before: undefined, since: '' };
  private known: ReadonlySet<string> = new Set();
  private readonly summary = h('p', { class: 'summary' });
  private readonly news = h('p', { class: 'news' });
  private readonly filter = h(
    'select',
    { 'aria-label': 'Entries shown' },
    ...Object.entries(FILTERS).map(([value, text]) => h('option', { value }, text)),
  );
  private readonly none = h('p', { class: 'none' });
  private readonly detail = h('div');
  private readonly caches = h('section', { class: 'caches', 'aria-label': 'Paging-structure caches' });
  private readonly map = new TlbMap((place) => this.pick(place));
  private readonly list = new VirtualList({
    role: 'listbox',
    label: 'TLB entries',
    rowHeight: 38,
    render: (index) => this.row(index),
    select: (index) => {
      const entry = this.shown[index];
      if (entry) this.keep({ place: placeOf(entry) });
      this.selected(entry);
    },
  });

  constructor(private readonly context: PanelContext) {
    this.kept = context.kept<Kept>() ?? { filter: 'all' };
    this.filter.value = this.kept.filter;
    this.filter.addEventListener('change', () => {
      if (!isFilter(this.filter.value)) return;
      this.keep({ filter: this.filter.value });
      this.refill();
    });
    this.element = h(
      'section',
      { 'aria-label': 'TLB' },
      this.summary,
      this.news,
      h(
        'div',
        { class: 'sides' },
        this.map.element,
        h('div', { class: 'entries' }, this.filter, this.none, this.list.element, this.detail),
      ),
      this.caches,
    );
  }

  async update(): Promise<void> {
    this.reply = await this.context.request('pagewalk/tlb', {});
    const { reply } = this;
    this.compared = this.context.compare(reply.entries.map(keyOf));
    this.known = new Set(this.compared.before);
    this.summary.replaceChildren(
      summaryText(reply),
      reply.staleCount > 0 ? h('span', { class: 'stale-count' }, ` · ${reply.staleCount} stale`) : '',
    );
    this.element.classList.toggle('off', reply.ways === 0);
    this.news.textContent = this.newsText();
    this.map.draw(reply, (entry) => this.isNew(entry));
    this.refill();
    this.drawCaches(reply.walkCaches);
    this.context.announce(`${reply.total} entries, ${reply.staleCount} stale`);
  }

  focus(): void {
    this.list.focus();
  }

  // ---- what changed

  private isNew(entry: TlbEntry): boolean {
    return this.compared.before !== undefined && !this.known.has(keyOf(entry));
  }
  private newsText(): string {
    const { before, since } = this.compared;
    if (!before) return '';
    const added = this.reply.entries.filter((e) => this.isNew(e)).length;
    const present = new Set(this.reply.entries.map(keyOf));
    const dropped = before.filter((key) => !present.has(key)).map((key) => key.split(' ')[1] ?? '');
    if (added === 0 && dropped.length === 0) return `Nothing filled or dropped since ${since}.`;
    const some = dropped.slice(0, MOST_DROPPED).join(', ');
    const more = dropped.length > MOST_DROPPED ? ` and ${dropped.length - MOST_DROPPED} more` : '';
    return `Since ${since}: ${added} filled, ${dropped.length} dropped${dropped.length > 0 ? ` (${some}${more})` : ''}.`;
  }

  // ---- the list

  private refill(): void {
    const { filter, place } = this.kept;
    this.shown = this.reply.entries.filter((e) => {
      switch (filter) {
        case 'all':
          return true;
        case 'current':
          return e.current;
        case 'stale':
          return e.stale !== undefined;
        case 'changed':
          return this.isNew(e);
      }
    });
    this.none.textContent = this.shown.length > 0 || this.reply.ways === 0 ? '' : 'No such entry.';
    this.list.element.hidden = this.shown.length === 0;
    this.list.element.style.height = `${Math.min(this.shown.length, 10) * 38}px`;
    this.list.changed(this.shown.length);
    if (this.shown.length === 0) return this.selected(undefined);
    const chosen = this.shown.findIndex((e) => placeOf(e) === place);
    // where a person chose nothing, what most wants to be looked at
    const wanted = chosen >= 0 ? chosen : this.shown.findIndex((e) => e.stale);
    this.list.select(Math.max(0, wanted), { tell: false });
    this.selected(this.shown[this.list.selection]);
  }

  private row(index: number): RowView | undefined {
    const e = this.shown[index];
    if (!e) return undefined;
    return {
      className: `${cellState(e)}${this.isNew(e) ? ' new' : ''}`,
      content: [
        h('span', { class: `cell ${cellState(e)}`, 'aria-hidden': true }),
        h(
          'span',
          { class: 'lines' },
          h(
            'span',
            { class: 'first' },
            h('code', { class: 'gva' }, e.linear),
            ' → ',
            h('code', { class: 'hpa' }, e.hpa),
          ),
          ' ',
          h(
            'span',
            { class: 'second' },
            e.stale ? h('b', { class: 'stale-word' }, 'stale · ') : '',
            `${rightsText(e)} · ${sizesText(e)} · ${ageText(e.age)} · ${tagsText(e)}`,
          ),
        ),
      ],
    };
  }

  private pick(place: string): void {
    const find = (): number => this.shown.findIndex((e) => placeOf(e) === place);
    if (find() < 0 && this.reply.entries.some((e) => placeOf(e) === place)) {
      this.filter.value = 'all';
      this.keep({ filter: 'all', place });
      this.refill();
    } else if (find() >= 0) this.list.select(find());
  }

  private selected(entry: TlbEntry | undefined): void {
    this.map.select(entry && placeOf(entry));
    this.detail.replaceChildren(...(entry ? [details(entry, this.context)] : []));
  }

  // ---- the paging-structure caches

  private drawCaches(caches: readonly WalkCacheEntry[] | undefined): void {
    if (this.reply.ways === 0 && !caches) return this.caches.replaceChildren();
    const head = h('h2', {}, 'Paging-structure caches');
    if (!caches || caches.length === 0) {
      const why = caches
        ? 'They are empty.'
        : 'Off, so that a cold walk counts every load; walk-caches=on turns them on.';
      return this.caches.replaceChildren(head, h('p', { class: 'none' }, why));
    }
    this.caches.replaceChildren(
      head,
      h(
        'ul',
        {},
        ...caches.map((c) =>
          h(
            'li',
            { class: c.stale ? 'stale' : c.current ? 'current' : 'other' },
            h('span', { class: 'level' }, CACHE_NAMES[c.level] ?? `level ${c.level}`),
            ' ',
            h('code', { class: 'gva' }, c.linear),
            ' → table ',
            h('code', { class: 'hpa' }, c.tableHpa),
            h(
              'span',
              { class: 'second' },
              ` ${c.writable ? 'RW' : 'R'}${c.executeDisable ? '' : 'X'} ${c.user ? 'U' : 'S'} · ${tagsText(c)}`,
            ),
            c.stale && staleBox(c.stale),
          ),
        ),
      ),
    );
  }

  private keep(change: Partial<Kept>): void {
    this.kept = { ...this.kept, ...change };
    this.context.keep(this.kept);
  }
}
