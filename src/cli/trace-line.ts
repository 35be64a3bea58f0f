import type { Step } from '../session/types';
import { encode } from '../wire/encode';

/**
 * One line of a trace: the Step, after how many guest instructions, who did it in which mode, what, the addresses known, entries read and written, VMCS
 * fields read and written, table entries loaded, and cycles of the cost model. The schema is in README.md beside this file.
 */
export function traceLine(instructions: number, step: Step): string {
  const { actor, mode, fn, what, addresses, reads, writes, vmcs, references, cycles } = step;
  return (
    JSON.stringify(
      encode({
        instructions,
        who: actor,
        mode,
        function: fn,
        what,
        addresses,
        reads,
        writes,
        vmcs,
        references,
        cycles,
      }),
    ) + '\n'
  );
}
