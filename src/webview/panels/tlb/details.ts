/** One entry in full: what it translates, its tags and rights, and where it is stale which invalidation is missing. */
import type { TlbEntry, TlbStaleness } from '../../../protocol/tlb';
import { h, number, type Child } from '../../dom';
import type { PanelContext } from '../../panel';
import { ageText, rightsText, sizesText, tagsText } from './model';

const TABLES: Readonly<Record<TlbStaleness['where'], string>> = {
  guest: "the guest's tables",
  ept: 'EPT',
  npt: 'NPT',
  shadow: 'the shadow tables',
};

export function staleBox({ why, now, where, advice, note, requested }: TlbStaleness): HTMLElement {
  return h(
    'div',
    { class: 'stale-box' },
    h('p', { class: 'why' }, h('b', {}, 'Stale. '), `${why.charAt(0).toUpperCase()}${why.slice(1)}.`),
    now !== undefined &&
      h('p', {}, `By ${TABLES[where]} it would be `, number(now, where === 'guest' ? 'gpa' : 'hpa'), '.'),
    h(
      'p',
      {},
      'Missing: ',
      h('b', {}, advice),
      requested ? '; it is asked for, and done before the next VM entry.' : '.',
      note === undefined ? '' : ` Not enough: ${note}.`,
    ),
  );
}

export function details(entry: TlbEntry, context: PanelContext): HTMLElement {
  const row = (name: string, ...value: Child[]): HTMLElement => h('div', {}, h('dt', {}, name), h('dd', {}, ...value));
  const button = (text: string, work: () => void): HTMLElement => {
    const made = h('button', { type: 'button', class: 'link' }, text);
    made.addEventListener('click', work);
    return made;
  };
  const { tags } = entry;
  return h(
    'section',
    { class: 'details', 'aria-label': `Entry ${entry.linear}` },
    h('h2', {}, h('span', {}, `Set ${entry.set}, way ${entry.way}`), h('span', { class: 'age' }, ageText(entry.age))),
    entry.stale && staleBox(entry.stale),
    h(
      'dl',
      {},
      row('GVA', number(entry.linear, 'gva')),
      entry.gpa !== entry.hpa && row('GPA', number(entry.gpa, 'gpa')),
      row('HPA', number(entry.hpa, 'hpa')),
      row('Rights', rightsText(entry), entry.dirty ? ', dirty' : ', not dirty: the next write walks'),
      row('Page size', sizesText(entry)),
      row('Tags', tagsText(entry)),
      tags.eptp !== undefined && row(tags.asid === undefined ? 'EPTP' : 'nCR3', number(tags.eptp, 'hpa')),
      entry.protectionKey !== 0 && row('Protection key', String(entry.protectionKey)),
      row('Dropped by', entry.drops),
      row('Used now', entry.current ? 'yes' : 'no: its tags are not the loaded ones'),
    ),
    h(
      'p',
      { class: 'actions' },
      button('Translate', () =>
        context.act({
          kind: 'open-panel',
          panel: 'translation',
          command: { kind: 'translate', expression: entry.linear, space: 'gva', access: 'r' },
        }),
      ),
      ' ',
      button('Memory', () => context.act({ kind: 'open-memory', space: 'hpa', address: entry.hpa })),
    ),
  );
}
