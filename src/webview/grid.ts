/**
 * The two-dimensional walk as a grid: a row per guest table entry and one for the page itself, a column per level of the
 * second-level walk and one for the guest's entry. Each cell is one load, numbered in the order of the walk: for four levels
 * by four, 24 (n·m + n + m).
 */
import type { Translation, WalkStage, WalkStep } from '../protocol/translation';
import { h, number } from './dom';
import { flagChip, section, type Folds, type StepElements } from './stages';
import { stepName } from './names';

interface Cell {
  readonly step: WalkStep;
  readonly order: number;
  readonly isGuest: boolean;
  readonly name: string;
}

interface Row {
  readonly name: string;
  /** By column; undefined where the walk needs no load there (a large page ends it early). */
  readonly cells: readonly (Cell | undefined)[];
}

function isWalk(stage: Translation['stages'][number]): stage is WalkStage {
  return stage.stage !== 'memslot';
}

/** The rows of the grid, or none where no second level takes part. */
export function gridRows({ stages }: Translation): {
  readonly columns: readonly string[];
  readonly rows: readonly Row[];
} {
  const guest = stages.filter(isWalk).find(({ stage }) => stage === 'guest');
  const second = stages.filter(isWalk).find(({ stage }) => stage === 'ept' || stage === 'npt');
  if (!guest || !guest.steps.some(({ nested }) => nested.length > 0)) return { columns: [], rows: [] };
  const kind = second?.stage ?? 'ept';
  const top = Math.max(
    ...guest.steps.flatMap(({ nested }) => nested.map(({ level }) => level)),
    ...(second?.steps ?? []).map(({ level }) => level),
  );
  const levels = Array.from({ length: top }, (_, index) => top - index);
  let order = 0;
  const row = (name: string, nested: readonly WalkStep[], own: WalkStep | undefined): Row => {
    const cells: (Cell | undefined)[] = levels.map((level) => {
      const step = nested.find((each) => each.level === level);
      return step && { step, order: ++order, isGuest: false, name: `${stepName(kind, step)} for the ${name}` };
    });
    cells.push(own && { step: own, order: ++order, isGuest: true, name: `guest ${name}` });
    return { name, cells };
  };
  const rows = guest.steps.map((step) => row(stepName('guest', step), step.nested, step));
  if (second && second.steps.length > 0) rows.push(row('page', second.steps, undefined));
  return { columns: [...levels.map((level) => `L${level}`), 'guest'], rows };
}

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
