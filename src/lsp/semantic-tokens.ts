/** Semantic tokens: what a name is, which the grammar cannot know. */
import { SemanticTokensBuilder, type Range, type SemanticTokens } from 'vscode-languageserver';
import type { NameKind } from './names';
import type { Program } from './workspace';

export const TOKEN_TYPES = ['function', 'variable', 'enumMember', 'macro', 'struct', 'parameter'] as const;
export const TOKEN_MODIFIERS = ['declaration', 'readonly'] as const;

const TYPE: Readonly<Record<NameKind, (typeof TOKEN_TYPES)[number]>> = {
  label: 'function',
  constant: 'enumMember',
  define: 'macro',
  macro: 'macro',
  structure: 'struct',
  parameter: 'parameter',
};

export function semanticTokens({ names, assembled }: Program, path: string, range?: Range): SemanticTokens {
  const data = new Set(assembled.symbols.flatMap(({ followedBy, name }) => (followedBy === 'data' ? [name] : [])));
  const builder = new SemanticTokensBuilder();
  const inOrder = names
    .inFile(path)
    .filter(({ line }) => !range || (range.start.line < line && line <= range.end.line + 1))
    .sort((a, b) => a.line - b.line || a.column - b.column || a.end - b.end);
  let [line, free] = [0, 0];
  for (const name of inOrder) {
    const [definition] = names.definitions(name.key);
    if (!definition?.defines) continue;
    // `owner.local` holds two names; tokens may not overlap, so the second is its rest.
    const column = name.line === line ? Math.max(name.column, free) : name.column;
    if (column >= name.end) continue;
    [line, free] = [name.line, name.end];
    const type = definition.defines === 'label' && data.has(name.key) ? 'variable' : TYPE[definition.defines];
    const modifiers = (name.defines ? 1 : 0) | (type === 'enumMember' ? 2 : 0);
    builder.push(name.line - 1, column - 1, name.end - column, TOKEN_TYPES.indexOf(type), modifiers);
  }
  return builder.build();
}
