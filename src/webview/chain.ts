/** The head of the drawing: the four addresses in a row, what came of them, and how the first one splits into indices. */
import { SPACES, type Space } from '../base/address';
import type { ReverseTranslation, Translation, WalkStage } from '../protocol/translation';
import { breakable, h, number } from './dom';
import { eventText, SPACE_NAMES, stageTitle } from './names';

function station(space: Space, addresses: readonly string[], isFirst: boolean): HTMLElement {
  const { short, long } = SPACE_NAMES[space];
  const shown = addresses.length > 0;
  return h(
    'li',
    { class: `station ${space}${shown ? '' : ' unknown'}${isFirst ? ' asked' : ''}` },
    h('abbr', { title: long, class: 'space' }, short),
    h(
      'span',
      { class: 'addresses' },
      ...(shown ? addresses.map((address) => number(address)) : [h('span', { class: 'none' }, 'not reached')]),
    ),
  );
}

export function chain(asked: Space, result: Translation | ReverseTranslation): HTMLElement {
  const list = (value: string | readonly string[] | undefined): readonly string[] =>
    value === undefined ? [] : typeof value === 'string' ? [value] : value;
  return h(
    'ol',
    { class: 'chain', 'aria-label': 'Addresses' },
    ...SPACES.map((space) => station(space, list(result[space]), space === asked)),
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
    h('strong', {}, `${stageTitle(failure.stage)}${at}: ${failure.reason}`),
    failure.explanation && h('p', {}, failure.explanation),
  );
}

export function staleBanner({ tlb }: Translation): HTMLElement | undefined {
  if (!tlb.stale) return undefined;
  return h(
    'div',
    { class: 'banner stale', role: 'note' },
    h('strong', {}, 'The TLB still holds an older answer: '),
    number(tlb.stale.hpa, 'hpa'),
    h('p', {}, `The guest goes on using it until ${tlb.stale.missing}.`),
  );
}

/** How the linear address splits: one cell per level and one for the offset, each with its bits. */
export function addressSplit(stage: WalkStage): HTMLElement | undefined {
  const { input, steps } = stage;
  const last = steps.at(-1);
  if (input === undefined || !last) return undefined;
  const widths = indexWidths(stage);
  const low = 12 + widths.filter(({ level }) => level < last.level).reduce((sum, { width }) => sum + width, 0);
  const offsetValue = BigInt(input) & ((1n << BigInt(low)) - 1n);
  let high =
    low + steps.reduce((sum, step) => sum + (widths.find(({ level }) => level === step.level)?.width ?? 9), 0) - 1;
  const cells = steps.map((step) => {
    const width = widths.find(({ level }) => level === step.level)?.width ?? 9;
    const cell = h(
      'li',
      { title: `bits ${high}:${high - width + 1}: index of the level ${step.level} entry` },
      h('span', { class: 'bits' }, `${high}:${high - width + 1}`),
      h('span', { class: 'index' }, String(step.index)),
    );
    high -= width;
    return cell;
  });
  return h(
    'ol',
    { class: 'split', 'aria-label': 'Indices and offset' },
    ...cells,
    h(
      'li',
      { class: 'offset', title: `bits ${low - 1}:0: offset in the page` },
      h('span', { class: 'bits' }, `${low - 1}:0`),
      h('span', { class: 'index' }, breakable(`0x${offsetValue.toString(16)}`)),
    ),
  );
}

/** Index widths by level: 10 and 10 for 32-bit paging, 2 at the top of PAE, 9 elsewhere (SDM vol. 3, 4.3 to 4.5). */
function indexWidths({ steps }: WalkStage): readonly { level: number; width: number }[] {
  const top = steps[0]?.level ?? 4;
  if (top === 2) return [1, 2].map((level) => ({ level, width: 10 }));
  if (top === 3) return [1, 2, 3].map((level) => ({ level, width: level === 3 ? 2 : 9 }));
  return [1, 2, 3, 4, 5].map((level) => ({ level, width: 9 }));
}
