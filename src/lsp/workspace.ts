/**
 * The documents, the files beside them, and the programs they make. A program is a file with all that it includes; an included
 * file is looked at as part of the program that includes it. Programs are kept until a file of theirs changes.
 */
import type { TextDocument } from 'vscode-languageserver-textdocument';
import { gasNames, insideOf, lexFile, type Assembled, type Bits, type LogicalLine } from '../asm/index';
import type { Diagnostic } from '../base/diagnostic';
import { type AssemblerSettings, type Host, placesOf } from './host';
import { Names } from './names';

export interface SourceFile {
  readonly path: string;
  readonly text: string;
  readonly lines: readonly LogicalLine[];
}

export interface Program {
  /** The file that is assembled. */
  readonly root: string;
  /** Of a source for GNU as only the names are known. */
  readonly syntax: 'nasm' | 'gnu';
  readonly assembled: Assembled;
  readonly diagnostics: readonly Diagnostic[];
  /** Folders where files are looked for that do not lie beside the one that names them. */
  readonly includePath: readonly string[];
  /** By path, the root first. */
  readonly files: ReadonlyMap<string, SourceFile>;
  /** Read when first asked for. */
  readonly names: Names;
}

interface Entry {
  readonly program: Program;
  /** The version of every file that was read, or asked for and not found. */
  readonly versions: ReadonlyMap<string, string>;
}

