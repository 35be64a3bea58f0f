/** String and port instructions, in every width, and the prefixes that repeat them. */
import type { InstructionDoc } from './doc';
import { doc, exit } from './doc';

const WIDTHS = { b: ['byte', 'al'], w: ['word', 'ax'], d: ['doubleword', 'eax'], q: ['quadword', 'rax'] } as const;
type Width = keyof typeof WIDTHS;

const STEP = 'SI and DI step by the width: up while DF is 0, down while it is 1.';
const PORT = '#GP where CPL is above IOPL and the task’s permission bitmap forbids the port';
const IO = [exit('IO_INSTRUCTION', 'unconditional I/O exiting, or the port’s bit in the I/O bitmaps')];

function describe(stem: string, [size, accumulator]: (typeof WIDTHS)[Width]): InstructionDoc | undefined {
  switch (stem) {
    case 'movs':
      return doc(
        `Move string, ${size}`,
        `Copies a ${size} from DS:SI to ES:DI. ${STEP} \`rep\` repeats it CX times.`,
        `[es:rdi] ← [rsi]; step rsi, rdi`,
      );
    case 'cmps':
      return doc(
        `Compare strings, ${size}`,
        `Compares the ${size} at DS:SI with that at ES:DI. ${STEP} \`repe\` goes on while equal, \`repne\` while not.`,
        `flags of ([rsi] − [es:rdi]); step rsi, rdi`,
      );
    case 'scas':
      return doc(
        `Scan string, ${size}`,
        `Compares ${accumulator.toUpperCase()} with the ${size} at ES:DI. ${STEP} \`repne\` looks for a value, \`repe\` for the first different one.`,
        `flags of (${accumulator} − [es:rdi]); step rdi`,
      );
    case 'lods':
      return doc(
        `Load string, ${size}`,
        `Loads the ${size} at DS:SI into ${accumulator.toUpperCase()}. ${STEP}`,
        `${accumulator} ← [rsi]; step rsi`,
      );
    case 'stos':
      return doc(
        `Store string, ${size}`,
        `Stores ${accumulator.toUpperCase()} at ES:DI. ${STEP} \`rep\` fills CX of them.`,
        `[es:rdi] ← ${accumulator}; step rdi`,
      );
    case 'ins':
      return doc(`Input string, ${size}`, `Reads a ${size} from port DX to ES:DI. ${STEP}`, {
        operation: '[es:rdi] ← port dx; step rdi',
        exceptions: [PORT],
        exits: IO,
      });
    case 'outs':
      return doc(`Output string, ${size}`, `Writes the ${size} at DS:SI to port DX. ${STEP}`, {
        operation: 'port dx ← [rsi]; step rsi',
        exceptions: [PORT],
        exits: IO,
      });
    default:
      return undefined;
  }
}

const ENTRIES = ['movs', 'cmps', 'scas', 'lods', 'stos', 'ins', 'outs'].flatMap((stem) =>
  (['b', 'w', 'd', 'q'] as const)
    .filter((width) => width !== 'q' || !/^(ins|outs)$/.test(stem))
    .map((width) => [stem + width, describe(stem, WIDTHS[width])] as const),
);

export const STRINGS: Readonly<Record<string, InstructionDoc>> = {
  ...Object.fromEntries(ENTRIES.flatMap(([name, entry]) => (entry ? [[name, entry]] : []))),
  in: doc('Input from port', 'Reads a port into AL, AX or EAX. An immediate names ports 0–255, DX any.', {
    operation: 'al ← port',
    exceptions: [PORT],
    exits: IO,
  }),
  out: doc('Output to port', 'Writes AL, AX or EAX to a port. An immediate names ports 0–255, DX any.', {
    operation: 'port ← al',
    exceptions: [PORT],
    exits: IO,
  }),
};

/** Words before an instruction. */
export const PREFIXES: Readonly<Record<string, string>> = {
  rep: 'Repeats a string instruction CX, ECX or RCX times. Faults and interrupts come between two repetitions.',
  repe: 'Repeats `cmps` or `scas` while the count is not 0 and ZF is 1.',
  repz: 'The same as `repe`.',
  repne: 'Repeats `cmps` or `scas` while the count is not 0 and ZF is 0.',
  repnz: 'The same as `repne`.',
  lock: 'Makes a read-modify-write of memory atomic. #UD before an instruction that cannot have it.',
  xacquire: 'Hint that transactional lock elision may begin here.',
  xrelease: 'Hint that transactional lock elision may end here.',
  bnd: 'Keeps the bound registers over a branch (MPX).',
  o16: 'Operand size 16 bits.',
  o32: 'Operand size 32 bits.',
  o64: 'Operand size 64 bits.',
  a16: 'Address size 16 bits.',
  a32: 'Address size 32 bits.',
  a64: 'Address size 64 bits.',
};
