/** What the language server asks of the debugger, wherever it runs. */
import { leadingDirectives } from '../asm/index';
import type { AssemblerSettings, Host, OptionHelp } from '../lsp/host';
import { assembleBuiltin, givenTo, gnuDirectives, NOTHING } from '../session/launch/assembly';
import { HOST_WORDS, readDirectives } from '../session/launch/guest-directives';
import { OPTION_KEYS, optionSpec } from '../session/launch/option-table';
import { checkOptions, type OptionTexts } from '../session/launch/options';

/** The options that a guest file may set. */
const options = OPTION_KEYS.flatMap((key): OptionHelp[] => {
  const { doc, values, output } = optionSpec(key);
  return output ? [] : [{ key, doc, ...(values ? { values } : {}) }];
});

/** A wrong setting is reported when a guest is launched with it. */
function textsOf(settings: AssemblerSettings): OptionTexts {
  const written = Object.entries(settings).flatMap(([key, value]: [string, unknown]) =>
    value === undefined ? [] : [{ key, value }],
  );
  return checkOptions(written, 'launch', 'settings').options;
}

export const languageHost: Pick<Host, 'options' | 'hostWords' | 'assemble' | 'includePath'> = {
  options,
  hostWords: HOST_WORDS,
  assemble: (source, file, settings, readFile) => {
    const request = { file, options: textsOf(settings), readFile };
    // Only GNU as itself can diagnose GNU as sources.
    const gnu = gnuDirectives(source, request);
    if (gnu) return { syntax: 'gnu', assembled: NOTHING, diagnostics: gnu.diagnostics };
    const { assembled, directives, start } = assembleBuiltin(source, request);
    const problems = [...assembled.diagnostics, ...directives.diagnostics];
    // The start state is checked only when the rest is valid, as in a run.
    const isWrong = problems.some(({ severity }) => severity === 'error');
    return { syntax: 'nasm', assembled, diagnostics: start.ok || isWrong ? problems : [...problems, ...start.error] };
  },
  includePath: (source, file, settings) =>
    givenTo(file, readDirectives(leadingDirectives(source, file), file).options, textsOf(settings)).includePath,
};
