/**
 * A list or tree of any length in which only the visible rows exist: one Tab stop, arrow keys inside (roving
 * tabindex,
 * WAI-ARIA 1.2 "tree" and "listbox" patterns). The rows' content comes from `render`; a row whose data is not there yet is drawn
 * as a blank of the same height until `changed` is called.
 */
import { h } from './dom';

export interface RowView {
  readonly content: readonly (Node | string)[];
  readonly className?: string;
  /**
   * What a screen reader announces instead of the content's text (it must begin with the visible text, in that
   * order).
   */
  readonly label?: string;
  /** Trees: 1-based depth; whether it is open (undefined: a leaf); place among its siblings, 1-based, of how many. */
  readonly level?: number;
  readonly expanded?: boolean | undefined;
  readonly position?: number;
  readonly siblings?: number;
}

export interface ListOptions {
  readonly role: 'tree' | 'listbox';
  readonly label: string;
  /** Pixels; every row is as high. Default 22, as VS Code's own lists. */
  readonly rowHeight?: number;
  /** undefined: not there yet. */
  render(index: number): RowView | undefined;
  /** The rows from `first` to `last` became visible: request missing ones. */
  visible?(first: number, last: number): void;
  /** Enter or a click. */
  activate?(index: number): void;
  /** The user (or `select`) chose the row. */
  select?(index: number): void;
  /** Trees: a row is opened or closed (twisty, arrow keys, Space). */
  toggle?(index: number, open: boolean): void;
  /** Trees: the row of the parent. */
  parent?(index: number): number | undefined;
  /** Any other key on a row: true if it was used. */
  key?(event: KeyboardEvent, index: number): boolean;
}

export interface SelectOptions {
  /** Takes the focus. */
  readonly focus?: boolean;
  /** false: the program selects, nobody chose; `ListOptions.select` is not called. */
  readonly tell?: boolean;
}

const ROW_HEIGHT = 22;
/** Chromium draws no element higher than about 33 million pixels: longer lists are scrolled in proportion. */
const MAX_HEIGHT = 16_000_000;
/** Rows drawn beyond the edge, so that scrolling by keys finds them. */
const MARGIN = 4;

export class VirtualList {
  readonly element: HTMLElement;
  private readonly rows = h('div', { class: 'rows', role: 'presentation' });
  private readonly drawn = new Map<number, HTMLElement>();
  private readonly rowHeight: number;
  private count = 0;
  private selected = 0;

  constructor(private readonly options: ListOptions) {
    this.rowHeight = options.rowHeight ?? ROW_HEIGHT;
    this.element = h(
      'div',
      { class: 'vlist', role: options.role, 'aria-label': options.label, tabindex: -1 },
      this.rows,
    );
    this.element.addEventListener('scroll', () => this.draw());
    this.element.addEventListener('keydown', (event) => this.keydown(event));
    this.rows.addEventListener('click', (event) => this.clicked(event));
    new ResizeObserver(() => this.draw()).observe(this.element);
  }

  get length(): number {
    return this.count;
  }
  get selection(): number {
    return this.selected;
  }
  get scrollTop(): number {
    return this.element.scrollTop;
  }
  set scrollTop(top: number) {
    this.element.scrollTop = top;
  }

  /** The rows or their number changed: redraws everything visible. */
  changed(count = this.count): void {
    this.count = count;
    this.selected = Math.max(0, Math.min(this.selected, count - 1));
    this.rows.style.height = `${this.height}px`;
    const hadFocus = this.rows.contains(document.activeElement);
    for (const row of this.drawn.values()) row.remove();
    this.drawn.clear();
    this.draw();
    if (hadFocus) this.focus();
  }

  /** Selects a row, brings it into sight, and gives it the focus where the list has it. */
  select(index: number, { focus = false, tell = true }: SelectOptions = {}): void {
    if (this.count === 0) return;
    const hadFocus = focus || this.rows.contains(document.activeElement);
    this.selected = Math.max(0, Math.min(index, this.count - 1));
    this.reveal(this.selected);
    this.draw();
    for (const [at, row] of this.drawn) this.mark(row, at);
    if (tell) this.options.select?.(this.selected);
    if (hadFocus) this.focus();
  }

  focus(): void {
    (this.drawn.get(this.selected) ?? this.element).focus({ preventScroll: true });
  }

  private get height(): number {
    return Math.min(this.count * this.rowHeight, MAX_HEIGHT);
  }
  /** Pixels of list for each pixel of scrolling; 1 but for very long lists. */
  private get stretch(): number {
    const view = this.element.clientHeight;
    const full = this.count * this.rowHeight;
    return full <= MAX_HEIGHT ? 1 : (full - view) / (MAX_HEIGHT - view);
  }
  /** The list's own pixel at the top edge. */
  private get top(): number {
    return this.element.scrollTop * this.stretch;
  }

