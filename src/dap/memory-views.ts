/** The requests of the memory panels: TLB, and the map of guest memory. */
import type { Hex } from '../protocol/translation';
import { pagemapText } from '../session/tables/pagemap-file';
import { encode } from '../wire/encode';
import { requestError } from './errors';
import type { Handlers } from './requests';

function addressOf(text: Hex | undefined, name: string): bigint | undefined {
  if (text === undefined) return undefined;
  if (!/^0x[0-9a-f]{1,16}$/i.test(text)) throw requestError('badArgument', `${name}: ${text} is not an address`);
  return BigInt(text);
}
function countOf(n: number | undefined): number | undefined {
  if (n !== undefined && (!Number.isInteger(n) || n < 0))
    throw requestError('badArgument', `most: ${n} is not a count`);
  return n;
}

export const memoryViewRequests: Handlers<'pagewalk/tlb' | 'pagewalk/memoryMap' | 'pagewalk/pagemap'> = {
  'pagewalk/tlb'(adapter, args) {
    return encode(adapter.stopped.tables.tlb(countOf(args.most)));
  },
  'pagewalk/pagemap'(adapter, { format }) {
    const rows = adapter.stopped.tables.pagemap();
    const text = format === 'json' ? JSON.stringify({ pages: encode(rows) }, undefined, 2) + '\n' : pagemapText(rows);
    return { text, pages: rows.length };
  },
  'pagewalk/memoryMap'(adapter, args) {
    const [from, to, most] = [addressOf(args.from, 'from'), addressOf(args.to, 'to'), countOf(args.most)];
    return encode(
      adapter.stopped.tables.memoryMap({
        ...(from === undefined ? {} : { from }),
        ...(to === undefined ? {} : { to }),
        ...(most === undefined ? {} : { most }),
      }),
    );
  },
};
