import type { InstalledAssembler } from '../session/assembly';

/** Where `pagewalk dap` waits for debug clients. */
export type DapListen =
  | { readonly kind: 'stdio' }
  | { readonly kind: 'port'; readonly port: number }
  | { readonly kind: 'socket'; readonly path: string };

/** What the command line needs of the system it runs on; src/main/cli.ts supplies it. */
export interface CliHost {
  /** The bytes of a file, or in words why there are none. */
  readFile(
    path: string,
  ): { readonly ok: true; readonly bytes: Uint8Array } | { readonly ok: false; readonly why: string };
  /** Undefined, or in words why the file could not be written. */
  writeFile(path: string, content: Uint8Array | string): string | undefined;
  /** The path that `name` means when the file `from` names it. */
  resolve(name: string, from: string): string;
  /** An installed nasm for `file`; absent where processes cannot be run. */
  nasm?(file: string): InstalledAssembler;
  /** An installed GNU as, likewise. */
  gas?(file: string): InstalledAssembler;
  /** Runs the debug adapter; returns an exit code where it cannot listen. */
  dap(at: DapListen): Promise<number>;
  stdout(text: string | Uint8Array): void;
  stderr(text: string): void;
  /** Returns after a turn of the event loop, so that Ctrl-C is heard between slices of a long run. */
  turn(): Promise<void>;
  /** Ctrl-C has been pressed. */
  readonly interrupted: boolean;
  readonly version: string;
}

/** The command line's own exit codes (odd ones are the guest's). */
export const EXIT = { ok: 0, differs: 1, badInput: 2, checkFailed: 10, internal: 70, interrupted: 130 } as const;

/** Instructions between two looks at the event loop. */
export const SLICE = 2_000_000;
