/** The stages below the chain: each table's walk, entry by entry, with the second-level walks folded into it. */
import type { Space } from '../../../base/address';
import type { MemslotStage, Stage, WalkStage, WalkStep } from '../../../protocol/translation';
import { addressSplit } from './chain';
import { h, number } from '../../dom';
import { flagMeaning, SPACE_NAMES, sizeText, stageTitle, walkerText } from '../../names';

/** Where each step is drawn, so that the grid can lead there. */
export type StepElements = WeakMap<WalkStep, HTMLElement>;

/** Remembers what a reader unfolded (or folded away), by a key that holds from stop to stop. */
export interface Folds {
  isOpen(key: string): boolean;
  toggled(key: string, open: boolean): void;
}

/** Whose tables are walked for the addresses of another stage's entries. */
export type SecondLevel = 'ept' | 'npt';

export function stageSection(stage: Stage, second: SecondLevel, folds: Folds, drawn: StepElements): HTMLElement {
  const { from, to, stage: kind, who, mode } = stage;
  const body = stage.stage === 'memslot' ? memslot(stage) : walk(stage, second, folds, drawn);
  const way = h(
    'p',
    { class: 'way' },
    h('span', { class: from }, SPACE_NAMES[from].short),
    ' → ',
    h('span', { class: to }, SPACE_NAMES[to].short),
    h('span', { class: 'who' }, walkerText(who, mode)),
  );
  return section(kind, stageTitle(kind, who), way, folds, ...body);
}

/** A part of the drawing that can be folded away; open until a reader folds it. */
export function section(
  key: string,
  title: string,
  aside: HTMLElement | undefined,
  folds: Folds,
  ...body: readonly (HTMLElement | undefined | false)[]
): HTMLElement {
  const folded = `folded/${key}`;
  const details = h(
    'details',
    { class: `section ${key}`, open: !folds.isOpen(folded) },
    h('summary', {}, h('h2', {}, title), aside),
    ...body,
  );
  details.addEventListener('toggle', () => folds.toggled(folded, !details.open));
  return details;
}

function walk(
  stage: WalkStage,
  second: SecondLevel,
  folds: Folds,
  drawn: StepElements,
): (HTMLElement | undefined | false)[] {
  const { root, steps, output, to, pageSize } = stage;
  return [
    stage.stage === 'guest' || stage.stage === 'shadow' ? addressSplit(stage) : undefined,
    h(
      'ol',
      { class: 'walk' },
      root && h('li', { class: 'root' }, h('span', { class: 'name' }, root.name), number(root.value)),
      ...steps.map((step, index) => stepItem(step, second, folds, drawn, `${stage.stage}/${index}`)),
      output !== undefined &&
        h(
          'li',
          { class: `result ${to}` },
          h('span', { class: 'name' }, SPACE_NAMES[to].short),
          number(output, to),
          pageSize !== undefined && h('span', { class: 'note' }, `${sizeText(pageSize)} page`),
        ),
    ),
    steps.length === 0 && h('p', { class: 'note' }, noSteps(stage)),
  ];
}

/** Why a stage has no entries: translation is off, or the address never got to a table (it is not canonical). */
function noSteps({ from, to, output }: WalkStage): string {
  return output === undefined
    ? 'The walk did not begin.'
    : `No tables to walk: the ${SPACE_NAMES[from].short} is the ${SPACE_NAMES[to].short}.`;
}

function stepItem(step: WalkStep, second: SecondLevel, folds: Folds, drawn: StepElements, key: string): HTMLElement {
  const item = h(
    'li',
    { class: `step${step.problem ? ' bad' : ''}`, tabindex: -1 },
    step.nested.length > 0 && nestedWalk(step, second, folds, drawn, key),
    entryLine(step),
  );
  drawn.set(step, item);
  return item;
}

/** An address that opens VS Code's memory view: index.ts hears the click. */
const memoryLink = (address: string, space: Space): HTMLElement =>
  h(
    'button',
    { type: 'button', class: 'address', 'data-memory': address, 'data-space': space, title: 'Open in the memory view' },
    number(address, space),
  );

function entryLine(step: WalkStep): HTMLElement {
  return h(
    'div',
    { class: 'entry' },
    h('span', { class: 'name' }, step.name, h('span', { class: 'at' }, `[${step.index}]`)),
    number(step.entry, 'raw'),
    h('span', { class: 'flags' }, ...step.flags.map(flagChip)),
    h(
      'span',
      { class: 'where' },
      `at ${SPACE_NAMES[step.space].short} `,
      memoryLink(step.entryAddress, step.space),
      step.entryHpa !== undefined && step.space !== 'hpa' && ' = HPA ',
      step.entryHpa !== undefined && step.space !== 'hpa' && memoryLink(step.entryHpa, 'hpa'),
    ),
    step.problem && h('span', { class: 'problem' }, `✗ ${step.problem}`),
  );
}

export function flagChip(flag: string): HTMLElement {
  const meaning = flagMeaning(flag);
  return meaning === undefined
    ? h('span', { class: 'flag' }, flag)
    : h('abbr', { class: 'flag', title: meaning }, flag);
}

function nestedWalk(step: WalkStep, second: SecondLevel, folds: Folds, drawn: StepElements, key: string): HTMLElement {
  const { nested } = step;
  const count = nested.length;
  const failed = nested.some(({ problem }) => problem !== undefined);
  const details = h(
    'details',
    { class: 'nested', open: failed || folds.isOpen(key) },
    h(
      'summary',
      {},
      `${second.toUpperCase()} walk of its address`,
      h('span', { class: 'count' }, `${count} reference${count === 1 ? '' : 's'}`),
    ),
    h(
      'ol',
      { class: 'walk' },
      ...nested.map((inner) => {
        const item = h('li', { class: `step${inner.problem ? ' bad' : ''}`, tabindex: -1 }, entryLine(inner));
        drawn.set(inner, item);
        return item;
      }),
    ),
  );
  details.addEventListener('toggle', () => folds.toggled(key, details.open));
  return details;
}

function memslot(stage: MemslotStage): HTMLElement[] {
  if (stage.slot === undefined)
    return [
      h(
        'p',
        { class: 'note' },
        stage.who === 'vmm'
          ? 'No memory region with RAM covers this address: an access here goes to a device of the VMM, if there is one.'
          : 'No memslot covers this address: a hole. An access here leaves the guest as MMIO and goes to the VMM.',
      ),
    ];
  const row = (name: string, ...value: (Node | string)[]): HTMLElement =>
    h('div', {}, h('dt', {}, name), h('dd', {}, ...value));
  const rows = [row(stage.who === 'vmm' ? 'region' : 'slot', `${stage.slot}${stage.readOnly ? ' (read-only)' : ''}`)];
  if (stage.base !== undefined)
    rows.push(
      row(
        'GPA',
        number(stage.base, 'gpa'),
        ...(stage.size === undefined ? [] : [` + ${sizeText(BigInt(stage.size))}`]),
      ),
    );
  if (stage.hva !== undefined) rows.push(row('HVA', number(stage.hva, 'hva')));
  const { base, hva, input, output } = stage;
  const sum: HTMLElement[] = [];
  if (base !== undefined && hva !== undefined && input !== undefined && output !== undefined)
    sum.push(
      h(
        'p',
        { class: 'sum' },
        number(input, 'gpa'),
        ' − ',
        number(base, 'gpa'),
        ' + ',
        number(hva, 'hva'),
        ' = ',
        number(output, 'hva'),
      ),
    );
  return [h('dl', { class: 'slot' }, ...rows), ...sum];
}