  private reveal(index: number): void {
    const [start, end] = [index * this.rowHeight, (index + 1) * this.rowHeight];
    const { top, stretch } = this;
    const view = this.element.clientHeight;
    if (start < top) this.element.scrollTop = start / stretch;
    else if (end > top + view) this.element.scrollTop = (end - view) / stretch;
  }

  private draw(): void {
    const { rowHeight, count, top } = this;
    const inView = Math.ceil(this.element.clientHeight / rowHeight);
    const first = Math.max(0, Math.floor(top / rowHeight) - MARGIN);
    const last = Math.min(count - 1, Math.floor(top / rowHeight) + inView + MARGIN);
    for (const [index, row] of this.drawn)
      if ((index < first || index > last) && index !== this.selected) {
        row.remove();
        this.drawn.delete(index);
      }
    const shift = this.element.scrollTop - top;
    const wanted = new Set<number>();
    for (let index = first; index <= last; index++) wanted.add(index);
    // The selected row stays, so that the keyboard's place is never lost.
    if (count > 0) wanted.add(this.selected);
    for (const index of [...wanted].sort((a, b) => a - b)) {
      let row = this.drawn.get(index);
      if (!row) {
        row = this.make(index);
        this.drawn.set(index, row);
        const next = [...this.drawn.keys()].filter((each) => each > index).sort((a, b) => a - b)[0];
        this.rows.insertBefore(row, next === undefined ? null : (this.drawn.get(next) ?? null));
      }
      row.style.top = `${index * rowHeight + shift}px`;
    }
    if (count > 0) this.options.visible?.(first, last);
  }

  private make(index: number): HTMLElement {
    const view = this.options.render(index);
    const isTree = this.options.role === 'tree';
    const row = h(
      'div',
      {
        class: `row ${view?.className ?? (view ? '' : 'pending')}`,
        role: isTree ? 'treeitem' : 'option',
        'aria-label': view ? view.label : 'loading',
        'aria-level': isTree ? (view?.level ?? 1) : undefined,
        'aria-expanded': view?.expanded === undefined ? undefined : String(view.expanded),
        'aria-posinset': view?.position ?? (isTree ? undefined : index + 1),
        'aria-setsize': view?.siblings ?? (isTree ? undefined : this.count),
        'data-index': index,
      },
      // The spaces are for screen readers: the row is named by its text.
      ...(view?.content ?? []).flatMap((part) => [part, ' ']),
    );
    row.style.height = `${this.rowHeight}px`;
    if (isTree) {
      row.prepend(h('span', { class: 'twisty', 'aria-hidden': 'true' }));
      row.style.paddingLeft = `calc(${(view?.level ?? 1) - 1} * var(--indent, 12px))`;
    }
    this.mark(row, index);
    return row;
  }

  private mark(row: HTMLElement, index: number): void {
    const isSelected = index === this.selected;
    row.setAttribute('aria-selected', String(isSelected));
    row.tabIndex = isSelected ? 0 : -1;
  }

  private clicked(event: MouseEvent): void {
    const { target } = event;
    const row = target instanceof Element ? target.closest<HTMLElement>('.row') : null;
    // Controls inside a row do their own work.
    if (!row || (target instanceof Element && target.closest('button, a, input'))) return;
    const index = Number(row.dataset['index']);
    const expanded = row.getAttribute('aria-expanded');
    this.select(index, { focus: true });
    if (target instanceof Element && target.closest('.twisty') && expanded !== null)
      this.options.toggle?.(index, expanded === 'false');
    else this.options.activate?.(index);
  }

  private keydown(event: KeyboardEvent): void {
    if (event.altKey || event.ctrlKey || event.metaKey || this.count === 0) return;
    if (event.target instanceof Element && event.target.closest('button, a, input')) return;
    if (this.move(event)) event.preventDefault();
  }

  private move(event: KeyboardEvent): boolean {
    const at = this.selected;
    const page = Math.max(1, Math.floor(this.element.clientHeight / this.rowHeight) - 1);
    const { options } = this;
    const expanded = this.options.role === 'tree' ? options.render(at)?.expanded : undefined;
    switch (event.key) {
      case 'ArrowDown':
        this.select(at + 1);
        return true;
      case 'ArrowUp':
        this.select(at - 1);
        return true;
      case 'PageDown':
        this.select(at + page);
        return true;
      case 'PageUp':
        this.select(at - page);
        return true;
      case 'Home':
        this.select(0);
        return true;
      case 'End':
        this.select(this.count - 1);
        return true;
      case 'ArrowRight':
        if (expanded === false) options.toggle?.(at, true);
        else if (expanded === true) this.select(at + 1);
        return options.role === 'tree';
      case 'ArrowLeft': {
        if (expanded === true) options.toggle?.(at, false);
        else {
          const parent = options.parent?.(at);
          if (parent !== undefined) this.select(parent);
        }
        return options.role === 'tree';
      }
      case 'Enter':
        options.activate?.(at);
        return true;
      case ' ':
        if (expanded !== undefined) options.toggle?.(at, !expanded);
        else options.activate?.(at);
        return true;
      default:
        return options.key?.(event, at) ?? false;
    }
  }
}
