import type { Diagnostic } from '../base/diagnostic';
import { openOutputs } from '../session/launch/output-files';
import { cliError } from './diagnostics';
import type { CliHost } from './host';

/** The error for an output that cannot be opened or written. */
export const unwritable = (path: string | undefined, why: string): Diagnostic =>
  cliError('unwritable', `cannot be written: ${why}`, path);

/** Writes a command's results to the files that its options name; the error of the first that cannot be written. */
export function writeOutputs(
  paths: Readonly<Record<string, string | undefined>>,
  contents: ReadonlyMap<string, Uint8Array | string>,
  host: CliHost,
): Diagnostic | undefined {
  const wanted = Object.entries(paths).flatMap(([name, path]) => (path === undefined ? [] : [[name, path] as const]));
  const opened = openOutputs(wanted, host.openOutput, (name) => `\`--${name}\``);
  if (!opened.ok) return unwritable(opened.error.path, opened.error.why);
  let failed: Diagnostic | undefined;
  for (const [name, file] of opened.value) {
    const why = file.write(contents.get(name) ?? '');
    if (why !== undefined) failed ??= unwritable(paths[name], why);
    file.close();
  }
  return failed;
}
