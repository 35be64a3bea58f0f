/**
 * The address space as strips: each table on the way to the selected entry, from the root on, an entry a column. Four lanes say
 * what is there and what may be done with it, by place and by colour; the selected entry's column widens into the strip below.
 */
import type { TableStrip } from '../../../protocol/panels/page-tables';
import { h } from '../../dom';
import { rightsWords } from './words';

const LANES = [
  { bit: 1, name: 'present', lane: 'r' },
  { bit: 2, name: 'write', lane: 'w' },
  { bit: 4, name: 'execute', lane: 'x' },
  { bit: 8, name: 'user', lane: 'u' },
] as const;
/** Pixels, by the width that there is: a lane, all lanes, and the way to the next strip. */
const sizes = (width: number): { readonly lane: number; readonly strip: number; readonly gap: number } =>
  width > 380 ? { lane: 4, strip: 16, gap: 14 } : { lane: 3, strip: 12, gap: 11 };

/** Letters of `cells`: see protocol/panels/page-tables.ts. */
function cellOf(letter: string): { readonly rights: number; readonly isTable: boolean } {
  const code = letter.charCodeAt(0);
  return code >= 97 ? { rights: code - 97, isTable: true } : { rights: code - 65, isTable: false };
}

export class Strips {
  readonly element: HTMLElement;
  private readonly canvas = h('canvas', { role: 'img' });
  private readonly labels = h('ol', { class: 'strip-labels', 'aria-hidden': 'true' });
  private readonly hint = h('p', { class: 'strip-hint' });
  private readonly swatches = LANES.map(({ lane }) =>
    h('span', { class: `swatch lane-${lane}`, 'aria-hidden': 'true' }),
  );
  private strips: readonly TableStrip[] = [];

  /** `pick`: a column was clicked, of the table that many levels below the root. */
  constructor(pick: (depth: number, index: number) => void) {
    const legend = h(
      'ul',
      { class: 'legend', 'aria-label': 'Lanes' },
      ...LANES.map(({ name }, i) => h('li', {}, this.swatches[i], name)),
    );
    this.element = h(
      'div',
      { class: 'strips' },
      h('div', { class: 'strip-body' }, this.labels, this.canvas),
      legend,
      this.hint,
    );
    this.canvas.addEventListener('click', (event) => {
      const at = this.cellAt(event);
      if (at) pick(at.depth, at.index);
    });
    this.canvas.addEventListener('mousemove', (event) => this.point(event));
    this.canvas.addEventListener('mouseleave', () => (this.hint.textContent = ''));
    new ResizeObserver(() => this.draw()).observe(this.element);
    // the theme changed: compute the colours again
    const themes = new MutationObserver(() => this.draw());
    for (const target of [document.documentElement, document.body])
      themes.observe(target, { attributes: true, attributeFilter: ['class', 'style'] });
  }

  show(strips: readonly TableStrip[]): void {
    this.strips = strips;
    this.labels.replaceChildren(...strips.map(({ name }) => h('li', {}, name.replace(/^EPT |E$/g, ''))));
    this.canvas.setAttribute('aria-label', strips.map(spoken).join('; '));
    this.draw();
  }

  private cellAt({ offsetX, offsetY }: MouseEvent): { readonly depth: number; readonly index: number } | undefined {
    const size = sizes(this.canvas.clientWidth);
    const depth = Math.floor(offsetY / (size.strip + size.gap));
    const strip = this.strips[depth];
    if (!strip || offsetY % (size.strip + size.gap) > size.strip) return undefined;
    const index = Math.floor((offsetX / this.canvas.clientWidth) * strip.cells.length);
    return { depth, index: Math.max(0, Math.min(index, strip.cells.length - 1)) };
  }

  private point(event: MouseEvent): void {
    const at = this.cellAt(event);
    const strip = at && this.strips[at.depth];
    this.hint.textContent = strip ? `${strip.name} [${at.index}]: ${cellWords(strip.cells[at.index] ?? '.')}` : '';
  }

