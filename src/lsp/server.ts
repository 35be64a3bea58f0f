/**
 * The language server. Diagnostics are pulled: the editor requests them when it wants them, and a request overtaken
 * by a newer edit is cancelled while it queues, so no timers are needed. Everything else is answered from the same
 * assembled program, which is kept until one of its files changes.
 */
import {
  CodeActionKind,
  type Connection,
  DocumentDiagnosticReportKind,
  type InitializeResult,
  TextDocuments,
  TextDocumentSyncKind,
} from 'vscode-languageserver';
import { TextDocument } from 'vscode-languageserver-textdocument';
import { codeActions } from './code-actions';
import { completionAt, resolveCompletion } from './completion';
import { diagnosticsOf } from './convert';
import { foldingRanges } from './folding';
import { formatEdits } from './format';
import type { Host } from './host';
import { hoverAt } from './hover';
import { inlayHints } from './inlay-hints';
import { documentLinks } from './links';
import { definitionAt, highlightsAt, referencesAt, renamable, rename } from './navigation';
import { semanticTokens, TOKEN_MODIFIERS, TOKEN_TYPES } from './semantic-tokens';
import { signatureAt } from './signature';
import { outline, workspaceSymbols } from './symbols';
import { type Program, type SourceFile, Workspace } from './workspace';

export type { Host } from './host';

const CAPABILITIES: InitializeResult['capabilities'] = {
  textDocumentSync: TextDocumentSyncKind.Incremental,
  diagnosticProvider: { interFileDependencies: true, workspaceDiagnostics: false },
  completionProvider: { triggerCharacters: ['%', '@', '.', '=', '[', '"'], resolveProvider: true },
  signatureHelpProvider: { triggerCharacters: [' ', ','] },
  hoverProvider: true,
  definitionProvider: true,
  referencesProvider: true,
  documentHighlightProvider: true,
  renameProvider: { prepareProvider: true },
  documentSymbolProvider: true,
  workspaceSymbolProvider: true,
  semanticTokensProvider: {
    legend: { tokenTypes: [...TOKEN_TYPES], tokenModifiers: [...TOKEN_MODIFIERS] },
    full: true,
    range: true,
  },
  foldingRangeProvider: true,
  inlayHintProvider: true,
  documentLinkProvider: {},
  codeActionProvider: { codeActionKinds: [CodeActionKind.QuickFix] },
  documentFormattingProvider: true,
  documentRangeFormattingProvider: true,
  workspace: { workspaceFolders: { supported: true, changeNotifications: true } },
};

interface Settings {
  readonly pagewalk?: {
    readonly inlayHints?: { readonly enabled?: boolean };
    readonly define?: unknown;
    readonly include?: unknown;
    readonly warning?: unknown;
    readonly assembler?: unknown;
  };
}

/** The strings of a list in the settings, which may contain anything. */
const textsIn = (value: unknown): string[] =>
  Array.isArray(value) ? value.filter((each) => typeof each === 'string') : [];

