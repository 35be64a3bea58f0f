import { isNaN, zero } from '../../fpu/float';
import { FLAG, setFlagResult } from '../lift/result-flags';
import type { Helper } from '../lift/helpers';
import { BEFORE, compared, type Order } from './arithmetic';
import { operandOf, type Source } from './operands';
import { FSW, isEmpty, note, pop, rawSt, readSt, setStatusWord, statusWord } from './registers';

const CONDITION: Readonly<Record<Order, number>> = {
  above: 0,
  below: FSW.C0,
  equal: FSW.C3,
  unordered: FSW.C3 | FSW.C2 | FSW.C0,
};
const EFLAGS: Readonly<Record<Order, number>> = {
  above: 0,
  below: FLAG.CF,
  equal: FLAG.ZF,
  unordered: FLAG.ZF | FLAG.PF | FLAG.CF,
};
const STACK_OR_INVALID = BEFORE;

/** FCOM FUCOM FICOM FTST: ST(0) against the source (`zero`: +0.0), into C3 C2 C0; then b pops. */
export function compareTo(source: Source | 'zero', quiet: boolean): Helper {
  return (s, _d, a, b) => {
    const x = operandOf(s, 'st', 0);
    const y = source === 'zero' ? zero(0) : operandOf(s, source, a);
    const { order, flags } = compared(x, y, quiet);
    const fatal = note(s, flags, false) & STACK_OR_INVALID;
    if (fatal === 0) {
      setStatusWord(s, (statusWord(s) & ~(FSW.C0 | FSW.C2 | FSW.C3)) | CONDITION[order]);
      pop(s, b);
    }
    return 0;
  };
}

/** FCOMI and FUCOMI: into the flags for slot d, old flags in slot d before; then b pops. */
export function compareToFlags(quiet: boolean): Helper {
  return (s, d, a, b) => {
    const { order, flags } = compared(operandOf(s, 'st', 0), operandOf(s, 'st', a), quiet);
    if ((note(s, flags, false) & STACK_OR_INVALID) === 0) {
      setFlagResult(s, d, EFLAGS[order]);
      pop(s, b);
    }
    return 0;
  };
}

/** FXAM: what ST(0) holds, in C3 C2 C0, and its sign in C1 (SDM vol. 2, table 3-41). No exception. */
export const examine: Helper = (s) => {
  const x = readSt(s, 0);
  let c: number;
  if (isEmpty(s, 0)) c = FSW.C3 | FSW.C0;
  else if (x.kind === 'unsupported') c = 0;
  else if (isNaN(x)) c = FSW.C0;
  else if (x.kind === 'infinity') c = FSW.C2 | FSW.C0;
  else if (x.kind === 'zero') c = FSW.C3;
  else c = x.denormal ? FSW.C3 | FSW.C2 : FSW.C2;
  if (rawSt(s, 0).signExponent & 0x8000) c |= FSW.C1;
  setStatusWord(s, (statusWord(s) & ~FSW.CONDITIONS) | c);
  return 0;
};
