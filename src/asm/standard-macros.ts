import type { Token } from './lexer';
import { lexLine } from './lexer';
import type { SingleMacro } from './macros';
import { numberTokens, quotedText } from './token-text';

/** The version that NASM's macros report: the one that the bytes are compared with. */
const VERSION: Readonly<Record<string, string>> = {
  NASM_MAJOR: '2',
  NASM_MINOR: '16',
  NASM_SUBMINOR: '1',
  NASM_PATCHLEVEL: '0',
  NASM_VERSION_ID: '0x02100100',
  NASM_VER: '"2.16.01"',
  OUTPUT_FORMAT: 'bin',
  DEBUG_FORMAT: 'null',
  PASS: '2',
  FLOAT_DAZ: 'nodaz',
  FLOAT_ROUND: 'near',
  FLOAT: 'nodaz,near',
  SECT: '',
};
/** Names that answer by where they stand. */
const BY_PLACE = ['FILE', 'LINE', 'BITS', 'PTR'] as const;

/** What the macros that answer by place ask. */
export interface PlaceHost {
  file(at: Token): string;
  line(at: Token): number;
  /** The mode in force there. */
  bits(): number;
}

/** NASM's own macros (NASM manual, 4.12), as definitions: `__?LINE?__` and the older `__LINE__` beside it. */
export function standardMacros(host: PlaceHost): {
  readonly macros: readonly SingleMacro[];
  readonly aliases: readonly (readonly [string, string])[];
} {
  const word = (text: string, at: Token): Token => ({ ...at, kind: 'word', text });
  const answers: Readonly<Record<(typeof BY_PLACE)[number], (at: Token) => readonly Token[]>> = {
    FILE: (at) => [quotedText(host.file(at), at)],
    LINE: (at) => numberTokens(BigInt(host.line(at)), at),
    BITS: (at) => numberTokens(BigInt(host.bits()), at),
    PTR: (at) => [word(host.bits() === 16 ? 'word' : host.bits() === 32 ? 'dword' : 'qword', at)],
  };
  const macros: SingleMacro[] = [
    ...Object.entries(VERSION).map(([name, body]): SingleMacro => ({
      name: `__?${name}?__`,
      parameters: undefined,
      body: lexLine(body, '<standard>', 1).tokens,
    })),
    ...BY_PLACE.map((name): SingleMacro => ({
      name: `__?${name}?__`,
      parameters: undefined,
      body: (_, at) => answers[name](at),
    })),
  ];
  return {
    macros,
    aliases: [...Object.keys(VERSION), ...BY_PLACE].map((name) => [`__${name}__`, `__?${name}?__`] as const),
  };
}
