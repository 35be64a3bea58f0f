/** The head of the drawing: the four addresses in a row, what came of them, and how the first one splits into indices. */
import { SPACES, type Space } from '../../../base/address';
import type { ReverseTranslation, Translation, WalkStage } from '../../../protocol/translation';
import { breakable, h, number } from '../../dom';
import { splitAddress } from './split';
import { eventText, SPACE_NAMES, stageTitle } from '../../names';

function station(space: Space, addresses: readonly string[], isFirst: boolean, none: string): HTMLElement {
  const { short, long } = SPACE_NAMES[space];
  const shown = addresses.length > 0;
  return h(
    'li',
    { class: `station ${space}${shown ? '' : ' unknown'}${isFirst ? ' asked' : ''}` },
    h('abbr', { title: long, class: 'space' }, short),
    h(
      'span',
      { class: 'addresses' },
      ...(shown ? addresses.map((address) => askLink(space, address, isFirst)) : [h('span', { class: 'none' }, none)]),
    ),
  );
}

/** An address that asks for its own chain: from HVA and HPA that is the way back to every GVA. */
function askLink(space: Space, address: string, isAsked: boolean): HTMLElement {
  if (isAsked) return number(address);
  const way = space === 'hva' || space === 'hpa' ? 'Which guest addresses lead here' : 'Translate from here';
  return h(
    'button',
    { type: 'button', class: 'address', 'data-ask': address, 'data-space': space, title: way },
    number(address),
  );
}

export function chain(asked: Space, result: Translation | ReverseTranslation): HTMLElement {
  const list = (value: string | readonly string[] | undefined): readonly string[] =>
    value === undefined ? [] : typeof value === 'string' ? [value] : value;
  return h(
    'ol',
    { class: 'chain', 'aria-label': 'Addresses' },
    ...SPACES.map((space) =>
      station(
        space,
        list(result[space]),
        space === asked,
        Array.isArray(result[space]) ? 'none maps to it' : 'not reached',
      ),
    ),
  );
}

/** Two or three facts beside each other: outcome, references, TLB. */
export function outcome(result: Translation): HTMLElement {
  const facts: HTMLElement[] = [
    h('li', { class: result.ok ? 'good' : 'bad' }, result.ok ? '✓ completes' : `✗ ${failureWord(result)}`),
    h(
      'li',
      { title: 'Table entries that the hardware loads for this access when nothing is cached' },
      `${result.references} references`,
    ),
    h('li', { title: 'Whether the TLB answers without a walk' }, result.tlb.hit ? 'TLB hit' : 'TLB miss'),
  ];
  return h('ul', { class: 'facts', 'aria-label': 'Outcome' }, ...facts);
}

function failureWord({ failure }: Translation): string {
  return failure?.event ? eventText(failure.event) : 'fails';
}

export function failureBanner(result: Translation | ReverseTranslation): HTMLElement | undefined {
  const { failure } = result;
  if (!failure) return undefined;
  const at = failure.level === undefined ? '' : `, level ${failure.level}`;
  return h(
    'div',
    { class: 'banner bad', role: 'note' },
    h(
      'strong',
      {},
      `${stageTitle(failure.stage, result.stages.find((each) => each.stage === failure.stage)?.who)}${at}: ${failure.reason}`,
    ),
    failure.explanation && h('p', {}, failure.explanation),
  );
}

export function staleBanner({ tlb }: Translation): HTMLElement | undefined {
  const stale = tlb.stale ?? (tlb.hit ? null : tlb.cache?.stale);
  if (!stale) return undefined;
  const source = tlb.stale?.source ?? tlb.cache?.name ?? '';
  return h(
    'div',
    { class: 'banner stale', role: 'note' },
    h('strong', {}, `The ${source} holds an older answer`),
    tlb.stale?.hpa !== undefined && h('span', {}, ': ', number(tlb.stale.hpa, 'hpa')),
    h('p', {}, stale.explanation),
  );
}

/** How the linear address splits: one cell per level and one for the offset, each with its bits. */
export function addressSplit(stage: WalkStage): HTMLElement | undefined {
  const fields = splitAddress(stage);
  if (fields.length === 0) return undefined;
  const cells = fields.map(({ high, low, level, value }) =>
    h(
      'li',
      {
        class: level === undefined && 'offset',
        title: `bits ${high}:${low}: ${level === undefined ? 'offset in the page' : `index of the level ${level} entry`}`,
      },
      h('span', { class: 'bits' }, `${high}:${low}`),
      h('span', { class: 'index' }, level === undefined ? breakable(`0x${value.toString(16)}`) : String(value)),
    ),
  );
  return h('ol', { class: 'split', 'aria-label': 'Indices and offset' }, ...cells);
}
