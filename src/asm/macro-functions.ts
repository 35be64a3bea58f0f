import { stringBytes } from '../expr/numbers';
import type { DiagnosticSink } from './diagnostics';
import type { Token } from './lexer';
import { tokenSpan } from './lexer';
import type { MacroParameter, SingleMacro } from './macros';
import { charactersOf, lexed, numberTokens, quoted } from './token-text';

/** What the functions need beside their arguments. */
export interface FunctionHost {
  readonly sink: DiagnosticSink;
  /** Whether `%if<kind> tokens` holds. */
  test(kind: string, tokens: readonly Token[], at: Token): boolean;
}

const DIGITS = '0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ@_';
/** The kinds of %if that have a function: `%isnum(x)`, `%isndef(x)`. */
const TESTS = [
  '',
  'ctx',
  'def',
  'defalias',
  'empty',
  'env',
  'id',
  'idn',
  'idni',
  'macro',
  'num',
  'str',
  'token',
  'usable',
  'using',
];

const parameter = (flags: Partial<MacroParameter> = {}): MacroParameter => ({
  name: '',
  evaluated: false,
  quoted: 'never',
  greedy: false,
  ...flags,
});
const number = parameter({ evaluated: true });
const text = parameter({ quoted: 'unlessString' });

/** The characters of a string token, one per byte. */
export const stringText = (t: Token): string => charactersOf(stringBytes(t.text));

/** The number that an evaluated argument came to; undefined where it was left out or wrong. */
function numberOf(arg: readonly Token[] | undefined): bigint | undefined {
  const last = arg?.[arg.length - 1];
  if (!last) return undefined;
  return arg[0]?.text === '-' ? -BigInt(last.text) : BigInt(last.text);
}

const textOf = (arg: readonly Token[] | undefined): string => (arg?.[0]?.kind === 'string' ? stringText(arg[0]) : '');

/** `%substr`: from the 1-based `start`, `count` characters; a negative count leaves as many out at the end (NASM manual, 4.2.2). */
export function substring(of: string, start: bigint, count: bigint): string {
  const from = start - 1n;
  const length = BigInt(of.length);
  const most = count < 0n ? count + length + 1n - from : count;
  if (from < 0n || from >= length || most <= 0n) return '';
  return of.slice(Number(from), Number(from + most > length ? length : from + most));
}

/** The functions that NASM's preprocessor has (NASM manual, 4.4), as macros by the name they are called with. */
export function macroFunctions(host: FunctionHost): SingleMacro[] {
  const commas = (args: readonly (readonly Token[])[], at: Token): Token[] =>
    args.flatMap((a, i): Token[] =>
      i === 0 ? [...a] : [{ ...at, kind: 'punctuation', text: ',', spaced: false }, ...a],
    );
  const choose = (args: readonly (readonly Token[])[], which: bigint | undefined): readonly Token[] =>
    which === undefined || which < 1n || which >= BigInt(args.length) ? [] : (args[Number(which)] ?? []);
  return [
    {
      name: '%abs',
      parameters: [number],
      body: ([n], at) => numberTokens(BigInt.asUintN(64, absolute(numberOf(n) ?? 0n)), at),
    },
    {
      name: '%count',
      parameters: [parameter()],
      variadic: true,
      body: (args, at) => numberTokens(BigInt(args.length), at),
    },
    { name: '%eval', parameters: [number], variadic: true, body: commas },
    { name: '%str', parameters: [parameter({ quoted: 'always', greedy: true })], body: commas },
    {
      name: '%strcat',
      parameters: [text],
      variadic: true,
      body: (args, at) => [quoted(args.map(textOf).join(''), at)],
    },
    { name: '%strlen', parameters: [text], body: ([s], at) => numberTokens(BigInt(textOf(s).length), at) },
    { name: '%tok', parameters: [text], body: ([s], at) => lexed(textOf(s), at) },
    {
      name: '%sel',
      parameters: [number, parameter()],
      variadic: true,
      body: (args, at) => {
        const which = numberOf(args[0]);
        if (which !== undefined && (which < 1n || which >= BigInt(args.length)))
          host.sink.warning('pp-sel-range', 'preprocessor', `%sel has no argument ${which}`, tokenSpan(at));
        return choose(args, which);
      },
    },
    {
      name: '%cond',
      parameters: [number, parameter(), parameter()],
      optional: 1,
      body: (args) => choose(args, numberOf(args[0]) === 0n ? 2n : 1n),
    },
    {
      name: '%substr',
      parameters: [text, number, number],
      optional: 1,
      body: ([s, start, count], at) => [
        quoted(substring(textOf(s), numberOf(start) ?? 1n, numberOf(count) ?? -1n), at),
      ],
    },
    {
      name: '%num',
      parameters: [number, number, number],
      optional: 2,
      body: ([n, digits, base], at) => [
        quoted(inBase(host.sink, at, numberOf(n) ?? 0n, numberOf(digits) ?? -1n, numberOf(base) ?? 10n), at),
      ],
    },
    ...TESTS.flatMap((kind) => [kind, `n${kind}`]).map((kind): SingleMacro => ({
      name: `%is${kind}`,
      parameters: [parameter({ greedy: true })],
      body: ([a], at) => numberTokens(host.test(kind, a ?? [], at) ? 1n : 0n, at),
    })),
  ];
}

const absolute = (n: bigint): bigint => (n < 0n ? -n : n);

/** At least `digits` digits, or at least `-digits` where it is negative and then as many as there are. */
function inBase(sink: DiagnosticSink, at: Token, value: bigint, digits: bigint, base: bigint): string {
  if (base < 2n || base > BigInt(DIGITS.length)) {
    sink.error('preprocessor', `%num writes numbers in base 2 to ${DIGITS.length}, not ${base}`, tokenSpan(at));
    return '';
  }
  let count = absolute(digits) > 250n ? 1n : absolute(digits);
  const all = digits <= 0n;
  let out = '';
  for (let rest = BigInt.asUintN(64, value); count > 0n || (all && rest > 0n); rest /= base, count--)
    out = (DIGITS[Number(rest % base)] ?? '') + out;
  return out;
}
