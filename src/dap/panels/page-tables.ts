/** The requests of the Page Tables panel (src/protocol/panels/page-tables.ts). */
import { hex } from '../../base/hex';
import { TABLE_SETS, type TableFilter, type TableSet } from '../../protocol/panels/page-tables';
import { encode } from '../../wire/encode';
import { addressIn } from '../custom';
import { requestError } from '../errors';
import type { Handlers } from '../requests';
import { frameIfThere } from '../stack';

type Names = 'pagewalk/tables/sets' | 'pagewalk/tables/rows' | 'pagewalk/tables/find' | 'pagewalk/tables/strips';

function known(set: string): TableSet {
  const found = TABLE_SETS.find((each) => each === set);
  if (!found) throw requestError('badArgument', `there are no ${set} tables; there are ${TABLE_SETS.join(', ')}`);
  return found;
}
const pathOf = (path: readonly string[]): readonly string[] => {
  if (!Array.isArray(path) || path.length > 16)
    throw requestError('badArgument', 'path: not a list of at most 16 steps');
  return path.map(String);
};

function filterOf(filter: TableFilter | undefined): TableFilter | undefined {
  switch (filter?.kind) {
    case undefined:
    case 'changed':
    case 'drifted':
      return filter;
    case 'flag':
      return { kind: 'flag', flag: String(filter.flag), without: filter.without };
  }
  throw requestError('badArgument', 'filter: kind is flag, changed or drifted');
}

export const pageTablesRequests: Handlers<Names> = {
  'pagewalk/tables/sets'(adapter, { moment }) {
    return { sets: encode(adapter.stopped.tables.maps.sets(moment)) };
  },
  'pagewalk/tables/rows'(adapter, { set, moment, path, start, count, filter }) {
    const { maps } = adapter.stopped.tables;
    return encode(adapter.unwrap(maps.page(known(set), moment, pathOf(path), start, count, filterOf(filter))));
  },
  'pagewalk/tables/find'(adapter, { set, moment, expression, frameId }) {
    const evaluation = adapter.unwrap(
      adapter.stopped.console.evaluate(expression, { ...frameIfThere(adapter, frameId), acts: false }),
    );
    const address = addressIn(evaluation);
    if (address === undefined) throw requestError('badArgument', `${expression} is not an address`);
    return { address: hex(address), ...adapter.unwrap(adapter.stopped.tables.maps.find(known(set), moment, address)) };
  },
  'pagewalk/tables/strips'(adapter, { set, moment, path }) {
    return { strips: encode(adapter.unwrap(adapter.stopped.tables.maps.strips(known(set), moment, pathOf(path)))) };
  },
};
