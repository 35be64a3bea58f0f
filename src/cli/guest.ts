import type { Diagnostic } from '../base/diagnostic';
import type { Result } from '../base/result';
import { err, ok } from '../base/result';
import { prepareProgram, type Program } from '../session/launch/program';
import { checkOptions } from '../session/launch/options';
import { Session } from '../session/session';
import type { EndInfo, Output } from '../session/types';
import type { ParsedArguments } from './arguments';
import { COMMAND_LINE, cliError, formatAll } from './diagnostics';
import type { CliHost } from './host';
import { EXIT, SLICE } from './host';

/** Reads and assembles the guest that a command names. Warnings go to standard error. */
export function readGuest(args: ParsedArguments, host: CliHost): Result<Program, readonly Diagnostic[]> {
  const checked = checkOptions(args.guest, 'command-line', COMMAND_LINE);
  if (checked.diagnostics.length > 0) return err(checked.diagnostics);
  const path = args.operand;
  const file = host.readFile(path);
  if (!file.ok) return err([cliError('unreadable', `cannot be read: ${file.why}`, path)]);
  const program = prepareProgram({
    file: path,
    bytes: file.bytes,
    options: checked.options,
    currentFolders: [''],
    readFile: (name, from) => {
      const included = host.readFile(host.resolve(name, from));
      return included.ok ? included.bytes : undefined;
    },
    readOption: (name) => {
      const named = host.readFile(name);
      return named.ok ? named.bytes : undefined;
    },
    ...(host.nasm ? { nasm: host.nasm(path) } : {}),
    ...(host.gas ? { gas: host.gas(path) } : {}),
  });
  if (program.ok) host.stderr(formatAll(program.value.diagnostics));
  return program;
}

/** The same, loaded into a machine. */
export function openGuest(args: ParsedArguments, host: CliHost): Result<Session, readonly Diagnostic[]> {
  const program = readGuest(args, host);
  return program.ok ? Session.create(program.value) : program;
}

/**
 * `guest.asm:7: @host swap-out 0x5000: …`: what the session and the guest file's directives output while the guest
 * runs.
 */
export const logText = ({ text, location }: Output): string =>
  location ? `${location.file}:${location.line}: ${text}` : text;

/** The exit code of a run to its end: that of the end, or that a check of the guest file failed. */
export const exitCodeOf = (session: Session, end: EndInfo): number =>
  session.checks.results.every((a) => a.ok) ? end.code : EXIT.checkFailed;

/**
 * Runs in slices to the end, or to a breakpoint (undefined); `afterSlice` takes the output so far. `most`:
 * instructions that the next slice may have.
 */
function runOn(session: Session, afterSlice: () => void, most = () => SLICE): EndInfo | undefined {
  session.run.continue_();
  for (;;) {
    const result = session.run.advance(most());
    afterSlice();
    if (result.kind === 'ended') return result.end;
    if (result.kind === 'running') continue;
    if (!result.stop.final) return undefined;
    // explained by the end message that follows
    session.run.continue_();
  }
}

/** Runs to the end, ignoring breakpoints. `every`: a slice ends at each multiple of this many instructions. */
export function runToEnd(session: Session, afterSlice: () => void, every?: number): EndInfo {
  let end: EndInfo | undefined;
  const most = every === undefined ? undefined : (): number => Math.min(SLICE, every - (session.guest.retired % every));
  while (end === undefined) end = runOn(session, afterSlice, most);
  return end;
}

/** Runs to the moment that `--at` names: a label, FILE:LINE, or the end. */
export function runToPlace(
  session: Session,
  place: string | undefined,
  host: CliHost,
): Result<undefined, readonly Diagnostic[]> {
  const address =
    place === undefined || place === 'end' ? undefined : session.symbols.addressOfPlace(place, session.program.file);
  if (place !== undefined && place !== 'end' && address === undefined) {
    return err([
      cliError(
        'neverReached',
        `\`--at\`: \`${place}\` is neither a label of the guest nor a FILE:LINE with code; write a label, FILE:LINE or end`,
      ),
    ]);
  }
  const log = (): void => {
    for (const o of session.output.take()) if (o.channel === 'log') host.stderr(logText(o));
  };
  if (address !== undefined) session.breakpoints.setInstruction([{ address }]);
  const end = runOn(session, log);
  if (address !== undefined && end !== undefined) {
    return err([cliError('neverReached', `\`--at\`: \`${place}\` is never reached; the run ended first: ${end.why}`)]);
  }
  return ok(undefined);
}
