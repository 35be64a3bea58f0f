/** What each stage allows, and their AND: what the access is allowed in all. */
import type { Rights, Translation } from '../../../protocol/translation';
import { h } from '../../dom';
import { stageTitle } from '../../names';
import { section, type Folds } from './stages';

const COLUMNS = [
  { key: 'r', short: 'R', long: 'read' },
  { key: 'w', short: 'W', long: 'write' },
  { key: 'x', short: 'X', long: 'execute' },
  { key: 'user', short: 'U', long: 'from user mode' },
] as const;

function cells(rights: Rights): HTMLElement[] {
  return COLUMNS.map(({ key, long }) =>
    h(
      'td',
      { class: rights[key] ? 'yes' : 'no' },
      h('span', { 'aria-hidden': true }, rights[key] ? '✓' : '–'),
      h('span', { class: 'spoken' }, rights[key] ? `${long} allowed` : `${long} not allowed`),
    ),
  );
}

export function rightsTable({ stages, rights }: Translation, folds: Folds): HTMLElement | undefined {
  const known = stages.flatMap((stage) =>
    stage.rights ? [{ name: stageTitle(stage.stage, stage.who), rights: stage.rights }] : [],
  );
  if (known.length === 0) return undefined;
  const head = h(
    'tr',
    {},
    h('td', {}),
    ...COLUMNS.map(({ short, long }) => h('th', { scope: 'col' }, h('abbr', { title: long }, short))),
  );
  const table = h(
    'table',
    {},
    h('thead', {}, head),
    h('tbody', {}, ...known.map((each) => h('tr', {}, h('th', { scope: 'row' }, each.name), ...cells(each.rights)))),
    h('tfoot', {}, h('tr', {}, h('th', { scope: 'row' }, 'all of them'), ...cells(rights))),
  );
  return section('rights', 'Rights', undefined, folds, table);
}
