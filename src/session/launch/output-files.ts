/** The files that a run's outputs go to: opened before the run, so that a wrong name does not cost one, and never two outputs to one file. */
import type { Result } from '../../base/result';
import { err, ok } from '../../base/result';

/** A file that receives an output. */
export interface OutputFile {
  /** The same for all names of one file; undefined for what may be named twice (/dev/null). */
  readonly identity: string | undefined;
  /** Undefined when all of it is written, or in words why not. A text becomes UTF-8. */
  write(content: Uint8Array | string): string | undefined;
  close(): void;
}

/** Creates or empties the file at a path. */
export type OpenOutput = (
  path: string,
) => { readonly ok: true; readonly file: OutputFile } | { readonly ok: false; readonly why: string };

/** An output that cannot be opened. */
export interface OutputProblem<Name> {
  readonly name: Name;
  readonly path: string;
  readonly why: string;
}

/** Opens all of `wanted`, or none. `spell` names an output as its user wrote it. */
export function openOutputs<Name extends string>(
  wanted: Iterable<readonly [name: Name, path: string]>,
  open: OpenOutput,
  spell: (name: Name) => string,
): Result<ReadonlyMap<Name, OutputFile>, OutputProblem<Name>> {
  const files = new Map<Name, OutputFile>();
  const owners = new Map<string, Name>();
  const refuse = (problem: OutputProblem<Name>): Result<never, OutputProblem<Name>> => {
    for (const each of files.values()) each.close();
    return err(problem);
  };
  for (const [name, path] of wanted) {
    const opened = open(path);
    if (!opened.ok) return refuse({ name, path, why: opened.why });
    files.set(name, opened.file);
    const { identity } = opened.file;
    if (identity === undefined) continue;
    const owner = owners.get(identity);
    if (owner !== undefined)
      return refuse({ name, path, why: `it is the same file as the output of ${spell(owner)}; name another` });
    owners.set(identity, name);
  }
  return ok(files);
}

/** Bytes that a guest wrote, as they were: a character of an output is a byte. */
export const outputBytes = (text: string): Uint8Array => Uint8Array.from(text, (c) => c.charCodeAt(0) & 0xff);
