/** Draws the two-dimensional walk (grid-rows.ts) as a grid of buttons, and leads from each to its entry. */
import type { Translation, WalkStep } from '../../../protocol/translation';
import { gridRows, type Cell } from './grid-rows';
import { h, number } from '../../dom';
import { player } from './player';
import { flagChip, section, type Folds, type StepElements } from './stages';

/** Draws the grid; arrow keys move in it, and Enter leads to the entry below. */
export function grid(translation: Translation, folds: Folds, drawn: StepElements): HTMLElement | undefined {
  const { columns, rows } = gridRows(translation);
  if (rows.length === 0) return undefined;
  const detail = h(
    'div',
    { class: 'detail', 'aria-live': 'polite' },
    h('p', { class: 'note' }, 'Arrow keys move through the loads; Enter leads to the entry above.'),
  );
  const cells = rows.flatMap((row) => row.cells).filter((cell) => cell !== undefined);
  /** By the order of the loads. */
  const inOrder: HTMLButtonElement[] = [];
  const controls = player(cells.length, 'load', (at) => {
    mark(at);
    const cell = cells[at - 1];
    detail.replaceChildren(cell ? cellDetail(cell) : h('p', { class: 'note' }, 'Before the first load.'));
  });
  const mark = (at: number): void =>
    inOrder.forEach((button, i) => {
      button.classList.toggle('done', at > 0 && i < at - 1);
      button.classList.toggle('now', i === at - 1);
      button.classList.toggle('ahead', at > 0 && i > at - 1);
      button.setAttribute('tabindex', i === Math.max(0, at - 1) ? '0' : '-1');
    });
  const buttons: (HTMLButtonElement | undefined)[][] = rows.map(({ cells }) =>
    cells.map((cell) => cell && cellButton(cell)),
  );

  function cellButton(cell: Cell): HTMLButtonElement {
    const failed = cell.step.problem !== undefined;
    const served = cell.served === undefined ? '' : `, from the ${cell.served}`;
    const button = h(
      'button',
      {
        type: 'button',
        tabindex: -1,
        class: `${cell.isGuest ? 'guest' : 'second'}${failed ? ' bad' : ''}${served === '' ? '' : ' served'}`,
        'aria-label': `load ${cell.order}: ${cell.name}${failed ? `, ${cell.step.problem}` : ''}${served}`,
        title: `${cell.name}${served}`,
      },
      failed ? '✗' : String(cell.order),
    );
    inOrder[cell.order - 1] = button;
    button.addEventListener('focus', () => {
      mark(cell.order);
      controls.at(cell.order);
      detail.replaceChildren(cellDetail(cell));
    });
    button.addEventListener('click', () => reveal(cell.step, drawn));
    return button;
  }

  const body = h(
    'table',
    { class: 'grid', role: 'grid', 'aria-label': 'Loads of the two-dimensional walk, in order' },
    h(
      'thead',
      {},
      h(
        'tr',
        {},
        h('td', {}),
        ...columns.map((name) => h('th', { scope: 'col', class: name === 'guest' ? 'guest' : 'second' }, name)),
      ),
    ),
    h(
      'tbody',
      {},
      ...rows.map(({ name }, index) =>
        h(
          'tr',
          {},
          h('th', { scope: 'row' }, name),
          ...(buttons[index] ?? []).map((button) =>
            button
              ? h('td', { role: 'gridcell' }, button)
              : h('td', { class: 'empty', role: 'gridcell', 'aria-label': 'no load' }),
          ),
        ),
      ),
    ),
  );
  inOrder[0]?.setAttribute('tabindex', '0');
  body.addEventListener('keydown', (event) => moveFocus(event, buttons));
  const spared = cells.filter(({ served }) => served !== undefined);
  const aside = h('p', { class: 'way' }, `${cells.length} loads, then the data itself`);
  const by = [...new Set(spared.map(({ served }) => served))].join(', ');
  const note =
    spared.length > 0 &&
    h(
      'p',
      { class: 'note' },
      `${cells.length - spared.length} of them are left for the next access: the ${by} spares the hatched ones.`,
    );
  return section('two-d', 'The walk in two dimensions', aside, folds, controls.element, body, note, detail);
}

function cellDetail({ step, order, name, served }: Cell): HTMLElement {
  return h(
    'p',
    {},
    h('strong', {}, `Load ${order}: ${name}`),
    h('br'),
    number(step.entryAddress, step.space),
    ' holds ',
    number(step.entry, 'raw'),
    ' ',
    ...step.flags.map(flagChip),
    step.problem && h('span', { class: 'problem' }, ` ✗ ${step.problem}`),
    served !== undefined && h('span', { class: 'note' }, `the next access has it from the ${served}`),
  );
}

function reveal(step: WalkStep, drawn: StepElements): void {
  const target = drawn.get(step);
  if (!target) return;
  for (let fold = target.closest('details'); fold; fold = fold.parentElement?.closest('details') ?? null)
    fold.open = true;
  target.scrollIntoView({ block: 'center' });
  target.focus({ preventScroll: true });
}

const MOVES: Readonly<Record<string, readonly [number, number]>> = {
  ArrowUp: [-1, 0],
  ArrowDown: [1, 0],
  ArrowLeft: [0, -1],
  ArrowRight: [0, 1],
};

function moveFocus(event: KeyboardEvent, buttons: readonly (readonly (HTMLButtonElement | undefined)[])[]): void {
  const move = MOVES[event.key];
  if (!move) return;
  let row = buttons.findIndex((cells) => cells.includes(event.target as HTMLButtonElement));
  let column = buttons[row]?.indexOf(event.target as HTMLButtonElement) ?? -1;
  if (row < 0 || column < 0) return;
  event.preventDefault();
  // Steps over cells that hold no load.
  for (;;) {
    row += move[0];
    column += move[1];
    const cells = buttons[row];
    if (!cells || column < 0 || column >= cells.length) return;
    const next = cells[column];
    if (next) return next.focus();
  }
}
