import type { Directive } from '../asm/index';
import { assertUnreachable } from '../base/assert';
import type { Diagnostic, Span } from '../base/diagnostic';
import type { DirectiveWord } from '../expr/index';
import { parseDirective } from '../expr/index';
import { sessionError } from './diagnostics';
import { parseNumber } from './option-values';
import type { OptionTexts, WrittenOption } from './options';
import { checkOptions } from './options';
import { didYouMean } from './nearest';

/** `; @host place HVA HPA`: the page at HVA gets the frame at HPA when it is first touched. */
export interface PlaceDirective {
  readonly hva: bigint;
  readonly hpa: bigint;
  readonly span: Span;
}

/** What a guest file's comments ask of the session. */
export interface GuestDirectives {
  readonly options: OptionTexts;
  readonly places: readonly PlaceDirective[];
  readonly diagnostics: readonly Diagnostic[];
}
export const NO_DIRECTIVES: GuestDirectives = { options: new Map(), places: [], diagnostics: [] };

/**
 * Reads the directives of an assembled file: the options of `@guest` and the placements of `@host`. `@break` and `@assert` are checked here
 * and read by those who run labs. A comment such as `; @someone` with a verb that is none of ours is an ordinary comment, unless it is nearly
 * one of them.
 */
export function readDirectives(directives: readonly Directive[]): GuestDirectives {
  const written: WrittenOption[] = [];
  const places: PlaceDirective[] = [];
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
          written.push(
            ...value.pairs.map((p) => ({
              key: p.key.text,
              value: p.value.text,
              span: { ...p.key.span, end: p.value.span.end },
            })),
          );
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
        readHost(value.verb, value.args, d.span, places, diagnostics);
        break;
      case 'break':
      case 'assert':
        break;
      default:
        assertUnreachable(value);
    }
  }
  const checked = checkOptions(written, 'guest', first?.span.file ?? '');
  return { options: checked.options, places, diagnostics: [...diagnostics, ...checked.diagnostics] };
}

const VERBS: readonly string[] = ['guest', 'host', 'break', 'assert'];

function readHost(
  verb: DirectiveWord,
  args: readonly DirectiveWord[],
  span: Span,
  places: PlaceDirective[],
  diagnostics: Diagnostic[],
): void {
  if (verb.text !== 'place') {
    diagnostics.push(
      sessionError(
        'notBuiltYet',
        `\`@host ${verb.text}\` is unknown or not built yet; there is \`@host place HVA HPA\``,
        span.file,
        verb.span,
      ),
    );
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
