/** The condition codes, and the mnemonics made of them: jcc, setcc, cmovcc. */
import type { InstructionDoc } from './doc';
import { doc } from './doc';

const CONDITIONS: readonly { readonly codes: readonly string[]; readonly words: string; readonly test: string }[] = [
  { codes: ['o'], words: 'overflow', test: 'OF = 1' },
  { codes: ['no'], words: 'no overflow', test: 'OF = 0' },
  { codes: ['b', 'c', 'nae'], words: 'below (unsigned), or carry', test: 'CF = 1' },
  { codes: ['ae', 'nb', 'nc'], words: 'above or equal (unsigned), or no carry', test: 'CF = 0' },
  { codes: ['e', 'z'], words: 'equal, or zero', test: 'ZF = 1' },
  { codes: ['ne', 'nz'], words: 'not equal, or not zero', test: 'ZF = 0' },
  { codes: ['be', 'na'], words: 'below or equal (unsigned)', test: 'CF = 1 or ZF = 1' },
  { codes: ['a', 'nbe'], words: 'above (unsigned)', test: 'CF = 0 and ZF = 0' },
  { codes: ['s'], words: 'negative', test: 'SF = 1' },
  { codes: ['ns'], words: 'not negative', test: 'SF = 0' },
  { codes: ['p', 'pe'], words: 'parity even', test: 'PF = 1' },
  { codes: ['np', 'po'], words: 'parity odd', test: 'PF = 0' },
  { codes: ['l', 'nge'], words: 'less (signed)', test: 'SF ≠ OF' },
  { codes: ['ge', 'nl'], words: 'greater or equal (signed)', test: 'SF = OF' },
  { codes: ['le', 'ng'], words: 'less or equal (signed)', test: 'ZF = 1 or SF ≠ OF' },
  { codes: ['g', 'nle'], words: 'greater (signed)', test: 'ZF = 0 and SF = OF' },
];

function conditional(stem: 'j' | 'set' | 'cmov', words: string, test: string): InstructionDoc {
  switch (stem) {
    case 'j':
      return doc(
        `Jump if ${words}`,
        'Jumps where the condition holds, otherwise continues with the next instruction.',
        {
          operation: `if ${test}: rip ← target`,
          exceptions: ['#GP where the target is not canonical or lies beyond the code segment'],
        },
      );
    case 'set':
      return doc(`Set byte if ${words}`, 'Stores 1 where the condition holds, else 0.', `dst ← (${test}) ? 1 : 0`);
    case 'cmov':
      return doc(
        `Move if ${words}`,
        'Copies where the condition holds. A source in memory is read, and can fault, in either case; a 32-bit destination loses its upper half in either case.',
        `if ${test}: dst ← src`,
      );
  }
}

export const CONDITIONAL: Readonly<Record<string, InstructionDoc>> = Object.fromEntries(
  (['j', 'set', 'cmov'] as const).flatMap((stem) =>
    CONDITIONS.flatMap(({ codes, words, test }) => codes.map((code) => [stem + code, conditional(stem, words, test)])),
  ),
);