  private draw(): void {
    const { canvas, strips } = this;
    const width = canvas.clientWidth;
    const { lane, strip: tall, gap } = sizes(width);
    const height = strips.length * (tall + gap) - gap + 2;
    this.labels.style.gridAutoRows = `${tall + gap}px`;
    this.labels.style.lineHeight = `${tall + 1}px`;
    this.labels.style.marginBottom = `${-gap}px`;
    if (width === 0 || height <= 0) return;
    const scale = window.devicePixelRatio;
    canvas.width = Math.round(width * scale);
    canvas.height = Math.round(height * scale);
    canvas.style.height = `${height}px`;
    const to = canvas.getContext('2d');
    if (!to) return;
    to.scale(scale, scale);
    const colours = this.swatches.map((swatch) => getComputedStyle(swatch).backgroundColor);
    const { color, borderTopColor: line } = getComputedStyle(canvas);
    for (const [depth, strip] of strips.entries()) {
      const y = depth * (tall + gap);
      to.fillStyle = line;
      to.fillRect(0, y + tall, width, 1);
      drawCells(to, strip, { y, width, lane, tall }, colours);
      if (strip.first === undefined || strip.last === undefined) continue;
      const left = (strip.first / strip.cells.length) * width;
      const right = Math.max(left + 2.5, ((strip.last + 1) / strip.cells.length) * width);
      to.fillStyle = color;
      to.fillRect(left - 0.5, y + tall, right - left + 1, 2);
      to.strokeStyle = color;
      to.lineWidth = 1;
      if (depth + 1 < strips.length) {
        to.globalAlpha = 0.35;
        to.beginPath();
        to.moveTo(left, y + tall + 2);
        to.lineTo(0.5, y + tall + gap);
        to.moveTo(right, y + tall + 2);
        to.lineTo(width - 0.5, y + tall + gap);
        to.stroke();
        to.globalAlpha = 1;
      }
    }
  }
}

/** Equal neighbours are one rectangle; a single entry is never narrower than can be seen. */
function drawCells(
  to: CanvasRenderingContext2D,
  { cells }: TableStrip,
  {
    y,
    width,
    lane: high,
    tall,
  }: { readonly y: number; readonly width: number; readonly lane: number; readonly tall: number },
  colours: readonly string[],
): void {
  const x = (index: number): number => (index / cells.length) * width;
  for (let start = 0; start < cells.length;) {
    const letter = cells[start] ?? '.';
    let end = start + 1;
    while (end < cells.length && cells[end] === letter) end++;
    const [left, wide] = [x(start), Math.max(2.5, x(end) - x(start))];
    if (letter === '!' || letter === '?') {
      // A mark: a thin line on top, as nothing may be done with it.
      to.fillStyle = colours[letter === '!' ? 2 : 0] ?? '';
      to.fillRect(left, y, wide, 1.5);
    } else if (letter !== '.') {
      const { rights, isTable } = cellOf(letter);
      to.globalAlpha = isTable ? 0.6 : 1;
      for (const [lane, { bit }] of LANES.entries()) {
        // A table without a page below it is there all the same.
        if ((rights & bit) === 0 && !(lane === 0 && rights === 0)) continue;
        to.fillStyle = colours[lane] ?? '';
        to.fillRect(left, y + tall - (lane + 1) * high, wide, rights === 0 ? 1 : high - 1);
      }
      to.globalAlpha = 1;
    }
    start = end;
  }
}

function cellWords(letter: string): string {
  if (letter === '.') return 'nothing';
  if (letter === '!') return 'MMIO';
  if (letter === '?') return 'not present';
  const { rights, isTable } = cellOf(letter);
  const words = rightsWords(LANES.map(({ bit }) => ((rights & bit) === 0 ? '-' : 'x')).join(''));
  return isTable ? `a table; pages below: ${words}` : `a page: ${words}`;
}

function spoken({ name, cells, first, last }: TableStrip): string {
  const used = [...cells].filter((letter) => letter !== '.').length;
  const chosen =
    first === undefined ? '' : first === last ? `, entry ${first} selected` : `, entries ${first} to ${last} selected`;
  return `${name} table: ${used} of ${cells.length} entries used${chosen}`;
}
