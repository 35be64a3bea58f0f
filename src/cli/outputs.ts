import type { Diagnostic } from '../base/diagnostic';
import { openOutputs } from '../session/output-files';
import { cliError } from './diagnostics';
import type { CliHost } from './host';

/** Writes what a command has made to the files that its options name; the error of the first that cannot be written. */
export function writeOutputs(
  paths: Readonly<Record<string, string | undefined>>,
  contents: ReadonlyMap<string, Uint8Array | string>,
  host: CliHost,
): Diagnostic | undefined {
  const wanted = Object.entries(paths).flatMap(([name, path]) => (path === undefined ? [] : [[name, path] as const]));
  const opened = openOutputs(wanted, host.openOutput, (name) => `\`--${name}\``);
  if (!opened.ok) return cliError('unwritable', `cannot be written: ${opened.error.why}`, opened.error.path);
  let failed: Diagnostic | undefined;
  for (const [name, file] of opened.value) {
    const why = file.write(contents.get(name) ?? '');
    if (why !== undefined) failed ??= cliError('unwritable', `cannot be written: ${why}`, paths[name]);
    file.close();
  }
  return failed;
}
