/** One exit: what it was, and how it was handled, as a sequence between the five actors or as a call graph in text. */
import { EXIT_LANES, type ExitDetail, type ExitLane, type ExitStep } from '../../../protocol/panels/exits';
import { h, number } from '../../dom';
import { svg } from '../../svg';
import { LANE_NAMES, SHORT_NAMES } from './drawing';
import { cyclesText } from './scale';

const LANE_WIDTH = 28;
const ROW = 40;
const WIDTH = EXIT_LANES.length * LANE_WIDTH;
const centre = (lane: number): number => lane * LANE_WIDTH + LANE_WIDTH / 2;
const laneOf = (actor: ExitLane): number => EXIT_LANES.indexOf(actor);

/** How deep each stands in the calls: the CPU exits to KVM, which calls into the host kernel or returns to the VMM. */
const DEPTH: Readonly<Record<ExitLane, number>> = { guest: 0, cpu: 0, kvm: 1, host: 2, vmm: 2 };

/** The lifelines of one row, the dot of who acts, and the arrow from who acted before. */
function lifelines(lane: number, before: number | undefined, isLast: boolean): SVGSVGElement {
  const y = ROW / 2;
  const arrow =
    before !== undefined && before !== lane
      ? [
          svg('path', { class: 'call', d: `M${centre(before)},0 V${y} H${centre(lane) + (before < lane ? -6 : 6)}` }),
          svg('path', {
            class: 'head',
            d: before < lane ? `M${centre(lane) - 9},${y - 4} l5,4 l-5,4` : `M${centre(lane) + 9},${y - 4} l-5,4 l5,4`,
          }),
        ]
      : before === lane
        ? [svg('path', { class: 'call', d: `M${centre(lane)},0 V${y}` })]
        : [];
  return svg(
    'svg',
    { viewBox: `0 0 ${WIDTH} ${ROW}`, width: WIDTH, height: ROW, 'aria-hidden': 'true' },
    ...EXIT_LANES.map((_, i) => svg('line', { class: 'life', x1: centre(i), x2: centre(i), y1: 0, y2: ROW })),
    ...arrow,
    !isLast && svg('path', { class: 'call', d: `M${centre(lane)},${y} V${ROW}` }),
    svg('circle', { class: 'actor', cx: centre(lane), cy: y, r: 4 }),
  );
}

export function sequence({ steps = [], stepCount, open }: ExitDetail): HTMLElement {
  // the guest's instruction comes first and continues at the end: the exit begins and ends there
  const guest: ExitStep = { actor: 'guest', mode: 'non-root', fn: 'the instruction exits', cycles: 0 };
  const shown = [guest, ...steps];
  const isAll = steps.length === stepCount && !open;
  if (isAll && steps.at(-1)?.actor === 'cpu') shown.push({ ...guest, fn: 'the guest continues' });
  return h(
    'div',
    { class: 'sequence' },
    h('div', { class: 'heads', 'aria-hidden': 'true' }, ...SHORT_NAMES.map((name) => h('span', {}, name))),
    h(
      'ol',
      { 'aria-label': 'Steps' },
      ...shown.map((each, i) => {
        const lane = laneOf(each.actor);
        const before = shown[i - 1];
        return h(
          'li',
          { title: each.what, class: each.actor },
          lifelines(lane, before && laneOf(before.actor), i === shown.length - 1),
          h(
            'span',
            { class: 'said' },
            h('span', { class: 'spoken' }, `${LANE_NAMES[lane] ?? ''}: `),
            h('code', { class: 'fn' }, each.fn),
            each.cycles > 0 && h('span', { class: 'cost' }, ` ${each.cycles.toLocaleString('en')}`),
            each.what !== undefined && h('span', { class: 'what' }, ` ${each.what}`),
          ),
        );
      }),
    ),
    steps.length < stepCount &&
      h('p', { class: 'more' }, `… and ${(stepCount - steps.length).toLocaleString('en')} further Steps.`),
  );
}

/** As Linux's function_graph tracer writes it: cycles, then calls by depth. */
export function graphText({ row, steps = [] }: ExitDetail): string {
  const lines = [`# exit ${row.number}: ${row.title}`, '#  CYCLES  ACTOR  FUNCTION CALLS'];
  steps.forEach((step, i) => {
    const next = steps[i + 1];
    const depth = DEPTH[step.actor];
    const calls = next && DEPTH[next.actor] > depth;
    const indent = '  '.repeat(depth);
    const cost = step.cycles.toLocaleString('en').padStart(9);
    lines.push(`${cost}  ${step.actor.padEnd(5)} | ${indent}${step.fn}${calls ? '() {' : '();'}`);
    for (let closed = depth - 1; next && closed >= DEPTH[next.actor]; closed--)
      lines.push(`${' '.repeat(16)} | ${'  '.repeat(closed)}}`);
  });
  lines.push(`${row.cost.toLocaleString('en').padStart(9)}  cycles of the cost model in all`);
  return lines.join('\n') + '\n';
}

export interface DetailActions {
  source(path: string, line: number): void;
  translate(address: string, space: 'gva' | 'gpa'): void;
  copy(text: string): void;
  filter(address: string): void;
}

const fact = (name: string, ...value: (Node | string | false | undefined)[]): HTMLElement[] => [
  h('dt', {}, name),
  h('dd', {}, ...value),
];

function link(text: Node | string, label: string, act: () => void): HTMLElement {
  const button = h('button', { type: 'button', class: 'link', title: label }, text);
  button.addEventListener('click', act);
  return button;
}

export function facts({ row, decoded }: ExitDetail, act: DetailActions): HTMLElement {
  const { source, symbol, gva, gpa } = row;
  const place = source && `${source.path.replace(/^.*[\\/]/, '')}:${source.line}`;
  return h(
    'dl',
    { class: 'facts-list' },
    ...fact(
      'Instruction',
      symbol !== undefined && h('code', {}, `${symbol} `),
      number(row.address),
      source && ' ',
      source && link(place ?? '', 'Show the instruction in the editor', () => act.source(source.path, source.line)),
    ),
    ...(gva === undefined
      ? []
      : fact(
          'GVA',
          link(number(gva, 'gva'), 'Show its walk', () => act.translate(gva, 'gva')),
        )),
    ...(gpa === undefined
      ? []
      : fact(
          'GPA',
          link(number(gpa, 'gpa'), 'Show its walk', () => act.translate(gpa, 'gpa')),
        )),
    ...(decoded.length === 0
      ? []
      : fact('Qualification', number(row.qualification), ' ', decoded.map((d) => `${d.name} ${d.value}`).join(', '))),
    ...fact('When', `${row.instructions.toLocaleString('en')} instructions, ${row.start.toLocaleString('en')} cycles`),
    ...fact(
      'Cost',
      `${row.cost.toLocaleString('en')} cycles: `,
      EXIT_LANES.map((_, i) => [i, row.lanes[i] ?? 0] as const)
        .filter(([, n]) => n > 0)
        .map(([i, n]) => `${LANE_NAMES[i] ?? ''} ${cyclesText(n)}`)
        .join(', '),
    ),
  );
}
