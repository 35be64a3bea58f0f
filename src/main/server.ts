/** The language server as the extension starts it: a separate process that speaks over Node's channel or stdio. */
import { dirname, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { createConnection, ProposedFeatures } from 'vscode-languageserver/node';
import { serve } from '../lsp/server';
import { readIncluded } from '../node/include';
import { findSources } from '../node/sources';
import { languageHost } from './language-host';

serve(createConnection(ProposedFeatures.all), {
  pathOf: (uri) => (uri.startsWith('file:') ? fileURLToPath(uri) : uri),
  uriOf: (path) => (/^[a-z][a-z0-9+.-]+:/i.test(path) ? path : pathToFileURL(path).toString()),
  resolve: (path, from) => resolve(dirname(from), path),
  readFile: readIncluded,
  sources: findSources,
  ...languageHost,
});
