/** The language server as a process of its own. */
import type * as vscode from 'vscode';
import { LanguageClient, TransportKind } from 'vscode-languageclient/node';
import type { Debugging } from './language-client';
import { CLIENT_ID, CLIENT_NAME, startLanguageClient } from './language-client';

export function startLanguageProcess(context: vscode.ExtensionContext, debugging: Debugging): LanguageClient {
  const module = context.asAbsolutePath('dist/server.js');
  const server = {
    run: { module, transport: TransportKind.ipc },
    debug: { module, transport: TransportKind.ipc, options: { execArgv: ['--nolazy', '--inspect=6009'] } },
  };
  return startLanguageClient(
    context,
    debugging,
    (options) => new LanguageClient(CLIENT_ID, CLIENT_NAME, server, options),
  );
}
