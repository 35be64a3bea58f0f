/** The request of the Compare panel (src/protocol/panels/compare.ts). */
import { Compare } from '../../session/compare/compare';
import type { DebugTarget } from '../../session/api';
import { parseMethods } from '../../session/compare/methods';
import type { CompareReply } from '../../protocol/panels/compare';
import { encode } from '../../wire/encode';
import { compact } from '../compact';
import { type Handlers } from '../requests';
import { requestError } from '../errors';

/** How long one request works. */
const SLICE_MS = 40;
/** Instructions between two looks at the clock. */
const BUDGET = 20_000;

/** The comparison under way of a target; there is one at a time. */
const underWay = new WeakMap<DebugTarget, Compare>();

export const compareRequests: Handlers<'pagewalk/compare'> = {
  'pagewalk/compare'(adapter, { methods, start }) {
    const { stopped, host } = adapter;
    if (start) {
      const list = adapter.unwrap(parseMethods(String(methods), 'methods'));
      underWay.set(stopped, new Compare(stopped.program, list));
    }
    const compare = underWay.get(stopped);
    if (!compare) throw requestError('badArgument', 'no comparison was started');
    const until = host.now() + SLICE_MS;
    for (;;) {
      const result = compare.run(BUDGET);
      if (result) underWay.delete(stopped);
      if (result || host.now() >= until)
        return compact<CompareReply>({ result: result && encode(result), progress: compare.progress });
    }
  },
};
