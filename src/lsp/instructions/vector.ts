import type { InstructionDoc, InstructionTable } from './doc';
import { doc } from './doc';

const SSE = ['#UD where CR0.EM is set or CR4.OSFXSR is clear', '#NM where CR0.TS is set'];
const FLOAT = [...SSE, '#XM for a floating-point exception that is not masked (#UD where CR4.OSXMMEXCPT is clear)'];
const ALIGNED = '#GP where a memory operand is not aligned to its size';
const LANES: Readonly<Record<string, string>> = {
  ps: 'packed singles',
  pd: 'packed doubles',
  ss: 'one single',
  sd: 'one double',
};

const move = (title: string, does: string, aligned = false): InstructionDoc =>
  doc(title, does, { exceptions: aligned ? [...SSE, ALIGNED] : SSE });
const packed = (title: string, does: string): InstructionDoc => doc(title, does, { exceptions: [...SSE, ALIGNED] });

/** An operation in its four widths: `addps` `addpd` `addss` `addsd`. */
function lanes(stem: string, title: string, operation: string): [string, InstructionDoc][] {
  return Object.entries(LANES).map(([suffix, what]) => [
    stem + suffix,
    doc(
      `${title}, ${what}`,
      suffix.startsWith('p') ? 'Works on each lane by itself.' : 'Works on the lowest lane; the others stay.',
      {
        operation,
        exceptions: suffix.startsWith('p') ? [...FLOAT, ALIGNED] : FLOAT,
      },
    ),
  ]);
}

