import { must } from '../../base/assert';
import { hex } from '../../base/hex';
import type { Machine } from '../../vmm/machine';
import type { ViewPage } from '../types';
import { page, row, type ViewRequest } from './view';

/** KVM's counters by their debugfs names, then the hardware's. */
export function statisticsOf(machine: Machine): readonly (readonly [string, number])[] {
  const { counters, tlb } = machine.cpu;
  const { references } = machine;
  // what the CPU itself walks besides the guest's tables, or instead of them
  const second = { nested: 'nested', shadow: 'shadow', software: 'host' } as const;
  const walked = second[machine.accelerator.second.kind];
  return [
    ...Object.entries(machine.accelerator.stats()),
    ...Object.entries(machine.kernel.vmstat),
    ['instructions', Number(machine.instructions)],
    ['walks', counters.walks],
    ['guest_references', references.guest],
    [`${walked}_references`, references[walked]],
    ['failed_walks', counters.failedWalks],
    ['tlb_hits', tlb.hits],
    ['tlb_misses', tlb.misses],
  ];
}

export function statsView(machine: Machine, { path, start, count }: ViewRequest): ViewPage | undefined {
  if (path.length > 0) return undefined;
  return page(statisticsOf(machine), start, count, ([name, n]) =>
    row({ path: `stats/${name}`, name, value: String(n), raw: BigInt(n), kind: 'field' }),
  );
}

export function devicesView(machine: Machine, { path, start, count }: ViewRequest): ViewPage | undefined {
  if (path.length > 0) return undefined;
  return page(machine.bus.all, start, count, ({ name, range: { space, first, last } }) => {
    const ports = first === last ? `port ${hex(first)}` : `ports ${hex(first)}–${hex(last)}`;
    const value = space === 'port' ? ports : `GPA ${hex(first)}–${hex(last)}`;
    return row({ path: `devices/${name}`, name, kind: 'text', value });
  });
}

/** Exits that the view lists; the VM Exits panel has all that are recorded. */
const LISTED = 4096;

/** The latest exits, newest first. */
export function exitsView(machine: Machine, { path, start, count }: ViewRequest): ViewPage | undefined {
  if (path.length > 0) return undefined;
  const { records } = machine.exits;
  const listed = Math.min(LISTED, records.count - records.first);
  const numbers = Array.from({ length: listed }, (_, i) => records.count - 1 - i);
  return page(numbers, start, count, (number) => {
    const r = must(records.at(number), 'a listed exit is recorded');
    const about = [
      r.gpa === undefined ? '' : `GPA ${hex(r.gpa)}`,
      r.gva === undefined ? '' : `GVA ${hex(r.gva)}`,
      `RIP ${hex(r.rip)}`,
    ].filter((t) => t !== '');
    return row({
      path: `exits/${r.number + 1}`,
      name: `${r.number + 1} ${r.name}`,
      kind: 'field',
      value: about.join(', '),
      ...(r.gpa === undefined ? {} : { address: { space: 'gpa', value: r.gpa } as const }),
    });
  });
}
