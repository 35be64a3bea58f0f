import { Mnemonic } from 'iced-x86';
import { HELPER_FAULT } from '../helper-faults';
import { parityFlag } from '../../state/lazy-flags';
import type { Emitter } from './emitter';
import type { Helper } from './helpers';
import { FLAG, currentFlags, setFlagResult } from './result-flags';
import type { Lifter, LifterTable } from './table';

const RAX = 0;

/** SF ZF PF of AL. */
const byteFlags = (al: number): number => ((al & 0x80) !== 0 ? FLAG.SF : 0) | (al === 0 ? FLAG.ZF : 0) | parityFlag(al);

/** DAA and DAS (SDM vol. 2): slot a is AX; AX to d, flags to d + 1. OF is undefined; it is that of the addition or subtraction. */
function decimalAdjust(sign: 1 | -1): Helper {
  return (s, d, a) => {
    const ax = s.get32(a) & 0xffff;
    const old = ax & 0xff;
    const flags = currentFlags(s);
    let al = old;
    let cf = (flags & FLAG.CF) !== 0;
    const af = (old & 0xf) > 9 || (flags & FLAG.AF) !== 0;
    const high = old > 0x99 || cf;
    if (af) {
      if (sign < 0 && !high) cf = old < 6;
      al += sign * 6;
    }
    if (high) {
      al += sign * 0x60;
      cf = true;
    }
    al &= 0xff;
    const overflow = ((sign > 0 ? ~old & al : old & ~al) & 0x80) !== 0;
    s.set32(d, (ax & 0xff00) | al);
    setFlagResult(s, d + 1, byteFlags(al) | (cf ? FLAG.CF : 0) | (af ? FLAG.AF : 0) | (overflow ? FLAG.OF : 0));
    return 0;
  };
}

/** AAA and AAS: OF SF ZF PF are undefined; SF ZF PF follow the new AL, OF is cleared. */
function asciiAdjust(sign: 1 | -1): Helper {
  return (s, d, a) => {
    let ax = s.get32(a) & 0xffff;
    const adjust = (ax & 0xf) > 9 || (currentFlags(s) & FLAG.AF) !== 0;
    if (adjust) ax = sign > 0 ? ax + 0x106 : ax - 6 - 0x100;
    ax &= 0xff0f;
    s.set32(d, ax);
    setFlagResult(s, d + 1, byteFlags(ax & 0xff) | (adjust ? FLAG.CF | FLAG.AF : 0));
    return 0;
  };
}

/** AAM: AH ← AL ÷ base, AL ← AL mod base; #DE for base 0. CF OF AF are undefined and cleared. */
const aam: Helper = (s, d, a, b) => {
  const base = s.get32(b) & 0xff;
  if (base === 0) return HELPER_FAULT.DIVIDE_ZERO;
  const al = s.get32(a) & 0xff;
  const rest = al % base;
  s.set32(d, (Math.trunc(al / base) << 8) | rest);
  setFlagResult(s, d + 1, byteFlags(rest));
  return 0;
};

/** AAD: AL ← AL + AH × base, AH ← 0. CF OF AF are undefined and cleared. */
const aad: Helper = (s, d, a, b) => {
  const ax = s.get32(a);
  const al = ((ax & 0xff) + ((ax >>> 8) & 0xff) * (s.get32(b) & 0xff)) & 0xff;
  s.set32(d, al);
  setFlagResult(s, d + 1, byteFlags(al));
  return 0;
};

function onAx(helper: Helper): Lifter {
  return (e: Emitter) => {
    const base = e.insn.operands.length > 0 ? e.read(0, 8) : RAX;
    const d = e.helpMany(helper, 2, RAX, base);
    e.putGpr(RAX, 16, d);
    e.putFlags(d + 1);
  };
}

/** DAA DAS AAA AAS AAM AAD; none exists in 64-bit mode (SDM vol. 2). */
export const BCD: LifterTable = new Map<number, Lifter>([
  [Mnemonic.Daa, onAx(decimalAdjust(1))],
  [Mnemonic.Das, onAx(decimalAdjust(-1))],
  [Mnemonic.Aaa, onAx(asciiAdjust(1))],
  [Mnemonic.Aas, onAx(asciiAdjust(-1))],
  [Mnemonic.Aam, onAx(aam)],
  [Mnemonic.Aad, onAx(aad)],
]);
