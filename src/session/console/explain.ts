import { hex } from '../../base/hex';
import { reasonsOf, type FaultInChain } from '../../vmm/fault-reasons';
import { evaluateExpression } from './evaluate';
import { accessWords } from '../translate/failure-words';
import { refuse, text, type MonitorAnswer, type MonitorContext } from './monitor-context';
import { translateGva } from '../translate/translate';

/** `#PF(0x2) at RIP 0x100020, address 0x200000: the PDE (0x0) is not present (SDM vol. 3, 4.7)`. */
function faultLine({ event, error, rip, address, why }: FaultInChain): string {
  const code = error === undefined ? '' : `(${hex(error)})`;
  const at = address === undefined ? '' : `, address ${hex(address)}`;
  return `${event}${code} at RIP ${hex(rip)}${at}: ${why}`;
}

/** The last exception, or the last that could not be delivered with all that came of it. */
export function explainLast({ machine }: MonitorContext): MonitorAnswer {
  const { chain } = machine.cpu;
  const events = reasonsOf(chain.latest);
  if (events.length === 0) return text(['no exception has been delivered to the guest yet']);
  const last =
    events.length === 1 ? 'the last exception' : 'the last exceptions, each of which the next one came up in';
  const pending = chain.events.length > 0 ? ', not yet at its handler' : '';
  return text([`${last}${pending}:`, ...events.map((e) => `  ${faultLine(e)}`)]);
}

/** What reads, writes and fetches of a linear address would meet now, at the CPL of the guest. */
export function explainAddress({ guest, names }: MonitorContext, argument: string): MonitorAnswer {
  const at = evaluateExpression(argument, names);
  if (!at.ok) return at;
  const address = at.value.kind === 'memory' ? at.value.address?.value : at.value.value;
  if (address === undefined) return refuse('notAnAddress', `\`${argument}\` is not an address`);
  const lines = (['read', 'write', 'fetch'] as const).map((op) => {
    const access = { op, user: guest.cpl === 3, implicit: false };
    const { failure, gpa, hpa } = translateGva(guest, address, access);
    const found = `reaches ${gpa === undefined ? '' : `GPA ${hex(gpa)}`}${hpa === undefined ? '' : `, HPA ${hex(hpa)}`}`;
    return `${accessWords(access)} of ${hex(address)}: ${failure ? (failure.explanation ?? failure.reason) : found}`;
  });
  return text(lines);
}
