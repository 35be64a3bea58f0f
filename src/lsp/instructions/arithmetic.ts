import type { InstructionTable } from './doc';
import { doc } from './doc';

const DIVIDE = ['#DE where the divisor is 0 or the quotient does not fit'];
const NOT_64 = ['#UD in 64-bit mode'];

/** Integer arithmetic. */
export const ARITHMETIC: InstructionTable = {
  add: doc('Add', 'Adds the source to the destination.', 'dst ← dst + src'),
  adc: doc(
    'Add with carry',
    'Adds the source and the carry flag to the destination: the next limb of a long addition.',
    'dst ← dst + src + CF',
  ),
  sub: doc('Subtract', 'Subtracts the source from the destination. CF is the borrow.', 'dst ← dst − src'),
  sbb: doc(
    'Subtract with borrow',
    'Subtracts the source and the carry flag from the destination: the next limb of a long subtraction.',
    'dst ← dst − (src + CF)',
  ),
  cmp: doc('Compare', 'Sets the flags as `sub` would and keeps the destination as it is.', 'flags of (dst − src)'),
  inc: doc('Increment', 'Adds one. CF stays as it is.', 'dst ← dst + 1'),
  dec: doc('Decrement', 'Subtracts one. CF stays as it is.', 'dst ← dst − 1'),
  neg: doc(
    'Negate',
    'Changes the sign (two’s complement). CF says whether the operand was other than 0.',
    'dst ← 0 − dst',
  ),
  mul: doc(
    'Unsigned multiply',
    'Multiplies the accumulator by the operand; the product takes twice the width: AX, DX:AX, EDX:EAX or RDX:RAX.',
    {
      operation: 'rdx:rax ← rax × src',
      flags: 'CF and OF say whether the upper half holds anything.',
    },
  ),
  imul: doc(
    'Signed multiply',
    'With one operand as `mul`, but signed; with two or three the product is cut to the destination’s width.',
    {
      operation: 'dst ← src1 × src2',
      flags: 'CF and OF say whether the product was cut.',
    },
  ),
  div: doc(
    'Unsigned divide',
    'Divides the accumulator pair by the operand: quotient into AL, AX, EAX or RAX, remainder into AH, DX, EDX or RDX.',
    {
      operation: 'rax ← rdx:rax ÷ src; rdx ← remainder',
      exceptions: DIVIDE,
    },
  ),
  idiv: doc(
    'Signed divide',
    'As `div`, but signed; the quotient is rounded toward zero and the remainder has the sign of the dividend.',
    {
      operation: 'rax ← rdx:rax ÷ src; rdx ← remainder',
      exceptions: DIVIDE,
    },
  ),
  xadd: doc(
    'Exchange and add',
    'Stores the sum in the destination and the destination’s old value in the source.',
    'old ← dst; dst ← dst + src; src ← old',
  ),
  cmpxchg: doc(
    'Compare and exchange',
    'Compares the accumulator with the destination. Where equal, the destination takes the source, else the accumulator takes the destination. The destination is written in either case.',
    'if dst = rax: ZF ← 1, dst ← src; else: ZF ← 0, rax ← dst',
  ),
  cmpxchg8b: doc(
    'Compare and exchange 8 bytes',
    'Compares EDX:EAX with memory; where equal ECX:EBX is stored there, else EDX:EAX takes the memory’s value.',
    'if m64 = edx:eax: ZF ← 1, m64 ← ecx:ebx; else: ZF ← 0, edx:eax ← m64',
  ),
  cmpxchg16b: doc('Compare and exchange 16 bytes', 'As `cmpxchg8b` with RDX:RAX and RCX:RBX.', {
    operation: 'if m128 = rdx:rax: ZF ← 1, m128 ← rcx:rbx; else: ZF ← 0, rdx:rax ← m128',
    exceptions: ['#GP where the address is not a multiple of 16'],
  }),
  adcx: doc(
    'Add with CF only',
    'Adds source and CF and writes the carry to CF; no other flag changes.',
    'dst ← dst + src + CF',
  ),
  adox: doc(
    'Add with OF only',
    'Adds source and OF and writes the carry to OF; no other flag changes. Pairs with `adcx` for two carry chains.',
    'dst ← dst + src + OF',
  ),
  mulx: doc(
    'Multiply without flags',
    'Unsigned product of RDX and the last operand: upper half into the first, lower half into the second.',
    'hi:lo ← rdx × src',
  ),
  daa: doc('Decimal adjust after add', 'Makes AL two decimal digits after an addition of two such.', {
    exceptions: NOT_64,
  }),
  das: doc('Decimal adjust after subtract', 'Makes AL two decimal digits after a subtraction of two such.', {
    exceptions: NOT_64,
  }),
  aaa: doc('ASCII adjust after add', 'Makes AL one decimal digit after an addition and carries into AH.', {
    exceptions: NOT_64,
  }),
  aas: doc('ASCII adjust after subtract', 'Makes AL one decimal digit after a subtraction and borrows from AH.', {
    exceptions: NOT_64,
  }),
  aam: doc(
    'ASCII adjust after multiply',
    'Divides AL by the operand, 10 where none is written: quotient into AH, remainder into AL.',
    {
      operation: 'ah ← al ÷ imm; al ← remainder',
      exceptions: ['#DE where the operand is 0', ...NOT_64],
    },
  ),
  aad: doc('ASCII adjust before divide', 'Makes one number of the two digits in AH and AL.', {
    operation: 'al ← al + ah × imm; ah ← 0',
    exceptions: NOT_64,
  }),
  cbw: doc('Byte to word', 'Extends AL’s sign into AX.', 'ax ← signed al'),
  cwde: doc('Word to doubleword', 'Extends AX’s sign into EAX.', 'eax ← signed ax'),
  cdqe: doc('Doubleword to quadword', 'Extends EAX’s sign into RAX.', 'rax ← signed eax'),
  cwd: doc('Word to doubleword pair', 'Fills DX with the sign of AX, as `idiv` wants it.', 'dx:ax ← signed ax'),
  cdq: doc(
    'Doubleword to quadword pair',
    'Fills EDX with the sign of EAX, as `idiv` wants it.',
    'edx:eax ← signed eax',
  ),
  cqo: doc('Quadword to octoword pair', 'Fills RDX with the sign of RAX, as `idiv` wants it.', 'rdx:rax ← signed rax'),
};
