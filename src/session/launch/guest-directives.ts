import type { Directive } from '../../asm/index';
import { assertUnreachable } from '../../base/assert';
import type { Diagnostic, Span } from '../../base/diagnostic';
import type { DirectiveWord, ParsedDirective } from '../../expr/index';
import { DIRECTIVE_VERBS, parseDirective } from '../../expr/index';
import type { CheckDirective } from '../run/checks';
import { sessionError } from '../diagnostics';
import { parseNumber } from './option-values';
import { HOST_COMMANDS, parseHostDirective } from '../console/host-commands';
import type { HostDirective } from '../run/host-script';
import type { OptionTexts, WrittenOption } from './options';
import { checkOptions } from './options';
import { didYouMean } from '../../base/nearest';
import { wrongCalls } from '../console/run-facts';
import { EXCEPTION_FILTERS } from '../types';

/** `; @host place HVA HPA`: the page at HVA gets the frame at HPA when it is first touched. */
export interface PlaceDirective {
  readonly hva: bigint;
  readonly hpa: bigint;
  readonly span: Span;
}

/** Every word that may follow `@host`. */
export const HOST_WORDS: typeof HOST_COMMANDS = [
  { words: 'place', usage: 'HVA HPA', doc: 'gives the page at HVA the frame at HPA when it is first touched' },
  ...HOST_COMMANDS.map((c) => ({ ...c, words: c.words.replace(/^host /, '') })),
];

/** What a guest file's comments ask of the session. */
export interface GuestDirectives {
  readonly options: OptionTexts;
  readonly places: readonly PlaceDirective[];
  /** In the order of the file. */
  readonly events: readonly HostDirective[];
  /** `@assert`, `@log` and `@break`, in the order of the file. */
  readonly checks: readonly CheckDirective[];
  readonly diagnostics: readonly Diagnostic[];
}
export const NO_DIRECTIVES: GuestDirectives = {
  options: new Map(),
  places: [],
  events: [],
  checks: [],
  diagnostics: [],
};

/**
 * Reads the directives of an assembled file: the options of `@guest`, the placements of `@host`, and what `@host` does at a line. what `@assert`, `@log` and `@break` ask
 * for; session/run/checks.ts carries those out. A comment such as `; @someone` with a verb that is none of ours is an ordinary comment, unless it is nearly
 * one of them.
 * @param guest the guest's own file: only there does `@guest` say how to assemble, for an included file is read too late for that
 */
export function readDirectives(directives: readonly Directive[], guest: string): GuestDirectives {
  const written: WrittenOption[] = [];
  const places: PlaceDirective[] = [];
  const events: HostDirective[] = [];
  const checks: CheckDirective[] = [];
  const diagnostics: Diagnostic[] = [];
  const [first] = directives;
  for (const d of directives) {
    const { file } = d.span;
    if (!VERBS.includes(d.verb)) {
      const hint = didYouMean(d.verb, VERBS);
      if (hint)
        diagnostics.push({
          ...sessionError('unknownOption', `\`@${d.verb}\` is an ordinary comment${hint}`, file, d.span),
          severity: 'warning',
        });
      continue;
    }
    const parsed = parseDirective(d);
    if (!parsed.ok) {
      diagnostics.push(...parsed.error);
      continue;
    }
    const { value } = parsed;
    switch (value.kind) {
      case 'guest':
        if (d.beforeCode)
          for (const p of value.pairs) {
            const span = { ...p.key.span, end: p.value.span.end };
            if (file !== guest && FOR_ASSEMBLY.has(p.key.text)) {
              const message = `\`${p.key.text}\` stands in an included file; move it to the guest's own @guest line`;
              diagnostics.push(sessionError('notAllowedHere', message, file, span));
            } else written.push({ key: p.key.text, value: p.value.text, span });
          }
        else
          diagnostics.push(
            sessionError(
              'notAllowedHere',
              '`@guest` stands behind the first instruction; move it to the top of the file',
              file,
              d.span,
            ),
          );
        break;
      case 'host':
        readHost(value.verb, value.args, d.span, places, events, diagnostics);
        break;
      case 'break': {
        const read = readBreak(value, d.text);
        if (typeof read === 'string') diagnostics.push(sessionError('badValue', read, file, d.span));
        else checks.push(read);
        break;
      }
      case 'assert': {
        const wrong = wrongCalls(value.expr);
        for (const { message, span } of wrong) diagnostics.push(sessionError('unknownName', message, file, span));
        if (wrong.length === 0) checks.push({ ...value, text: d.text });
        break;
      }
      case 'log':
        checks.push({ ...value, text: d.text });
        break;
      default:
        assertUnreachable(value);
    }
  }
  const checked = checkOptions(written, 'guest', first?.span.file ?? '');
  return { options: checked.options, places, events, checks, diagnostics: [...diagnostics, ...checked.diagnostics] };
}

const FOR_ASSEMBLY: ReadonlySet<string> = new Set(['define', 'include', 'warning']);
const VERBS = DIRECTIVE_VERBS;

/** What `@break` waits for, or what is wrong with it. */
function readBreak(
  { what, args, condition, span }: Extract<ParsedDirective, { kind: 'break' }>,
  text: string,
): CheckDirective | string {
  const common = { kind: 'break', text, condition, span } as const;
  const [name, more] = args;
  const kind = what?.text ?? 'line';
  if (kind === 'exit') {
    if (!name || more) return '`@break exit` takes the name of a VM exit, or * for any: `@break exit EPT_VIOLATION`';
    return { ...common, at: 'exit', name: name.text };
  }
  const filter = EXCEPTION_FILTERS.find((each) => each.filter === kind)?.filter;
  if (kind !== 'line' && filter === undefined) {
    const kinds = ['exit', 'line', ...EXCEPTION_FILTERS.map((each) => each.filter)];
    return `\`@break\` has no kind \`${kind}\`; there are ${kinds.join(', ')}${didYouMean(kind, kinds)}`;
  }
  if (name) return `\`@break ${kind}\` takes no name; \`${name.text}\` is not expected`;
  return { ...common, at: filter ? 'filter' : 'line', name: filter ?? '' };
}

function readHost(
  verb: DirectiveWord,
  args: readonly DirectiveWord[],
  span: Span,
  places: PlaceDirective[],
  events: HostDirective[],
  diagnostics: Diagnostic[],
): void {
  if (verb.text !== 'place') {
    const words = [verb, ...args].map((w) => w.text);
    const command = parseHostDirective(words);
    if (command.ok) events.push({ text: words.join(' '), command: command.value, span });
    else diagnostics.push(sessionError('badValue', `\`@host\`: ${command.error}`, span.file, span));
    return;
  }
  const [hva, hpa] = args.map((w) => parseNumber(w.text));
  if (args.length !== 2 || hva === undefined || hpa === undefined) {
    diagnostics.push(
      sessionError(
        'badValue',
        '`@host place` takes two addresses, HVA and HPA, as 0x7f5a00001000 0x1a2b3000',
        span.file,
        span,
      ),
    );
    return;
  }
  places.push({ hva, hpa, span });
}
