/** What stands below the list: the selected row in full, and what can be done with it. */
import type { TableRow, TableSetInfo } from '../../../protocol/panels/page-tables';
import type { PanelContext } from '../../panel';
import { h, number } from '../../dom';
import { SPACE_NAMES, flagMeaning, sizeText } from '../../names';
import { DRIFT_WORDS, indexText, nameText, plural } from './words';

export interface DetailActions {
  /** The set beside this one that the row's targets lead into, by its title. */
  readonly follow: string | undefined;
  onFollow(): void;
}

export function details(row: TableRow, info: TableSetInfo, context: PanelContext, actions: DetailActions): HTMLElement {
  const { from, to } = info;
  const term = (name: string, ...value: (Node | string | false)[]): HTMLElement =>
    h('div', {}, h('dt', {}, name), h('dd', {}, ...value));
  const chips = row.flags.map((flag) => h('abbr', { class: 'flag', title: flagMeaning(flag) }, flag));
  const tables = from === 'gva' && info.set === 'guest' ? 'gpa' : 'hpa';
  const parts = [
    term(SPACE_NAMES[from].short, number(row.from, from), '–', number(row.to, from)),
    term('entry', number(row.entry), ' ', h('span', { class: 'flags' }, ...chips)),
    row.was !== undefined && term('was', number(row.was)),
    term('at', `${SPACE_NAMES[tables].short} `, number(row.entryAddress, tables)),
    row.kind === 'page' &&
      term(
        'maps',
        `${SPACE_NAMES[to].short} `,
        number(row.target, to),
        `${row.targets === 'following' ? ' on' : ''}, ${sizeText(row.pageSize ?? 0)} ${row.first === row.last ? 'page' : 'pages'}`,
      ),
    row.kind === 'table' &&
      term(
        'table',
        `${SPACE_NAMES[tables].short} `,
        number(row.target, tables),
        `, ${plural(row.pages, 'page')} below`,
      ),
    ...(row.drift ?? []).map(({ mark }) =>
      term(mark === 'stale' ? '≠' : '', h('strong', {}, DRIFT_WORDS[mark].short), ': ', DRIFT_WORDS[mark].long),
    ),
    row.symbol !== undefined && term('label', h('code', {}, row.symbol)),
  ];
  return h(
    'section',
    { class: 'details', 'aria-label': 'Selected entry' },
    h('h2', {}, `${nameText(row)} ${indexText(row)}`),
    h('dl', {}, ...parts),
    h('div', { class: 'actions' }, ...buttons(row, info, context, actions)),
  );
}

function buttons(row: TableRow, info: TableSetInfo, context: PanelContext, actions: DetailActions): HTMLElement[] {
  const button = (text: string, title: string, act: () => void): HTMLElement => {
    const element = h('button', { type: 'button', class: 'secondary', title }, text);
    element.addEventListener('click', act);
    return element;
  };
  const out: HTMLElement[] = [];
  if (actions.follow !== undefined && row.kind === 'page')
    out.push(
      button(`Follow into ${actions.follow}`, 'Shows where this entry leads in the tables beside', () =>
        actions.onFollow(),
      ),
    );
  if (info.from === 'gva' || info.from === 'gpa')
    out.push(
      button('Translate', 'Opens the Translation panel on this address', () =>
        context.act({
          kind: 'open-panel',
          panel: 'translation',
          command: { kind: 'translate', expression: row.from, space: info.from, access: 'r' },
        }),
      ),
    );
  if (row.kind === 'page')
    out.push(
      button('Memory', 'Opens the memory view on the page', () =>
        context.act({ kind: 'open-memory', space: info.to, address: row.target }),
      ),
    );
  out.push(button('Copy', 'Copies the entry', () => context.act({ kind: 'copy', text: row.entry })));
  return out;
}
