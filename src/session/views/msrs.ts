import { hex } from '../../base/hex';
import { MSR } from '../../isa/msrs';
import type { GuestView } from '../guest/view';
import type { ViewPage } from '../types';
import { page, row, type ViewRequest } from './view';

/** The MSRs that have a name and that the guest's RDMSR would read. */
export function msrsView(g: GuestView, { path, start, count }: ViewRequest): ViewPage | undefined {
  if (path.length > 0) return undefined;
  const all = Object.entries(MSR).flatMap(([name, index]) => {
    const value = g.accelerator.readMsr(index);
    return value === undefined ? [] : [{ name, index, value }];
  });
  return page(all, start, count, ({ name, index, value }) =>
    row({
      path: `msrs/${name}`,
      name,
      value: hex(value),
      raw: value,
      kind: 'register',
      editable: true,
      evaluateName: `msr(${hex(index)})`,
      detail: [`MSR ${hex(index)}`],
    }),
  );
}
