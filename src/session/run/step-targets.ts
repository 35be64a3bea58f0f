/** Where a step into the next instruction can lead, where there is more than one answer: into the call, or into the exit that its push causes. */
import { disassemble } from '../../asm/index';
import { SEG } from '../../hw/state/layout';
import type { GuestView } from '../guest/view';
import type { MemoryAccess } from '../guest/memory';
import type { Names } from '../console/names';
import type { Translate } from '../translate/translation';

/** `call`: exits on the way are handled, and the step ends at the callee's first instruction. `exit`: it ends at the exit's first Step. */
export type StepTargetKind = 'call' | 'exit';
export interface StepTarget {
  readonly kind: StepTargetKind;
  readonly label: string;
}

const RSP = 4;
const MAX_INSTRUCTION = 15;
const CALL = /^call\b(?:\s+(?:near|far|short|[a-z]?word|word))*\s*(.*)$/;

/** Both targets of a call whose push exits; of a call that does not, the call; of any other instruction none. */
export function stepTargets(
  guest: GuestView,
  memory: MemoryAccess,
  names: Names,
  translate: Translate,
): readonly StepTarget[] {
  const { rip } = guest.state;
  const { bytes } = memory.read({ space: 'gva', value: guest.linearRip }, MAX_INSTRUCTION);
  const [insn] = disassemble(bytes, rip, guest.bits, 1);
  const operand = insn?.valid ? CALL.exec(insn.text)?.[1] : undefined;
  if (operand === undefined) return [];
  const call: StepTarget = { kind: 'call', label: `call ${calleeName(operand, guest, names)}` };
  const event = pushExit(guest, translate);
  return event === undefined ? [call] : [call, { kind: 'exit', label: `VM exit ${event} of the push` }];
}

/** The name of a direct callee, or the operand as it is written. */
function calleeName(operand: string, guest: GuestView, names: Names): string {
  if (!/^0x[0-9a-f]+$/i.test(operand)) return operand;
  return names.symbols.symbolOf(guest.linear(SEG.CS, BigInt(operand))) ?? operand;
}

/** The exit that the push of a return address would cause now; undefined: it completes, or faults in the guest. */
function pushExit(guest: GuestView, translate: Translate): string | undefined {
  const top = guest.linear(SEG.SS, guest.state.get(RSP) - BigInt(guest.bits / 8));
  const answer = translate({ address: top, space: 'gva', access: 'w' });
  const failure = answer.kind === 'forward' ? answer.chain.failure : undefined;
  return failure && failure.stage !== 'guest' ? (failure.event ?? failure.reason) : undefined;
}
