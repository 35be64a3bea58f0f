/** A comparison drawn: the verdict, cycles as bars by who spent them, all numbers as a table, and what the model's cycles are made of. */
import type { Comparison } from '../../../protocol/panels/compare';
import { h } from '../../dom';
import { LANES, linesOf, type Line } from './model';

const n = (value: number): string => value.toLocaleString('en');

export function verdict({ equal, differences, methods, refused }: Comparison): HTMLElement {
  const text =
    methods.length < 2
      ? h('p', {}, 'One method ran: there is nothing to compare it with.')
      : equal
        ? h(
            'p',
            { class: 'same' },
            '✓ The guest cannot tell them apart: end, registers, memory and output are the same.',
          )
        : h('p', { class: 'differs' }, '✗ The guest-visible result differs:');
  return h(
    'div',
    { class: 'verdict' },
    text,
    differences.length > 0 &&
      h(
        'ul',
        {},
        ...differences.map(({ what, where, values }) =>
          h(
            'li',
            {},
            `${what}${where === undefined ? '' : ` ${where}`}: `,
            Object.entries(values)
              .map(([method, value]) => `${method} ${value}`)
              .join(', '),
          ),
        ),
      ),
    ...refused.map(({ title, why }) => h('p', { class: 'refused' }, `${title} did not run: ${why}`)),
  );
}

/** Cycles as one bar a method, its parts by who spent them. */
export function chart({ methods }: Comparison): HTMLElement {
  const most = Math.max(...methods.map(({ cycles }) => cycles), 1);
  return h(
    'section',
    { class: 'chart', 'aria-label': 'Cycles by the cost model' },
    h('h2', {}, 'Cycles', h('span', { class: 'model' }, ' by the cost model')),
    ...methods.map(({ title, cycles, cyclesBy, dominant }) => {
      const bar = h('span', { class: 'bar', 'aria-hidden': true });
      for (const { lane, title: who } of LANES) {
        const part = h('span', { class: `part ${lane}`, title: `${who}: ${n(Math.round(cyclesBy[lane]))}` });
        part.style.width = `${(100 * cyclesBy[lane]) / most}%`;
        bar.append(part);
      }
      return h(
        'p',
        { class: 'method' },
        h('span', { class: 'title' }, title),
        bar,
        h('span', { class: 'sum' }, n(Math.round(cycles))),
        h('span', { class: 'dominant' }, dominant),
      );
    }),
    h(
      'p',
      { class: 'legend', 'aria-hidden': true },
      ...LANES.map(({ lane, title }) => h('span', { class: 'key' }, h('span', { class: `part ${lane}` }), title)),
    ),
  );
}

export function table(comparison: Comparison): HTMLElement {
  const { methods } = comparison;
  const heads = methods.map(({ title }) => h('th', { scope: 'col' }, title));
  const all = h(
    'table',
    {},
    h('thead', {}, h('tr', {}, h('td', {}), ...heads)),
    h('tbody', {}, ...linesOf(comparison).map(row)),
  );
  all.style.setProperty('--methods', String(methods.length));
  return h('div', { class: 'scroll', tabindex: 0, role: 'region', 'aria-label': 'All numbers' }, all);
}

function row({ title, part, values, most }: Line): HTMLElement {
  const cells = values.map((value) => {
    const bar = h('span', { class: 'level', 'aria-hidden': true });
    bar.style.width = `${(100 * value) / most}%`;
    return h('td', { class: value === 0 ? 'zero' : '' }, bar, h('span', { class: 'number' }, n(value)));
  });
  return h('tr', { class: part ? 'part-of' : 'whole' }, h('th', { scope: 'row' }, title), ...cells);
}

export function costs({ costs: list }: Comparison): HTMLElement {
  return h(
    'details',
    { class: 'costs' },
    h('summary', {}, 'Where the cycles go'),
    h('p', { class: 'model' }, 'Parameters of a model, not measurements of this machine.'),
    h(
      'ul',
      {},
      ...list.map(({ name, cycles, source }) =>
        h('li', {}, h('code', {}, name), ` ${n(cycles)} `, h('span', { class: 'source' }, source)),
      ),
    ),
  );
}
