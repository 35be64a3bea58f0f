/** The language server as a process of its own. */
import type * as vscode from 'vscode';
import { LanguageClient, TransportKind } from 'vscode-languageclient/node';
import { CLIENT_ID, CLIENT_NAME, startLanguageClient } from './language-client';
import type { SessionTracker } from './session';

export function startLanguageProcess(context: vscode.ExtensionContext, tracker: SessionTracker): LanguageClient {
  const module = context.asAbsolutePath('dist/server.js');
  const server = {
    run: { module, transport: TransportKind.ipc },
    debug: { module, transport: TransportKind.ipc, options: { execArgv: ['--nolazy', '--inspect=6009'] } },
  };
  return startLanguageClient(
    context,
    tracker,
    (options) => new LanguageClient(CLIENT_ID, CLIENT_NAME, server, options),
  );
}
