/** The language server in a browser's worker, as the extension's web entry starts it. */
import {
  BrowserMessageReader,
  BrowserMessageWriter,
  createConnection,
  ProposedFeatures,
} from 'vscode-languageserver/browser';
import { ClientFiles } from '../lsp/client-files';
import { serve } from '../lsp/server';
import { languageHost } from './language-host';

/** The worker's own global scope: the port to the thread that started it. */
type Port = ConstructorParameters<typeof BrowserMessageReader>[0];
const port = globalThis as unknown as Port;

const connection = createConnection(
  ProposedFeatures.all,
  new BrowserMessageReader(port),
  new BrowserMessageWriter(port),
);
const files = new ClientFiles((method, params) => connection.sendRequest(method, params));
serve(connection, Object.assign(files, languageHost));
