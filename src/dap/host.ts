import type { InstalledAssembler } from '../session/launch/assembly';
import type { Answer } from '../session/answer';
import type { DebugTarget } from '../session/api';
import type { OpenOutput } from '../session/launch/output-files';
import type { Program } from '../session/launch/program';

/** Makes a debug target from a program: the machine is created and stopped before the guest's first instruction. */
export type TargetFactory = (program: Program) => Answer<DebugTarget>;

/** What the adapter needs from its system and from the debug target; src/main/dap.ts supplies it. */
export interface AdapterHost {
  readonly createTarget: TargetFactory;
  /** The bytes of a file, or why there are none. */
  readFile(
    path: string,
  ): { readonly ok: true; readonly bytes: Uint8Array } | { readonly ok: false; readonly why: string };
  /** A file that the source `from` names by %include or incbin; undefined where it is missing, or lies in none of `folders`. */
  include(name: string, from: string, folders: readonly string[]): Uint8Array | undefined;
  /** The folder that a file lies in. */
  folderOf(path: string): string;
  readonly openOutput: OpenOutput;
  /** Whether a client with this text knows the adapter's secret; absent if there is none. */
  readonly knowsSecret?: (secret: string) => boolean;
  /** An installed nasm for the source `file`; absent where processes cannot be run. */
  nasm?(file: string, path: string | undefined): InstalledAssembler;
  /** An installed GNU as, likewise. */
  gas?(file: string): InstalledAssembler;
  /** For the sources of the executable `program`: where each is now, as found beside it or below `folders` if not at its path. */
  sourceFinder?(program: string, folders: readonly string[]): (path: string) => string;
  /** The path without symbolic links; the path itself if the file does not exist. */
  realPath?(path: string): string;
  /** The path made absolute and normal, so that the same file has one spelling. */
  absolute(path: string): string;
  /** Calls back after a turn of the event loop, when pending input has been handled. */
  turn(callback: () => void): void;
  /** Milliseconds since some moment; decides how much work one turn does. */
  now(): number;
}
