/** Quick fixes for the common mistakes. */
import {
  CodeActionKind,
  type CodeAction,
  type CodeActionParams,
  type Diagnostic as LspDiagnostic,
  type TextEdit,
} from 'vscode-languageserver';
import { ASM_CODES, DIRECTIVES, mnemonics, registerByName, registerNames, type Bits, type Token } from '../asm/index';
import { isReservedWord } from '../asm/parser';
import { instructionReference } from '../asm/reference';
import { isWithin, rangeOf } from './convert';
import { DIRECTIVE_HELP } from './directive-help';
import { nearest } from './nearest';
import { logicalLineAt, shapeOf } from './shape';
import { bitsAt, type Program, type SourceFile } from './workspace';

/** What a fix needs to know about its position. */
interface Place {
  readonly program: Program;
  readonly file: SourceFile;
  readonly uri: string;
  readonly diagnostic: LspDiagnostic;
  readonly tokens: readonly Token[];
  /** The word under the diagnostic's start. */
  readonly word: Token | undefined;
  readonly bits: Bits;
}

export function codeActions(
  program: Program,
  file: SourceFile,
  { context, textDocument }: CodeActionParams,
): CodeAction[] {
  return context.diagnostics.flatMap((diagnostic) => {
    const { start } = diagnostic.range;
    const tokens = logicalLineAt(file.lines, start.line + 1)?.tokens ?? [];
    const word = tokens.find((each) => each.kind === 'word' && isWithin(start, rangeOf(each)));
    const bits = bitsAt(program, file, start.line + 1);
    const place: Place = { program, file, uri: textDocument.uri, diagnostic, tokens, word, bits };
    switch (diagnostic.code) {
      case ASM_CODES.undefinedSymbol:
        return word ? rename(place, word, [...namesOf(program), ...registerNames()]) : [];
      case ASM_CODES.syntax:
      case ASM_CODES.unknownInstruction:
      case ASM_CODES.orphanLabel:
        return unknownWord(place);
      case ASM_CODES.operandSize:
        return addSize(place);
      case ASM_CODES.wrongMode:
        return changeMode(place);
      default:
        return [];
    }
  });
}

const fix = ({ uri, diagnostic }: Place, title: string, edits: TextEdit[], isPreferred = false): CodeAction => ({
  title,
  kind: CodeActionKind.QuickFix,
  diagnostics: [diagnostic],
  isPreferred,
  edit: { changes: { [uri]: edits } },
});

const namesOf = ({ names }: Program): string[] =>
  [...names.defined()].flatMap(({ key, text }) =>
    key.includes('@') ? [] : text.startsWith('.') ? [key, text] : [key],
  );

function rename(place: Place, word: Token, known: readonly string[]): CodeAction[] {
  return nearest(word.text, known).map((name, index) =>
    fix(place, `Change to \`${name}\``, [{ range: rangeOf(word), newText: name }], index === 0),
  );
}

/** An unknown first word: a misspelt mnemonic, or a label without its colon. */
function unknownWord(place: Place): CodeAction[] {
  const { word, tokens, program, bits } = place;
  if (!word || isReservedWord(word.text.toLowerCase())) return [];
  const { label } = shapeOf(tokens, () => false);
  const isFirst = tokens[0] === word;
  const words = [...mnemonics(), ...DIRECTIVES, ...Object.keys(DIRECTIVE_HELP)].filter((each) => {
    const reference = instructionReference(each);
    return !reference || reference.encodings.some(({ modes }) => modes.includes(bits));
  });
  const macros = [...program.names.defined()].flatMap(({ key, defines }) => (defines === 'macro' ? [key] : []));
  const fixes = rename(place, word, [...words, ...macros]);
  if (isFirst && label === word && tokens[1]?.text !== ':') {
    const end = rangeOf(word).end;
    fixes.push(
      fix(place, `Make \`${word.text}\` a label with a colon`, [{ range: { start: end, end }, newText: ':' }]),
    );
  }
  return fixes;
}

const SIZES = [
  ['byte', 8],
  ['word', 16],
  ['dword', 32],
  ['qword', 64],
] as const;

/** Puts a size before the bracket; only sizes that the instruction has. */
function addSize(place: Place): CodeAction[] {
  const { tokens, bits } = place;
  const { head, operands } = shapeOf(tokens, () => false);
  const index = operands.findIndex((operand) => operand.some(({ text }) => text === '['));
  const bracket = operands[index]?.find(({ text }) => text === '[');
  if (!head || !bracket) return [];
  const written = (instructionReference(head.text.toLowerCase())?.encodings ?? []).flatMap(
    ({ modes, operands: all }) => (modes.includes(bits) ? [all[index]?.toLowerCase() ?? ''] : []),
  );
  const start = rangeOf(bracket).start;
  return SIZES.filter(([, width]) => written.some((operand) => new RegExp(`m${width}(?!\\d)`).test(operand))).map(
    ([size, width]) =>
      fix(
        place,
        `Write \`${size}\` before the bracket`,
        [{ range: { start, end: start }, newText: `${size} ` }],
        width === bits,
      ),
  );
}

/** Changes the `bits` line that is in force, or adds one where there is none. */
function changeMode(place: Place): CodeAction[] {
  const { file, tokens, bits } = place;
  const { head } = shapeOf(tokens, () => false);
  const needs64 = tokens.some(
    ({ kind, text }) => kind === 'word' && registerByName(text.toLowerCase())?.class === 'r64',
  );
  const modes = needs64
    ? [64]
    : [...new Set(instructionReference(head?.text.toLowerCase() ?? '')?.encodings.flatMap((each) => each.modes))];
  const at = tokens[0]?.line ?? 1;
  const inForce = file.lines
    .filter(
      ({ tokens: [first, second], line }) =>
        line < at && (first?.text.toLowerCase() === 'bits' || second?.text.toLowerCase() === 'bits'),
    )
    .at(-1);
  const number = inForce?.tokens.find(({ kind }) => kind === 'number');
  const firstCode = file.lines.find((each) => each.tokens.length > 0)?.line ?? at;
  const start = { line: firstCode - 1, character: 0 };
  return modes
    .filter((mode) => mode !== bits)
    .map((mode, index) =>
      number
        ? fix(
            place,
            `Change \`bits ${number.text}\` to \`bits ${mode}\``,
            [{ range: rangeOf(number), newText: String(mode) }],
            index === 0,
          )
        : fix(
            place,
            `Add \`bits ${mode}\` at the top`,
            [{ range: { start, end: start }, newText: `bits ${mode}\n` }],
            index === 0,
          ),
    );
}
