/** Draws the two-dimensional walk (grid-rows.ts) as a grid of buttons, and leads from each to its entry. */
import type { Translation, WalkStep } from '../../../protocol/translation';
import { gridRows, type Cell } from './grid-rows';
import { h, number } from '../../dom';
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
  const buttons: (HTMLButtonElement | undefined)[][] = rows.map(({ cells }) =>
    cells.map((cell) => cell && cellButton(cell)),
  );

  function cellButton(cell: Cell): HTMLButtonElement {
    const failed = cell.step.problem !== undefined;
    const button = h(
      'button',
      {
        type: 'button',
        tabindex: -1,
        class: `${cell.isGuest ? 'guest' : 'second'}${failed ? ' bad' : ''}`,
        'aria-label': `load ${cell.order}: ${cell.name}${failed ? `, ${cell.step.problem}` : ''}`,
        title: cell.name,
      },
      failed ? '✗' : String(cell.order),
    );
    button.addEventListener('focus', () => {
      for (const each of buttons.flat()) each?.setAttribute('tabindex', each === button ? '0' : '-1');
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
  buttons.flat().find(Boolean)?.setAttribute('tabindex', '0');
  body.addEventListener('keydown', (event) => moveFocus(event, buttons));
  const total = rows.flatMap(({ cells }) => cells).filter(Boolean).length;
  const aside = h('p', { class: 'way' }, `${total} loads, then the data itself`);
  return section('two-d', 'The walk in two dimensions', aside, folds, body, detail);
}

function cellDetail({ step, order, name }: Cell): HTMLElement {
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