/** SSE and SSE2; their AVX forms are described by the general fallback. */
export const VECTOR: InstructionTable = {
  ...Object.fromEntries([
    ...lanes('add', 'Add', 'dst ← dst + src'),
    ...lanes('sub', 'Subtract', 'dst ← dst − src'),
    ...lanes('mul', 'Multiply', 'dst ← dst × src'),
    ...lanes('div', 'Divide', 'dst ← dst ÷ src'),
    ...lanes('min', 'Minimum', 'dst ← the smaller; the source where either is a NaN or both are 0'),
    ...lanes('max', 'Maximum', 'dst ← the larger; the source where either is a NaN or both are 0'),
    ...lanes('sqrt', 'Square root', 'dst ← √src'),
  ]),
  movaps: move('Move aligned packed singles', 'Moves 16 bytes; the address is a multiple of 16.', true),
  movapd: move('Move aligned packed doubles', 'Moves 16 bytes; the address is a multiple of 16.', true),
  movups: move('Move unaligned packed singles', 'Moves 16 bytes at any address.'),
  movupd: move('Move unaligned packed doubles', 'Moves 16 bytes at any address.'),
  movdqa: move('Move aligned double quadword', 'Moves 16 bytes; the address is a multiple of 16.', true),
  movdqu: move('Move unaligned double quadword', 'Moves 16 bytes at any address.'),
  movss: move('Move single', 'Moves 4 bytes; a load from memory clears the upper lanes, a register move keeps them.'),
  movq: move(
    'Move quadword',
    'Moves 8 bytes between a vector register and memory or a general register; the upper half becomes 0.',
  ),
  movd: move(
    'Move doubleword',
    'Moves 4 bytes between a vector register and memory or a general register; the rest becomes 0.',
  ),
  movntdq: move('Move double quadword non-temporal', 'Stores 16 bytes past the caches.', true),
  movntps: move('Move packed singles non-temporal', 'Stores 16 bytes past the caches.', true),
  movhps: move('Move high singles', 'Moves the upper 8 bytes; the lower ones stay.'),
  movlps: move('Move low singles', 'Moves the lower 8 bytes; the upper ones stay.'),
  movmskps: move('Move mask of singles', 'Gathers the signs of the four lanes into a general register.'),
  movmskpd: move('Move mask of doubles', 'Gathers the signs of the two lanes into a general register.'),
  pmovmskb: move('Move byte mask', 'Gathers the top bits of all bytes into a general register.'),
  andps: packed('AND packed singles', 'Bitwise AND of 16 bytes.'),
  orps: packed('OR packed singles', 'Bitwise OR of 16 bytes.'),
  xorps: packed('XOR packed singles', 'Bitwise exclusive OR of 16 bytes; of a register with itself: 0.'),
  pand: packed('AND', 'Bitwise AND of the whole register.'),
  pandn: packed('AND NOT', 'Bitwise AND of the source with the complement of the destination.'),
  por: packed('OR', 'Bitwise OR of the whole register.'),
  pxor: packed('Exclusive OR', 'Bitwise exclusive OR of the whole register; of a register with itself: 0.'),
  paddb: packed('Add bytes', 'Adds lane by lane; carries are lost.'),
  paddw: packed('Add words', 'Adds lane by lane; carries are lost.'),
  paddd: packed('Add doublewords', 'Adds lane by lane; carries are lost.'),
  paddq: packed('Add quadwords', 'Adds lane by lane; carries are lost.'),
  psubb: packed('Subtract bytes', 'Subtracts lane by lane; borrows are lost.'),
  psubd: packed('Subtract doublewords', 'Subtracts lane by lane; borrows are lost.'),
  pcmpeqb: packed('Compare bytes for equality', 'Each lane becomes all ones where equal, else 0.'),
  pcmpeqd: packed('Compare doublewords for equality', 'Each lane becomes all ones where equal, else 0.'),
  pcmpgtd: packed(
    'Compare doublewords, greater',
    'Each signed lane becomes all ones where the destination is greater, else 0.',
  ),
  pshufd: packed('Shuffle doublewords', 'Takes four lanes of the source, two bits of the immediate for each.'),
  pshufb: packed('Shuffle bytes', 'Takes bytes of the destination by index; an index with its top bit set gives 0.'),
  punpcklbw: packed('Interleave low bytes', 'Interleaves the lower halves, destination first.'),
  pslldq: packed('Shift left by bytes', 'Shifts the whole register left by bytes.'),
  psrldq: packed('Shift right by bytes', 'Shifts the whole register right by bytes.'),
  shufps: packed('Shuffle singles', 'Takes two lanes of the destination and two of the source.'),
  unpcklps: packed('Interleave low singles', 'Interleaves the lower halves.'),
  comiss: doc('Compare singles into flags', 'Compares the lowest lanes into ZF PF CF; PF says that one is a NaN.', {
    exceptions: FLOAT,
  }),
  comisd: doc('Compare doubles into flags', 'Compares the lowest lanes into ZF PF CF; PF says that one is a NaN.', {
    exceptions: FLOAT,
  }),
  ucomiss: doc('Compare singles into flags, unordered', 'As `comiss`, but a quiet NaN raises nothing.', {
    exceptions: FLOAT,
  }),
  ucomisd: doc('Compare doubles into flags, unordered', 'As `comisd`, but a quiet NaN raises nothing.', {
    exceptions: FLOAT,
  }),
  cvtsi2sd: doc('Integer to double', 'Converts a signed integer into the lowest lane.', { exceptions: FLOAT }),
  cvtsi2ss: doc('Integer to single', 'Converts a signed integer into the lowest lane.', { exceptions: FLOAT }),
  cvttsd2si: doc('Double to integer, truncated', 'Converts the lowest lane, rounded toward zero.', {
    exceptions: FLOAT,
  }),
  cvttss2si: doc('Single to integer, truncated', 'Converts the lowest lane, rounded toward zero.', {
    exceptions: FLOAT,
  }),
  cvtsd2si: doc('Double to integer', 'Converts the lowest lane, rounded as MXCSR says.', { exceptions: FLOAT }),
  cvtss2sd: doc('Single to double', 'Widens the lowest lane.', { exceptions: FLOAT }),
  cvtsd2ss: doc('Double to single', 'Narrows the lowest lane.', { exceptions: FLOAT }),
  ldmxcsr: doc('Load MXCSR', 'Sets rounding, flags and masks of SSE.', {
    exceptions: [...SSE, '#GP for a reserved bit'],
  }),
  stmxcsr: doc('Store MXCSR', 'Stores the control and status register of SSE.', { exceptions: SSE }),
};
