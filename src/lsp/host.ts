/** What the language server needs of the place it runs in: files, and what only the debugger knows. */
import type { Directive } from '../asm/index';
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
  /** The assembly sources below the folders, a bounded number of them. */
  sources(folders: readonly string[]): readonly string[];
  readonly options: readonly OptionHelp[];
  /** What is wrong with the directives in a guest's comments. */
  checkDirectives(directives: readonly Directive[]): readonly Diagnostic[];
}
