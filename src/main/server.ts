/** The language server as the extension starts it: a process of its own that speaks over Node's channel or stdio. */
import { dirname, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { createConnection, ProposedFeatures } from 'vscode-languageserver/node';
import type { OptionHelp } from '../lsp/host';
import { serve } from '../lsp/server';
import { readIncluded } from '../node/include';
import { findSources } from '../node/sources';
import { readDirectives } from '../session/guest-directives';
import { OPTION_KEYS, optionSpec } from '../session/option-table';

/** The options that a guest file may set. */
const options = OPTION_KEYS.flatMap((key): OptionHelp[] => {
  const { doc, values, output } = optionSpec(key);
  return output ? [] : [{ key, doc, ...(values ? { values } : {}) }];
});

serve(createConnection(ProposedFeatures.all), {
  pathOf: (uri) => (uri.startsWith('file:') ? fileURLToPath(uri) : uri),
  uriOf: (path) => (/^[a-z][a-z0-9+.-]+:/i.test(path) ? path : pathToFileURL(path).toString()),
  resolve: (path, from) => resolve(dirname(from), path),
  readFile: readIncluded,
  sources: findSources,
  options,
  checkDirectives: (directives) => readDirectives(directives).diagnostics,
});
