/** Counts as bars, one button a row: a click keeps only those exits, another one all again. */
import { h } from '../../dom';

export interface Bar {
  readonly key: string;
  readonly name: Node | string;
  /** Shown and announced after the name. */
  readonly place?: string;
  readonly count: number;
  readonly cycles: number;
}

const SCALE = 100;

export class Histogram {
  readonly element: HTMLElement;
  private readonly rows = h('ul', { class: 'bars' });

  constructor(
    title: string,
    private readonly chosen: (key: string | undefined) => void,
    ...below: readonly HTMLElement[]
  ) {
    this.element = h('section', { class: 'histogram', 'aria-label': title }, h('h2', {}, title), this.rows, ...below);
  }

  show(bars: readonly Bar[], total: number, selected: string | undefined): void {
    const most = Math.max(1, ...bars.map((each) => each.count));
    const focused = this.rows.contains(document.activeElement)
      ? document.activeElement?.getAttribute('data-key')
      : null;
    this.rows.replaceChildren(
      ...bars.map((each) => {
        const isOn = each.key === selected;
        const percent = (each.count / Math.max(1, total)) * 100;
        const bar = h('span', { class: 'bar', 'aria-hidden': 'true' });
        bar.style.width = `${(each.count / most) * SCALE}%`;
        const button = h(
          'button',
          { type: 'button', 'aria-pressed': String(isOn), 'data-key': each.key },
          h('span', { class: 'name' }, each.name),
          each.place !== undefined && h('span', { class: 'place' }, ` ${each.place}`),
          h('span', { class: 'count' }, ` ${each.count.toLocaleString('en')}`),
          h('span', { class: 'percent' }, ` ${percent < 10 ? percent.toFixed(1) : percent.toFixed(0)} %`),
          h('span', { class: 'track', 'aria-hidden': 'true' }, bar),
        );
        button.addEventListener('click', () => this.chosen(isOn ? undefined : each.key));
        return h('li', { class: isOn && 'on' }, button);
      }),
    );
    if (focused !== null && focused !== undefined)
      this.rows.querySelector<HTMLElement>(`[data-key="${CSS.escape(focused)}"]`)?.focus();
  }
}
