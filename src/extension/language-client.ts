/** Starts the language server, and keeps its hover silent while a stopped guest has a better one. */
import type * as vscode from 'vscode';
import { LanguageClient, TransportKind } from 'vscode-languageclient/node';
import type { SessionTracker } from './session';

export function startLanguageClient(context: vscode.ExtensionContext, tracker: SessionTracker): LanguageClient {
  const module = context.asAbsolutePath('dist/server.js');
  const client = new LanguageClient(
    'pagewalk',
    'Pagewalk Language Server',
    {
      run: { module, transport: TransportKind.ipc },
      debug: { module, transport: TransportKind.ipc, options: { execArgv: ['--nolazy', '--inspect=6009'] } },
    },
    {
      documentSelector: [{ language: 'pagewalk-asm' }],
      middleware: {
        provideHover: (document, position, token, next) =>
          tracker.standing === 'stopped' ? undefined : next(document, position, token),
      },
    },
  );
  client.start().catch((error: unknown) => client.error('The language server did not start', error));
  return client;
}
