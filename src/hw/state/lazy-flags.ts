import { ARITHMETIC_FLAGS } from '../../isa/flags';
import { SLOT } from './layout';

/**
 * Lazy arithmetic flags. CC_OP (low 32 bits of its slot) says how CF PF AF ZF SF OF follow from result and operands:
 * kind << 2 | log2(width in bytes). With result r, operands a and b, and m the sign bit of the width:
 *
 *   ADD (also ADC): CF = msb((a & b) | ((a | b) & ~r))   OF = msb((a ^ r) & (b ^ r))   AF = bit 4 of a ^ b ^ r
 *   SUB (also SBB): CF = msb((~a & b) | ((~a | b) & r))  OF = msb((a ^ b) & (a ^ r))   AF = bit 4 of a ^ b ^ r
 *   LOGIC:          CF = OF = AF = 0
 *   INC, DEC:       CF = CC_B (0 or 1), OF by r = min or r = max, AF by the low nibble
 *   EXPLICIT:       CC_RES holds the flags at their RFLAGS positions
 *
 * Bits of result and operands above the width are ignored; lifters leave there what the micro-ops did.
 */
export const CC = { EXPLICIT: 0, ADD: 1, SUB: 2, LOGIC: 3, INC: 4, DEC: 5 } as const;

const PARITY = new Uint8Array(256);
for (let i = 0; i < 256; i++) {
  let p = i ^ (i >> 4);
  p ^= p >> 2;
  p ^= p >> 1;
  PARITY[i] = p & 1 ? 0 : 4;
}
/** PF (as 4 or 0) of the low byte. */
export const parityFlag = (byte: number): number => PARITY[byte & 0xff] as number;

const RES = SLOT.CC_RES * 2;
const A = SLOT.CC_A * 2;
const B = SLOT.CC_B * 2;
const OP = SLOT.CC_OP * 2;

/** Top word (the one with the sign bit at bit 31 after shifting) helpers for widths 1, 2, 4, 8. */
const SHIFT = [24, 16, 0, 0] as const;

/** CF as 0 or 1. */
export function carryFlag(r: Int32Array): number {
  const op = r[OP] as number;
  const w = op & 3;
  switch (op >> 2) {
    case CC.EXPLICIT:
      return (r[RES] as number) & 1;
    case CC.ADD: {
      const h = w === 3 ? 1 : 0;
      const a = r[A + h] as number,
        b = r[B + h] as number,
        x = r[RES + h] as number;
      return (((a & b) | ((a | b) & ~x)) << (SHIFT[w] as number)) >>> 31;
    }
    case CC.SUB: {
      const h = w === 3 ? 1 : 0;
      const a = r[A + h] as number,
        b = r[B + h] as number,
        x = r[RES + h] as number;
      return (((~a & b) | ((~a | b) & x)) << (SHIFT[w] as number)) >>> 31;
    }
    case CC.LOGIC:
      return 0;
    default:
      return (r[B] as number) & 1;
  }
}

/** ZF as a boolean. */
function zeroFlag(r: Int32Array): boolean {
  const op = r[OP] as number;
  if (op >> 2 === CC.EXPLICIT) return ((r[RES] as number) & 0x40) !== 0;
  switch (op & 3) {
    case 0:
      return ((r[RES] as number) & 0xff) === 0;
    case 1:
      return ((r[RES] as number) & 0xffff) === 0;
    case 2:
      return r[RES] === 0;
    default:
      return ((r[RES] as number) | (r[RES + 1] as number)) === 0;
  }
}

/** SF as 0 or 1. */
function signFlag(r: Int32Array): number {
  const op = r[OP] as number;
  if (op >> 2 === CC.EXPLICIT) return ((r[RES] as number) >> 7) & 1;
  const w = op & 3;
  return ((r[RES + (w === 3 ? 1 : 0)] as number) << (SHIFT[w] as number)) >>> 31;
}

/** OF as 0 or 1. */
function overflowFlag(r: Int32Array): number {
  const op = r[OP] as number;
  const w = op & 3;
  const h = w === 3 ? 1 : 0;
  const s = SHIFT[w] as number;
  const x = r[RES + h] as number;
  switch (op >> 2) {
    case CC.EXPLICIT:
      return ((r[RES] as number) >> 11) & 1;
    case CC.ADD:
      return ((((r[A + h] as number) ^ x) & ((r[B + h] as number) ^ x)) << s) >>> 31;
    case CC.SUB:
      return ((((r[A + h] as number) ^ (r[B + h] as number)) & ((r[A + h] as number) ^ x)) << s) >>> 31;
    case CC.LOGIC:
      return 0;
    case CC.INC:
      // overflow when the result is the most negative value
      return (x << s) >>> 0 === 0x8000_0000 && (w !== 3 || r[RES] === 0) ? 1 : 0;
    default:
      // DEC: overflow when the result is the most positive value
      return ((x << s) >>> 0) >>> s === 0x7fff_ffff >>> s && (w !== 3 || r[RES] === -1) ? 1 : 0;
  }
}

function adjustFlag(r: Int32Array): number {
  const op = r[OP] as number;
  const x = r[RES] as number;
  switch (op >> 2) {
    case CC.EXPLICIT:
      return x & 0x10;
    case CC.ADD:
    case CC.SUB:
      return ((r[A] as number) ^ (r[B] as number) ^ x) & 0x10;
    case CC.INC:
      return (x & 0xf) === 0 ? 0x10 : 0;
    case CC.DEC:
      return (x & 0xf) === 0xf ? 0x10 : 0;
    default:
      return 0;
  }
}

/** CF PF AF ZF SF OF at their RFLAGS positions. */
export function arithmeticFlags(r: Int32Array): number {
  const op = r[OP] as number;
  if (op >> 2 === CC.EXPLICIT) return (r[RES] as number) & ARITHMETIC_FLAGS;
  return (
    carryFlag(r) |
    parityFlag(r[RES] as number) |
    adjustFlag(r) |
    (zeroFlag(r) ? 0x40 : 0) |
    (signFlag(r) << 7) |
    (overflowFlag(r) << 11)
  );
}

export function setArithmeticFlags(r: Int32Array, flags: number): void {
  r[OP] = CC.EXPLICIT << 2;
  r[RES] = flags & ARITHMETIC_FLAGS;
  r[RES + 1] = 0;
}

/** Condition codes by their encoding (SDM vol. 1, appendix B): O NO B AE E NE BE A S NS P NP L GE LE G. */
export function condition(r: Int32Array, cc: number): boolean {
  let v: boolean;
  switch (cc >> 1) {
    case 0:
      v = overflowFlag(r) !== 0;
      break;
    case 1:
      v = carryFlag(r) !== 0;
      break;
    case 2:
      v = zeroFlag(r);
      break;
    case 3:
      v = zeroFlag(r) || carryFlag(r) !== 0;
      break;
    case 4:
      v = signFlag(r) !== 0;
      break;
    case 5:
      v = (arithmeticFlags(r) & 4) !== 0;
      break;
    case 6:
      v = signFlag(r) !== overflowFlag(r);
      break;
    default:
      v = zeroFlag(r) || signFlag(r) !== overflowFlag(r);
      break;
  }
  return (cc & 1) === 1 ? !v : v;
}
