import type { InstalledAssembler } from '../session/launch/assembly';
import type { OpenOutput } from '../session/launch/output-files';

/** Where `pagewalk dap` waits for debug clients. */
export type DapListen =
  | { readonly kind: 'stdio' }
  | { readonly kind: 'port'; readonly port: number }
  | { readonly kind: 'socket'; readonly path: string };

/** What debug clients must know, and the file that contains it. */
export interface Secret {
  readonly path: string;
  readonly text: string;
}

/** What the command line needs from its system; src/main/cli.ts supplies it. */
export interface CliHost {
  /** The bytes of a file, or why there are none. */
  readFile(
    path: string,
  ): { readonly ok: true; readonly bytes: Uint8Array } | { readonly ok: false; readonly why: string };
  readonly openOutput: OpenOutput;
  /** The path that `name` means when the file `from` names it. */
  resolve(name: string, from: string): string;
  /** An installed nasm for `file`; absent where processes cannot be run. */
  nasm?(file: string): InstalledAssembler;
  /** An installed GNU as, likewise. */
  gas?(file: string): InstalledAssembler;
  /** Runs the debug adapter; returns an exit code where it cannot listen. With a secret, it serves only clients that know it. */
  dap(at: DapListen, secret: Secret | undefined): Promise<number>;
  stdout(text: string | Uint8Array): void;
  stderr(text: string): void;
  readonly version: string;
}

/** The command line's own exit codes (odd ones are the guest's). */
export const EXIT = { ok: 0, differs: 1, badInput: 2, checkFailed: 10, internal: 70 } as const;

/** Instructions between two checks for output. */
export const SLICE = 2_000_000;
