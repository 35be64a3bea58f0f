/** What the language server needs from its environment: files, and what only the debugger knows. */
import { searchPlaces, type Assembled, type ReadFile } from '../asm/index';
import type { Diagnostic } from '../base/diagnostic';

/** A key of a guest file's `@guest` line. */
export interface OptionHelp {
  readonly key: string;
  readonly doc: string;
  /** Each value and what it means, where there is a choice. */
  readonly values?: Readonly<Record<string, string>>;
}

export interface Host {
  pathOf(uri: string): string;
  uriOf(path: string): string;
  /** The full path of a file that `from` names. */
  resolve(path: string, from: string): string;
  /** For %include and incbin: the bytes of a file inside the workspace, or undefined. `folders` are the workspace's paths. */
  readFile(path: string, from: string, folders: readonly string[]): Uint8Array | undefined;
  /** Calls back when requested files have arrived; absent if reads complete immediately. */
  onFilesKnown?(known: () => void): void;
  /** The editor reports that these files were changed, created or deleted. */
  filesChanged?(paths: readonly string[]): void;
  /** The assembly sources below the folders, a bounded number of them. */
  sources(folders: readonly string[]): readonly string[];
  readonly options: readonly OptionHelp[];
  /** What may follow `@host`: the words, how their arguments are written, and what they do. */
  readonly hostWords: readonly { readonly words: string; readonly usage: string; readonly doc: string }[];
  /** Assembles a guest as a run of it would. */
  assemble(source: string, path: string, settings: AssemblerSettings, readFile: ReadFile): AssembledForEditor;
  /** The folders where what a guest includes is looked for, besides its own. */
  includePath(source: string, path: string, settings: AssemblerSettings): readonly string[];
}

/** What the editor's settings give to the assembler, as the options of the same names do; folders as full paths. */
export interface AssemblerSettings {
  readonly define: readonly string[];
  readonly include: readonly string[];
  readonly warning: readonly string[];
  /** The assembler to use, if the settings name one other than the built-in. */
  readonly assembler: string | undefined;
}

export interface AssembledForEditor {
  /** `gnu`: a source for GNU as, of which only the names are known here; `assembled` is empty then. */
  readonly syntax: 'nasm' | 'gnu';
  readonly assembled: Assembled;
  /** Those of the assembler, of the directives in comments, and of how the guest starts. */
  readonly diagnostics: readonly Diagnostic[];
}

/** The paths by which a file may be found that `from` names, a file of the program `main`: beside it first. */
export const placesOf = (
  host: Host,
  name: string,
  from: string,
  main: string,
  includePath: readonly string[],
): string[] => searchPlaces(from, main, includePath).map((place) => host.resolve(name, place));
