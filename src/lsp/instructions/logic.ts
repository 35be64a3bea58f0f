import type { InstructionDoc, InstructionTable } from './doc';
import { doc } from './doc';

const COUNT =
  'The count is taken modulo 32, or modulo 64 for 64-bit operands; a count of 0 changes no flag. OF has a meaning for a count of 1 only.';
const shift = (title: string, does: string, operation: string): InstructionDoc =>
  doc(title, does, { operation, flags: COUNT });
const rotate = (title: string, does: string): InstructionDoc =>
  doc(title, does, { flags: `Changes CF and OF only. ${COUNT}` });
const bit = (title: string, does: string, operation: string): InstructionDoc =>
  doc(
    title,
    `${does} With a register as bit number and memory as base the bit may lie in another word than the one addressed.`,
    operation,
  );

/** Bits: logic, shifts, scans. */
export const LOGIC: InstructionTable = {
  and: doc('Logical AND', 'Keeps the bits that are set in both.', 'dst ← dst ∧ src'),
  or: doc('Logical OR', 'Sets the bits that are set in either.', 'dst ← dst ∨ src'),
  xor: doc(
    'Exclusive OR',
    'Sets the bits that differ. With the same register twice it clears the register.',
    'dst ← dst ⊕ src',
  ),
  not: doc('Complement', 'Inverts every bit. No flag changes.', 'dst ← ¬dst'),
  test: doc('Test bits', 'Sets the flags as `and` would and stores nothing.', 'flags of (dst ∧ src)'),
  shl: shift('Shift left', 'Shifts left and fills with zeros; CF is the last bit shifted out.', 'dst ← dst × 2^count'),
  sal: shift('Shift left', 'The same instruction as `shl`.', 'dst ← dst × 2^count'),
  shr: shift(
    'Shift right',
    'Shifts right and fills with zeros; CF is the last bit shifted out.',
    'dst ← unsigned dst ÷ 2^count',
  ),
  sar: shift(
    'Shift arithmetic right',
    'Shifts right and fills with the sign; CF is the last bit shifted out.',
    'dst ← signed dst ÷ 2^count, rounded down',
  ),
  rol: rotate('Rotate left', 'Bits that leave at the top come back at the bottom.'),
  ror: rotate('Rotate right', 'Bits that leave at the bottom come back at the top.'),
  rcl: rotate('Rotate left through carry', 'Rotates the operand and CF as one number, to the left.'),
  rcr: rotate('Rotate right through carry', 'Rotates the operand and CF as one number, to the right.'),
  shld: shift(
    'Shift left double',
    'Shifts the destination left and fills it from the top of the source.',
    'dst ← upper half of (dst:src << count)',
  ),
  shrd: shift(
    'Shift right double',
    'Shifts the destination right and fills it from the bottom of the source.',
    'dst ← lower half of (src:dst >> count)',
  ),
  bt: bit('Bit test', 'Copies a bit into CF.', 'CF ← bit'),
  bts: bit('Bit test and set', 'Copies a bit into CF and sets it.', 'CF ← bit; bit ← 1'),
  btr: bit('Bit test and reset', 'Copies a bit into CF and clears it.', 'CF ← bit; bit ← 0'),
  btc: bit('Bit test and complement', 'Copies a bit into CF and inverts it.', 'CF ← bit; bit ← ¬bit'),
  bsf: doc(
    'Bit scan forward',
    'Number of the lowest set bit; ZF says that there is none, and the destination is then not defined.',
    'dst ← index of lowest 1',
  ),
  bsr: doc(
    'Bit scan reverse',
    'Number of the highest set bit; ZF says that there is none, and the destination is then not defined.',
    'dst ← index of highest 1',
  ),
  tzcnt: doc(
    'Count trailing zeros',
    'As `bsf`, but gives the operand’s width where no bit is set, with CF set. Older processors run it as `bsf`.',
    'dst ← zeros below lowest 1',
  ),
  lzcnt: doc(
    'Count leading zeros',
    'Zeros above the highest set bit; the width where no bit is set, with CF set. Older processors run it as `bsr`.',
    'dst ← zeros above highest 1',
  ),
  popcnt: doc(
    'Population count',
    'Counts the set bits. All arithmetic flags but ZF are cleared.',
    'dst ← number of 1 bits',
  ),
  andn: doc('AND NOT', 'ANDs the last operand with the complement of the second.', 'dst ← ¬src1 ∧ src2'),
  bextr: doc(
    'Extract bit field',
    'Takes a field whose start and length stand in bits 7:0 and 15:8 of the last operand.',
  ),
  blsi: doc('Isolate lowest set bit', 'Keeps only the lowest set bit.', 'dst ← src ∧ −src'),
  blsr: doc('Reset lowest set bit', 'Clears the lowest set bit.', 'dst ← src ∧ (src − 1)'),
  blsmsk: doc(
    'Mask up to lowest set bit',
    'Sets all bits up to and including the lowest set one.',
    'dst ← src ⊕ (src − 1)',
  ),
  bzhi: doc('Zero high bits', 'Clears the bits from the given number up.'),
  pdep: doc('Deposit bits', 'Scatters the low bits of the second operand to where the mask has ones.'),
  pext: doc('Extract bits', 'Gathers the bits where the mask has ones into the low end.'),
  rorx: doc('Rotate right without flags', 'Rotates by an immediate count; no flag changes.'),
  sarx: doc('Shift arithmetic right without flags', 'As `sar` with a count in any register; no flag changes.'),
  shlx: doc('Shift left without flags', 'As `shl` with a count in any register; no flag changes.'),
  shrx: doc('Shift right without flags', 'As `shr` with a count in any register; no flag changes.'),
  crc32: doc(
    'CRC-32C step',
    'Runs the source through the Castagnoli polynomial 11EDC6F41h, with the destination as running value.',
  ),
};
