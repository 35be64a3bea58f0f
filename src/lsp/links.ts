/** Links on the file names of %include and incbin. */
import type { DocumentLink } from 'vscode-languageserver';
import { rangeOf } from './convert';
import { type Host, placesOf } from './host';
import type { Program, SourceFile } from './workspace';

export function documentLinks(
  { root, includePath }: Program,
  { path, lines }: SourceFile,
  host: Host,
  folders: readonly string[],
): DocumentLink[] {
  return lines.flatMap(({ tokens }) =>
    tokens.flatMap((token, index): DocumentLink[] => {
      const before = tokens[index - 1]?.text.toLowerCase();
      if (token.kind !== 'string' || (before !== '%include' && before !== '%require' && before !== 'incbin')) return [];
      const name = token.text.slice(1, -1);
      const target = placesOf(host, name, path, root, includePath).find((each) => host.readFile(each, path, folders));
      if (target === undefined) return [];
      const inside = { ...token, column: token.column + 1, end: token.end - 1 };
      return [{ range: rangeOf(inside), target: host.uriOf(target) }];
    }),
  );
}