export function serve(connection: Connection, host: Host): void {
  const documents = new TextDocuments(TextDocument);
  const byPath = new Map<string, TextDocument>();
  const workspace = new Workspace(
    host,
    (path) => byPath.get(path),
    () => documents.all(),
  );
  let showInlayHints = true;
  let canRefresh = false;
  let canChangeFolders = false;

  /** Answers from the program that a document belongs to; `otherwise` where it is not open. */
  function ask<T>(uri: string, otherwise: T, answer: (program: Program, file: SourceFile) => T): T {
    const path = host.pathOf(uri);
    const program = documents.get(uri) && workspace.programOf(path);
    const file = program?.files.get(path);
    return program && file ? answer(program, file) : otherwise;
  }

  /** The same for what is known of NASM sources only. */
  const askNasm: typeof ask = (uri, otherwise, answer) =>
    ask(uri, otherwise, (program, file) => (program.syntax === 'nasm' ? answer(program, file) : otherwise));

  connection.onInitialize(({ workspaceFolders, capabilities }) => {
    workspace.folders = (workspaceFolders ?? []).map(({ uri }) => host.pathOf(uri));
    canRefresh = capabilities.workspace?.diagnostics?.refreshSupport === true;
    canChangeFolders = capabilities.workspace?.workspaceFolders === true;
    return { capabilities: CAPABILITIES, serverInfo: { name: 'pagewalk' } };
  });
  connection.onInitialized(() => {
    if (!canChangeFolders) return;
    connection.workspace.onDidChangeWorkspaceFolders(({ added, removed }) => {
      const gone = new Set(removed.map(({ uri }) => host.pathOf(uri)));
      workspace.folders = [
        ...workspace.folders.filter((path) => !gone.has(path)),
        ...added.map(({ uri }) => host.pathOf(uri)),
      ];
      workspace.filesChanged();
    });
  });
  connection.onDidChangeConfiguration(({ settings }: { settings: Settings | null }) => {
    const { inlayHints: hints, define, include, warning, assembler } = settings?.pagewalk ?? {};
    const wanted = hints?.enabled !== false;
    const otherwise = workspace.configure({
      define: textsIn(define),
      include: textsIn(include),
      warning: textsIn(warning),
      // a default value does not override the guest's own @guest line
      assembler: typeof assembler === 'string' && assembler !== 'builtin' ? assembler : undefined,
    });
    if (otherwise && canRefresh) connection.languages.diagnostics.refresh();
    if (wanted === showInlayHints && !otherwise) return;
    showInlayHints = wanted;
    if (canRefresh) void connection.languages.inlayHint.refresh();
  });
  const readAgain = (): void => {
    workspace.filesChanged();
    if (canRefresh) connection.languages.diagnostics.refresh();
  };
  connection.onDidChangeWatchedFiles(({ changes }) => {
    host.filesChanged?.(changes.map(({ uri }) => host.pathOf(uri)));
    readAgain();
  });
  host.onFilesKnown?.(() => {
    readAgain();
    if (canRefresh) void connection.languages.inlayHint.refresh();
  });

  connection.languages.diagnostics.on(({ textDocument: { uri } }) => ({
    kind: DocumentDiagnosticReportKind.Full,
    items: ask(uri, [], (program, { path }) => diagnosticsOf(program, path, host)),
  }));
  connection.onCompletion(({ textDocument: { uri }, position }) =>
    askNasm(uri, [], (program, file) => completionAt(program, file, position, host, workspace.allSources())),
  );
  connection.onCompletionResolve(resolveCompletion);
  connection.onSignatureHelp(({ textDocument: { uri }, position }) =>
    askNasm(uri, null, (program, file) => signatureAt(program, file, position)),
  );
  connection.onHover(({ textDocument: { uri }, position }) =>
    ask(uri, null, (program, file) => hoverAt(program, file, position, host)),
  );
  connection.onDefinition(({ textDocument: { uri }, position }) =>
    ask(uri, [], (program, { path }) => definitionAt(program, path, position, host)),
  );
  connection.onReferences(({ textDocument: { uri }, position, context }) =>
    ask(uri, [], (program, { path }) => referencesAt(program, path, position, context.includeDeclaration, host)),
  );
  connection.onDocumentHighlight(({ textDocument: { uri }, position }) =>
    ask(uri, [], (program, { path }) => highlightsAt(program, path, position)),
  );
  connection.onPrepareRename(({ textDocument: { uri }, position }) =>
    ask(uri, null, (program, { path }) => renamable(program, path, position) ?? null),
  );
  connection.onRenameRequest(({ textDocument: { uri }, position, newName }) =>
    ask(uri, null, (program, { path }) => rename(program, path, position, newName, host)),
  );
  connection.onDocumentSymbol(({ textDocument: { uri } }) => ask(uri, [], outline));
  connection.onWorkspaceSymbol(({ query }) => {
    const files = workspace.allSources().flatMap((path) => workspace.source(path) ?? []);
    return workspaceSymbols(files, query, host);
  });
  connection.languages.semanticTokens.on(({ textDocument: { uri } }) =>
    ask(uri, { data: [] }, (program, { path }) => semanticTokens(program, path)),
  );
  connection.languages.semanticTokens.onRange(({ textDocument: { uri }, range }) =>
    ask(uri, { data: [] }, (program, { path }) => semanticTokens(program, path, range)),
  );
  connection.onFoldingRanges(({ textDocument: { uri } }) => askNasm(uri, [], (_, file) => foldingRanges(file)));
  connection.languages.inlayHint.on(({ textDocument: { uri }, range }) =>
    askNasm(uri, [], (program, file) => (showInlayHints ? inlayHints(program, file, range) : [])),
  );
  connection.onDocumentLinks(({ textDocument: { uri } }) =>
    askNasm(uri, [], (program, file) => documentLinks(program, file, host, workspace.folders)),
  );
  connection.onCodeAction((params) =>
    askNasm(params.textDocument.uri, [], (program, file) => codeActions(program, file, params)),
  );
  connection.onDocumentFormatting(({ textDocument: { uri }, options }) =>
    askNasm(uri, [], (_, file) => formatEdits(file, options)),
  );
  connection.onDocumentRangeFormatting(({ textDocument: { uri }, options, range }) =>
    askNasm(uri, [], (_, file) => formatEdits(file, options, range)),
  );

  documents.onDidOpen(({ document }) => byPath.set(host.pathOf(document.uri), document));
  documents.onDidChangeContent(({ document }) => byPath.set(host.pathOf(document.uri), document));
  documents.onDidClose(({ document }) => {
    const path = host.pathOf(document.uri);
    byPath.delete(path);
    workspace.closed(path);
  });
  documents.listen(connection);
  connection.listen();
}
