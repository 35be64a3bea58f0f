/**
 * The language server. Diagnostics are pulled: the editor asks when it wants them, and a question that a newer edit has
 * overtaken is cancelled while it queues, so that nothing here needs a clock.
 */
import {
  type Connection,
  DocumentDiagnosticReportKind,
  TextDocuments,
  TextDocumentSyncKind,
} from 'vscode-languageserver';
import { TextDocument } from 'vscode-languageserver-textdocument';
import { type Analysis, analyse, symbolOf, wordAt } from './analysis';
import { outline, toDiagnostic, toRange } from './convert';
import { symbolMarkdown } from './hover';

/** What the server needs of its host. */
export interface Host {
  pathOf(uri: string): string;
  uriOf(path: string): string;
  /** For %include and incbin: the bytes of a file inside the workspace, or undefined. `folders` are the workspace's paths. */
  readFile(path: string, from: string, folders: readonly string[]): Uint8Array | undefined;
}

interface Cached {
  readonly version: number;
  readonly analysis: Analysis;
}

export function serve(connection: Connection, host: Host): void {
  const documents = new TextDocuments(TextDocument);
  const cache = new Map<string, Cached>();
  let folders: readonly string[] = [];

  function analysisOf(uri: string): Analysis | undefined {
    const document = documents.get(uri);
    if (!document) return undefined;
    const known = cache.get(uri);
    if (known?.version === document.version) return known.analysis;
    const analysis = analyse(document.getText(), host.pathOf(uri), (path, from) => host.readFile(path, from, folders));
    cache.set(uri, { version: document.version, analysis });
    return analysis;
  }

  connection.onInitialize(({ workspaceFolders }) => {
    folders = (workspaceFolders ?? []).map(({ uri }) => host.pathOf(uri));
    return {
      capabilities: {
        textDocumentSync: TextDocumentSyncKind.Incremental,
        diagnosticProvider: { interFileDependencies: false, workspaceDiagnostics: false },
        documentSymbolProvider: true,
        definitionProvider: true,
        hoverProvider: true,
      },
      serverInfo: { name: 'pagewalk' },
    };
  });

  connection.languages.diagnostics.on(({ textDocument }) => {
    const analysis = analysisOf(textDocument.uri);
    const items = analysis?.assembled.diagnostics.map((each) => toDiagnostic(each, analysis.fileName)) ?? [];
    return { kind: DocumentDiagnosticReportKind.Full, items };
  });

  connection.onDocumentSymbol(({ textDocument }) => {
    const analysis = analysisOf(textDocument.uri);
    return analysis ? outline(analysis) : [];
  });

  connection.onDefinition(({ textDocument, position }) => {
    const analysis = analysisOf(textDocument.uri);
    const word = analysis && wordAt(analysis, position.line + 1, position.character + 1);
    const symbol = word && symbolOf(analysis, word);
    return symbol ? { uri: host.uriOf(symbol.span.file), range: toRange(symbol.span) } : null;
  });

  connection.onHover(({ textDocument, position }) => {
    const analysis = analysisOf(textDocument.uri);
    const word = analysis && wordAt(analysis, position.line + 1, position.character + 1);
    const symbol = word && symbolOf(analysis, word);
    if (!symbol) return null;
    const at = {
      file: word.file,
      start: { line: word.line, column: word.column },
      end: { line: word.line, column: word.end },
    };
    return { contents: { kind: 'markdown', value: symbolMarkdown(analysis, symbol) }, range: toRange(at) };
  });

  documents.onDidClose(({ document }) => cache.delete(document.uri));
  documents.listen(connection);
  connection.listen();
}