const MAX_PROGRAMS = 16;
const INCLUDE = /^[ \t]*%[ \t]*(?:include|require)[ \t]+(["'`])(.+?)\1/gim;

export class Workspace {
  folders: readonly string[] = [];
  private settings: AssemblerSettings = { define: [], include: [], warning: [], assembler: undefined };
  private readonly programs = new Map<string, Entry>();
  private readonly sources = new Map<string, SourceFile & { readonly version: string }>();
  private readonly onDisk = new Map<string, string | undefined>();
  private readonly includes = new Map<string, { readonly version: string; readonly names: readonly string[] }>();
  private listed: readonly string[] | undefined;
  private includers: { readonly stamp: string; readonly map: ReadonlyMap<string, readonly string[]> } | undefined;
  /** Counts what the editor reports of files that it has not opened. */
  private generation = 0;

  constructor(
    private readonly host: Host,
    private readonly document: (path: string) => TextDocument | undefined,
    private readonly open: () => readonly TextDocument[],
  ) {}

  /** Files outside the editor were changed, created or deleted. */
  filesChanged(): void {
    this.generation++;
    this.onDisk.clear();
    this.listed = undefined;
  }

  /** @returns whether anything changed */
  configure(settings: AssemblerSettings): boolean {
    if (JSON.stringify(settings) === JSON.stringify(this.settings)) return false;
    this.settings = settings;
    this.programs.clear();
    this.includers = undefined;
    return true;
  }

  /** The settings for a file; their folders count from the workspace folder that it lies in, and the open folders come before them, as for a run. */
  private settingsFor(path: string): AssemblerSettings {
    const { include } = this.settings;
    const around = this.folders.filter((each) => path.startsWith(each)).sort((a, b) => b.length - a.length)[0];
    const folder = around ?? this.folders[0];
    const from = folder === undefined ? path : insideOf(folder);
    const inside = include.map((each) => this.host.resolve(each, from));
    return { ...this.settings, include: [...this.folders, ...inside] };
  }

  /** A file's text in the editor, otherwise on disk. */
  source(path: string): SourceFile | undefined {
    const version = this.versionOf(path);
    const known = this.sources.get(path);
    if (known?.version === version) return known;
    const text = this.document(path)?.getText() ?? this.diskText(path);
    if (text === undefined) return undefined;
    const source = { path, text, lines: lexFile(text, path), version };
    this.sources.set(path, source);
    return source;
  }

  /** The program that a file belongs to: the one that includes it, or itself. */
  programOf(path: string): Program | undefined {
    const root = this.rootOf(path);
    const program = this.programAt(root);
    return program?.files.has(path) || root === path ? program : this.programAt(path);
  }

  /** Every source file of the workspace and of the editor. */
  allSources(): string[] {
    this.listed ??= this.host.sources(this.folders);
    return [...new Set([...this.open().map(({ uri }) => this.host.pathOf(uri)), ...this.listed])];
  }

  /** Forgets what only a closed document needed. */
  closed(path: string): void {
    this.sources.delete(path);
  }

  private programAt(root: string): Program | undefined {
    const known = this.programs.get(root);
    if (known && [...known.versions].every(([path, version]) => this.versionOf(path) === version)) return known.program;
    const source = this.source(root);
    if (!source) return undefined;
    const versions = new Map([[root, this.versionOf(root)]]);
    const files = new Map([[root, source]]);
    const settings = this.settingsFor(root);
    const { syntax, assembled, diagnostics } = this.host.assemble(source.text, root, settings, (name, from, use) => {
      const path = this.host.resolve(name, from);
      versions.set(path, this.versionOf(path));
      const onDisk = this.host.readFile(name, from, this.folders);
      // the disk decides whether the file may be read at all; the editor's text is newer
      const text = onDisk && this.document(path)?.getText();
      const included = onDisk && use === 'text' ? this.source(path) : undefined;
      if (included) files.set(path, included);
      return text === undefined ? onDisk : encoder.encode(text);
    });
    let names: Names | undefined;
    const program: Program = {
      root,
      syntax,
      assembled,
      diagnostics,
      includePath: this.host.includePath(source.text, root, settings),
      files,
      get names() {
        return (names ??=
          syntax === 'gnu' ? gnuNames(source) : Names.of([...files.values()].map(({ lines }) => lines)));
      },
    };
    this.programs.delete(root);
    this.programs.set(root, { program, versions });
    for (const oldest of this.programs.keys()) {
      if (this.programs.size <= MAX_PROGRAMS) break;
      this.programs.delete(oldest);
    }
    return program;
  }

  private diskText(path: string): string | undefined {
    if (!this.onDisk.has(path)) {
      const bytes = this.host.readFile(path, path, this.folders);
      this.onDisk.set(path, bytes && decoder.decode(bytes));
    }
    return this.onDisk.get(path);
  }

  private versionOf(path: string): string {
    const document = this.document(path);
    return document ? `v${document.version}` : `g${this.generation}`;
  }

  /** The outermost file that includes `path`; of several an open one, else the first by name. */
  private rootOf(path: string): string {
    const includers = this.includersOfAll();
    const isOpen = (each: string): boolean => this.document(each) !== undefined;
    const seen = new Set<string>();
    let at = path;
    while (!seen.has(at)) {
      seen.add(at);
      const above = (includers.get(at) ?? []).filter((each) => !seen.has(each));
      const next = above.find(isOpen) ?? above[0];
      if (next === undefined) break;
      at = next;
    }
    return at;
  }

  /** The names that a file's %include lines hold. */
  private names(path: string): readonly string[] {
    const version = this.versionOf(path);
    const known = this.includes.get(path);
    if (known?.version === version) return known.names;
    const text = this.document(path)?.getText() ?? this.diskText(path) ?? '';
    const names = text.includes('%') ? [...text.matchAll(INCLUDE)].map((match) => match[2] ?? '') : [];
    this.includes.set(path, { version, names });
    return names;
  }

  private includePathOf(path: string): readonly string[] {
    const text = this.document(path)?.getText() ?? this.diskText(path) ?? '';
    return this.host.includePath(text, path, this.settingsFor(path));
  }

  private includersOfAll(): ReadonlyMap<string, readonly string[]> {
    const all = this.allSources();
    const known = new Set(all);
    const texts = all.map((path) => ({ path, includes: this.names(path) }));
    const stamp = texts.map(({ path, includes }) => `${path}:${includes.join()}`).join('\n');
    if (this.includers?.stamp === stamp) return this.includers.map;
    const map = new Map<string, string[]>();
    const add = (target: string, includer: string): void => {
      const list = map.get(target);
      if (list) list.push(includer);
      else map.set(target, [includer]);
    };
    const elsewhere: { readonly name: string; readonly path: string }[] = [];
    for (const { path, includes } of texts)
      for (const name of includes) {
        const target = placesOf(this.host, name, path, path, this.includePathOf(path)).find((each) => known.has(each));
        if (target === undefined) elsewhere.push({ name, path });
        else add(target, path);
      }
    // a file that is not beside the including file may be beside the main file, which is one of the including files
    for (const { name, path } of elsewhere) {
      const above = includersAbove(map, path).find((each) => known.has(this.host.resolve(name, each)));
      add(this.host.resolve(name, above ?? path), path);
    }
    for (const list of map.values()) list.sort();
    this.includers = { stamp, map };
    return map;
  }
}

/** The files that include `path`, and those that include them. */
function includersAbove(map: ReadonlyMap<string, readonly string[]>, path: string): string[] {
  const seen = new Set<string>();
  const todo = [...(map.get(path) ?? [])];
  for (let at = todo.shift(); at !== undefined; at = todo.shift()) {
    if (seen.has(at)) continue;
    seen.add(at);
    todo.push(...(map.get(at) ?? []));
  }
  return [...seen];
}

/** The names of a source for GNU as. */
const gnuNames = ({ path, text }: SourceFile): Names =>
  new Names(gasNames(text).map(({ name, ...rest }) => ({ ...rest, key: name, text: name, file: path })));

/** The file of a program that `from` includes by a name. */
export const includedFile = (program: Program, name: string, from: string, host: Host): string | undefined =>
  placesOf(host, name, from, program.root, program.includePath).find((path) => program.files.has(path));

/** The processor mode that a line of a file is assembled for. */
export function bitsAt({ assembled }: Program, { path, lines }: SourceFile, line: number): Bits {
  let bits: Bits | undefined;
  for (const { tokens, line: at } of lines) {
    if (at > line) break;
    const words = tokens.map(({ text }) => text.toLowerCase()).filter((text) => text !== '[');
    if (words[0] === 'bits' && /^(16|32|64)$/.test(words[1] ?? '')) bits = Number(words[1]) as Bits;
    const use = /^use(16|32|64)$/.exec(words[0] ?? '');
    if (use) bits = Number(use[1]) as Bits;
  }
  return bits ?? assembled.lines.find((each) => each.file === path)?.bits ?? 16;
}

const decoder = new TextDecoder();
const encoder = new TextEncoder();
