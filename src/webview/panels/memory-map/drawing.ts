/** The picture of the memory map: blocks in three columns and ribbons between them. The list beside it is its text for screen readers and the keyboard. */
import type { MemoryMapReply, MemoryRun } from '../../../protocol/memory-map';
import { drawing, svg } from '../../svg';
import { sizeText } from '../../names';
import type { Block, ColumnName, Layout, Ribbon } from './layout';
import { marksOf, rangeText, stateText } from './words';

const HEAD = 24;
const COLUMNS: readonly ColumnName[] = ['gpa', 'hva', 'hpa'];
const TITLES: Readonly<Record<ColumnName, string>> = { gpa: 'GPA', hva: 'HVA', hpa: 'HPA' };
/** A block as high as this has room for a line of text. */
const TEXT_HEIGHT = 13;
/** Pixels of a character of the editor's font at the drawing's size, generously. */
const CHARACTER = 6.6;

/** The two sides of the drawing's columns for a width. */
function columns(width: number): readonly { readonly x: number; readonly w: number }[] {
  const w = Math.min(250, Math.max(70, Math.floor(width * 0.27)));
  return COLUMNS.map((_, i) => ({ x: Math.round(((width - w) * i) / 2), w }));
}

export function draw(
  reply: MemoryMapReply,
  { blocks, ribbons, height }: Layout,
  width: number,
  selected: number | undefined,
): SVGSVGElement {
  const places = columns(width);
  const column = (name: ColumnName): { readonly x: number; readonly w: number } =>
    places[COLUMNS.indexOf(name)] as { x: number; w: number };
  return drawing(
    width,
    HEAD + height + 4,
    `Memory map: ${reply.runs.length} runs of guest physical memory with their host virtual and host physical addresses`,
    svg('defs', {}, hatch()),
    ...COLUMNS.map((name) => svg('text', { x: column(name).x, y: 14, class: `title ${name}` }, TITLES[name])),
    ...ribbons.map((each) =>
      ribbonPath(each, column(each.from), places[COLUMNS.indexOf(each.from) + 1], each.run === selected),
    ),
    ...blocks.map((block) => blockShape(block, column(block.column), reply.runs, selected)),
  );
}

const hatch = (): SVGElement =>
  svg(
    'pattern',
    { id: 'hatch', width: 6, height: 6, patternUnits: 'userSpaceOnUse', patternTransform: 'rotate(45)' },
    svg('line', { x1: 0, y1: 0, x2: 0, y2: 6, class: 'hatch-line' }),
  );

function ribbonPath(
  { run, from, y0, h0, y1, h1 }: Ribbon,
  left: { readonly x: number; readonly w: number },
  right: { readonly x: number } | undefined,
  isSelected: boolean,
): SVGElement {
  const [x0, x1] = [left.x + left.w + 1, (right?.x ?? 0) - 1];
  const mid = (x0 + x1) / 2;
  const [a, b] = [HEAD + y0, HEAD + y1];
  const d =
    `M${x0} ${a} C${mid} ${a} ${mid} ${b} ${x1} ${b} L${x1} ${b + h1} ` +
    `C${mid} ${b + h1} ${mid} ${a + h0} ${x0} ${a + h0} Z`;
  return svg('path', { d, class: `ribbon ${from}${isSelected ? ' selected' : ''}`, 'data-run': run });
}

function blockShape(
  block: Block,
  { x, w }: { readonly x: number; readonly w: number },
  runs: readonly MemoryRun[],
  selected: number | undefined,
): SVGElement {
  const { kind, column, height } = block;
  const y = HEAD + block.top;
  const [first] = block.runs;
  const run = kind === 'run' && first !== undefined ? runs[first] : undefined;
  const isSelected = selected !== undefined && block.runs.includes(selected);
  if (kind === 'gap') return svg('text', { x: x + w / 2, y: y + 10, class: 'gap', 'text-anchor': 'middle' }, '⋮');
  const state = run ? run.state : kind;
  const shape = svg('rect', { x, y, width: w, height, rx: Math.min(2, height / 2), class: `block ${column} ${state}` });
  const label = height >= TEXT_HEIGHT ? labelOf(block, run, Math.floor((w - 14) / CHARACTER)) : '';
  return svg(
    'g',
    { class: isSelected ? 'selected' : '', 'data-run': first },
    svg('title', {}, tooltip(block, run)),
    shape,
    state === 'swapped' || kind === 'swap' ? svg('rect', { x, y, width: w, height, class: 'hatched' }) : null,
    run?.dirty === true && column === 'gpa' ? svg('rect', { x: x + w - 4, y, width: 4, height, class: 'dirty' }) : null,
    run && run.mapped > 0 && column === 'gpa' ? svg('rect', { x, y, width: 3, height, class: 'mapped' }) : null,
    label === '' ? null : svg('text', { x: x + 8, y: y + Math.min(height - 4, 13), class: 'label' }, label),
  );
}

function labelOf(block: Block, run: MemoryRun | undefined, room: number): string {
  const texts = ((): string[] => {
    const start = block.from === undefined ? '' : `0x${block.from.toString(16)}`;
    const size = block.from !== undefined && block.to !== undefined ? sizeText(block.to - block.from) : '';
    switch (block.kind) {
      case 'hole':
        return [`${start} hole`, 'hole'];
      case 'swap':
        return [`swap, ${block.runs.length} ${block.runs.length === 1 ? 'run' : 'runs'}`, 'swap'];
      case 'frames':
        return ['scattered frames', 'frames'];
      case 'unslotted':
        return [`${start} not guest RAM`, 'not RAM'];
      case 'run':
      case 'gap':
        return [
          `${start} ${size}${run && run.pageSize > 4096 ? ` ▣` : ''}`,
          `${start} ${size}`,
          start,
          `…${start.slice(-5)}`,
        ];
    }
  })();
  return texts.find((text) => text.length <= room) ?? '';
}

function tooltip(block: Block, run: MemoryRun | undefined): string {
  const range = block.from !== undefined && block.to !== undefined ? rangeText(block.from, block.to) : '';
  switch (block.kind) {
    case 'hole':
      return `${range}: no guest RAM, MMIO`;
    case 'unslotted':
      return `${range}: in the VMM's address space, not guest RAM`;
    case 'swap':
      return 'The swap area of the host';
    case 'frames':
      return 'Frames across host memory, too many to draw separately';
    case 'run':
    case 'gap':
      return run ? `${range}: ${stateText(run)}; ${marksOf(run).join(', ')}` : range;
  }
}
