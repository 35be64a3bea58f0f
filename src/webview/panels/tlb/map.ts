/** The TLB as its sets and ways: a column of squares per set, filled where there is an entry. The list beside it says the same in words. */
import type { TlbEntry, TlbReply } from '../../../protocol/tlb';
import { h } from '../../dom';
import { cellState, placeOf, type CellState } from './model';

const LEGEND: Readonly<Record<Exclude<CellState, 'vacant'>, string>> = {
  current: 'found now',
  other: 'other context',
  stale: 'stale',
};

export class TlbMap {
  readonly element = h('figure', { class: 'map' });
  private readonly cells = new Map<string, HTMLElement>();
  private shape = '';

  /** `pick` receives the entry that was clicked. */
  constructor(private readonly pick: (place: string) => void) {
    this.element.addEventListener('click', ({ target }) => {
      const place = target instanceof HTMLElement ? target.dataset['place'] : undefined;
      if (place !== undefined) this.pick(place);
    });
  }

  draw(reply: TlbReply, changed: (entry: TlbEntry) => boolean): void {
    this.lay(reply);
    const entries = new Map(reply.entries.map((e) => [placeOf(e), e]));
    for (const [place, cell] of this.cells) {
      const entry = entries.get(place);
      const state = cellState(entry);
      cell.className = `cell ${state}${entry && changed(entry) ? ' new' : ''}`;
      cell.title = entry ? `set ${entry.set}, way ${entry.way}: ${entry.linear}` : '';
    }
  }

  select(place: string | undefined): void {
    for (const [key, cell] of this.cells) cell.classList.toggle('selected', key === place);
  }

  /** The squares, once for a shape. */
  private lay({ sets, ways }: TlbReply): void {
    const shape = `${sets}x${ways}`;
    if (shape === this.shape) return;
    this.shape = shape;
    this.cells.clear();
    const columns = Array.from({ length: sets }, (_, set) =>
      h(
        'span',
        { class: 'set' },
        ...Array.from({ length: ways }, (_, way) => {
          const place = placeOf({ set, way });
          const cell = h('span', { class: 'cell vacant', 'data-place': place });
          this.cells.set(place, cell);
          return cell;
        }),
      ),
    );
    const legend = Object.entries(LEGEND).map(([state, text]) =>
      h('span', { class: 'key' }, h('span', { class: `cell ${state}` }), text),
    );
    this.element.classList.toggle('small', sets > 64);
    this.element.replaceChildren(
      h(
        'div',
        { class: 'sets', role: 'img', 'aria-label': `${sets} sets of ${ways} ways, one square each` },
        ...columns,
      ),
      h('figcaption', {}, ...legend),
    );
  }
}
