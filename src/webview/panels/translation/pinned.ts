/** The same address at two stops, or under two methods: the answer that was kept beside the one of now, line by line, with what differs marked. */
import type { TranslateReply } from '../../../protocol/messages';
import type { ReverseTranslation, Stage, Translation } from '../../../protocol/translation';
import { h } from '../../dom';
import { SPACE_NAMES, eventText, stageTitle } from '../../names';

/** An answer that a person kept: plain JSON, so that it outlives the session. */
export interface Pinned {
  readonly label: string;
  /** By the line's name, in the order of the lines. */
  readonly lines: readonly (readonly [name: string, value: string])[];
}

/** What an answer says, as lines to compare. */
export function linesOf(reply: TranslateReply): Pinned['lines'] {
  const { translation, reverse } = reply;
  if (translation)
    return [...addresses(translation), ...outcome(translation), ...translation.stages.flatMap(stageLines)];
  return reverse ? addresses(reverse) : [];
}

const addresses = (result: Translation | ReverseTranslation): [string, string][] =>
  (['gva', 'gpa', 'hva', 'hpa'] as const).map((space) => {
    const value = result[space];
    return [SPACE_NAMES[space].short, (typeof value === 'string' ? [value] : (value ?? [])).join(', ')];
  });

function outcome({ ok, failure, references, tlb, rights }: Translation): [string, string][] {
  const letters = (['r', 'w', 'x'] as const).map((right) => (rights[right] ? right.toUpperCase() : '-')).join('');
  return [
    [
      'Outcome',
      ok ? 'completes' : failure ? `${eventText(failure.event ?? failure.stage)}: ${failure.reason}` : 'fails',
    ],
    ['Rights', `${letters} ${rights.user ? 'U' : 'S'}`],
    ['References', String(references)],
    ['TLB', `${tlb.hit ? 'hit' : 'miss'}${tlb.stale ? `, stale: ${tlb.stale.hpa}` : ''}`],
  ];
}

function stageLines(stage: Stage): [string, string][] {
  if (stage.stage === 'memslot')
    return [[stageTitle('memslot', stage.who), stage.slot === undefined ? 'none' : String(stage.slot)]];
  return stage.steps.map((step) => [
    `${stageTitle(stage.stage)}: ${step.name}[${step.index}]`,
    `${step.entry} ${step.flags.join(' ')}`,
  ]);
}

/** The comparison; `drop` is called when the kept answer is no longer wanted. */
export function comparison(pinned: Pinned, now: Pinned['lines'], nowLabel: string, drop: () => void): HTMLElement {
  const [before, after] = [new Map(pinned.lines), new Map(now)];
  const names = [...new Set([...now.map(([name]) => name), ...pinned.lines.map(([name]) => name)])];
  const rows = names.map((name) => {
    const [a, b] = [before.get(name) ?? '', after.get(name) ?? ''];
    const differs = a !== b;
    return h(
      'tr',
      { class: differs ? 'differs' : '' },
      h('th', { scope: 'row' }, name, differs && h('span', { class: 'spoken' }, ' differs')),
      h('td', {}, a === '' ? '–' : a),
      h('td', {}, b === '' ? '–' : b),
    );
  });
  const close = h('button', { type: 'button', class: 'link' }, 'Discard the kept answer');
  close.addEventListener('click', drop);
  const count = rows.filter((row) => row.className !== '').length;
  return h(
    'section',
    { class: 'comparison', 'aria-label': 'Side by side' },
    h('p', { class: 'way' }, count === 0 ? 'Nothing differs. ' : `${count} of ${rows.length} lines differ. `, close),
    h(
      'div',
      { class: 'scroll', tabindex: 0, role: 'region', 'aria-label': 'Both answers' },
      h(
        'table',
        {},
        h(
          'thead',
          {},
          h('tr', {}, h('td', {}), h('th', { scope: 'col' }, pinned.label), h('th', { scope: 'col' }, nowLabel)),
        ),
        h('tbody', {}, ...rows),
      ),
    ),
  );
}
