/** The outline of a file, and the names of the workspace. */
import { SymbolKind, type DocumentSymbol, type WorkspaceSymbol } from 'vscode-languageserver';
import { rangeOf } from './convert';
import type { Host } from './host';
import { Names, type Occurrence } from './names';
import type { Program, SourceFile } from './workspace';

const KIND = {
  label: SymbolKind.Function,
  constant: SymbolKind.Constant,
  define: SymbolKind.Constant,
  macro: SymbolKind.Method,
  structure: SymbolKind.Struct,
  parameter: SymbolKind.Variable,
} as const;
const MAX_FOUND = 500;

/** Labels with their local labels below them, structures with their fields, constants, macros. */
export function outline(program: Program, { path, text }: SourceFile): DocumentSymbol[] {
  const data = new Set(
    program.assembled.symbols.flatMap(({ followedBy, name }) => (followedBy === 'data' ? [name] : [])),
  );
  const roots: DocumentSymbol[] = [];
  const owners = new Map<string, DocumentSymbol>();
  const seen = new Set<string>();
  const inOrder = program.names
    .inFile(path)
    .filter(({ defines }) => defines && defines !== 'parameter')
    .sort((a, b) => a.line - b.line || a.column - b.column);
  for (const name of inOrder) {
    // A name that %assign sets many times is shown once.
    if (name.defines === 'define' && seen.has(name.key)) continue;
    seen.add(name.key);
    const range = rangeOf(name);
    const owner = name.text.startsWith('.')
      ? owners.get(name.key.slice(0, name.key.length - name.text.length))
      : undefined;
    const kind = name.defines === 'label' && data.has(name.key) ? SymbolKind.Variable : KIND[name.defines ?? 'label'];
    const item: DocumentSymbol = { name: name.text, kind, range, selectionRange: range, children: [] };
    if (owner) owner.children?.push(item);
    else roots.push(item);
    owners.set(name.key, item);
  }
  // A label's range reaches to the next one, so that the editor knows in which the cursor stands.
  const last = { line: text.split('\n').length - 1, character: 0 };
  const labels = roots.filter(
    ({ kind }) => kind === SymbolKind.Function || kind === SymbolKind.Variable || kind === SymbolKind.Struct,
  );
  for (const [index, item] of labels.entries()) {
    const end = labels[index + 1]?.range.start ?? last;
    if (end.line > item.range.end.line) item.range = { start: item.range.start, end };
  }
  return roots;
}

/** Names of all files that contain the letters of the query in their order. */
export function workspaceSymbols(files: Iterable<SourceFile>, query: string, host: Host): WorkspaceSymbol[] {
  const letters = query.toLowerCase();
  const matches = ({ key }: Occurrence): boolean => {
    let at = 0;
    for (const letter of key.toLowerCase()) if (letter === letters[at]) at++;
    return at === letters.length;
  };
  const out: WorkspaceSymbol[] = [];
  for (const { path, lines } of files)
    for (const name of Names.of([lines]).defined()) {
      if (!name.defines || name.defines === 'parameter' || !matches(name)) continue;
      out.push({ name: name.key, kind: KIND[name.defines], location: { uri: host.uriOf(path), range: rangeOf(name) } });
      if (out.length >= MAX_FOUND) return out;
    }
  return out;
}
