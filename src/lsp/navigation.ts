/** Definition, references, highlights and rename, over all files of a program. */
import {
  DocumentHighlightKind,
  ResponseError,
  type DocumentHighlight,
  type Location,
  type Position,
  type Range,
  type TextEdit,
  type WorkspaceEdit,
} from 'vscode-languageserver';
import { lexLine } from '../asm/index';
import { isReservedWord } from '../asm/parser';
import { locationOf, rangeOf } from './convert';
import type { Host } from './host';
import type { Occurrence } from './names';
import { isInclude } from './shape';
import { includedFile, type Program } from './workspace';

const nameAt = ({ names }: Program, path: string, { line, character }: Position): Occurrence | undefined =>
  names.at(path, line + 1, character + 1);

export function definitionAt(program: Program, path: string, at: Position, host: Host): Location[] {
  const name = nameAt(program, path, at);
  if (name) return program.names.definitions(name.key).map((each) => locationOf(host, each));
  const line = program.files.get(path)?.lines.find(({ tokens }) => tokens[0]?.line === at.line + 1);
  const string = line?.tokens.find(
    (t) => t.kind === 'string' && t.column <= at.character + 1 && at.character + 1 <= t.end,
  );
  if (!string || !isInclude(line?.tokens[0])) return [];
  const target = includedFile(program, string.text.slice(1, -1), path, host);
  const start = { line: 0, character: 0 };
  return target !== undefined ? [{ uri: host.uriOf(target), range: { start, end: start } }] : [];
}

export function referencesAt(
  program: Program,
  path: string,
  at: Position,
  withDefinition: boolean,
  host: Host,
): Location[] {
  const name = nameAt(program, path, at);
  const all = name ? program.names.all(name.key) : [];
  return all.filter(({ defines }) => withDefinition || !defines).map((each) => locationOf(host, partOf(program, each)));
}

export function highlightsAt(program: Program, path: string, at: Position): DocumentHighlight[] {
  const name = nameAt(program, path, at);
  const all = name ? program.names.all(name.key) : [];
  return all
    .filter(({ file }) => file === path)
    .map((each) => ({
      range: rangeOf(partOf(program, each)),
      kind: each.defines ? DocumentHighlightKind.Write : DocumentHighlightKind.Read,
    }));
}

export function renamable(
  program: Program,
  path: string,
  at: Position,
): { range: Range; placeholder: string } | undefined {
  const name = nameAt(program, path, at);
  if (!name) return undefined;
  const part = partOf(program, name);
  return { range: rangeOf(part), placeholder: part.text };
}

/** @throws ResponseError if the new name is invalid or taken */
export function rename(
  program: Program,
  path: string,
  at: Position,
  newName: string,
  host: Host,
): WorkspaceEdit | null {
  const name = nameAt(program, path, at);
  if (!name) return null;
  const part = partOf(program, name);
  const refuse = (why: string): never => {
    throw new ResponseError(REQUEST_FAILED, why);
  };
  const prefix = /^(%%|%\$+|\.)?/.exec(part.text)?.[0] ?? '';
  const [token, ...rest] = lexLine(` ${newName}`, path, 1).tokens;
  const kind = prefix.startsWith('%') ? 'parameter' : 'word';
  if (rest.length > 0 || token?.kind !== kind || !newName.startsWith(prefix))
    refuse(`\`${newName}\` is no name ${prefix ? `that begins with ${prefix}` : 'of a label or macro'}`);
  if (!prefix && newName.startsWith('.')) refuse(`\`${newName}\` would be a local label of the one before`);
  if (kind === 'word' && program.syntax === 'nasm' && isReservedWord(newName.toLowerCase()))
    refuse(`\`${newName}\` is an instruction, register or directive`);
  const newKey = name.key.slice(0, name.key.length - part.text.length) + newName;
  if (newKey !== name.key && program.names.definitions(newKey).length > 0) refuse(`\`${newName}\` is defined already`);
  const changes: Record<string, TextEdit[]> = {};
  for (const each of program.names.all(name.key)) {
    const { file, text, ...place } = partOf(program, each);
    const escaped = text.startsWith('$') ? `$${newName}` : newName;
    (changes[host.uriOf(file)] ??= []).push({ range: rangeOf(place), newText: escaped });
  }
  return { changes };
}

/** LSP 3.17: the request was understood and cannot be fulfilled; its message is shown. */
const REQUEST_FAILED = -32803;

/** For `owner.local` whose local part is defined separately: that part. */
function partOf({ names }: Program, name: Occurrence): Occurrence {
  const [definition] = names.definitions(name.key);
  const local = definition?.text;
  if (local === undefined || !local.startsWith('.') || name.text.startsWith('.') || !name.text.endsWith(local))
    return name;
  return { ...name, column: name.end - local.length, text: local };
}
