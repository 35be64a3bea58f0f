import type { Diagnostic } from '../base/diagnostic';
import type { Result } from '../base/result';
import { err, ok } from '../base/result';
import { prepareProgram, type Program } from '../session/program';
import { checkOptions } from '../session/options';
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

/** `guest.asm:7: @host swap-out 0x5000: …`: what the session, and what the guest file says in it, say while the guest runs. */
export const logText = ({ text, location }: Output): string =>
  location ? `${location.file}:${location.line}: ${text}` : text;

/** The exit code of a run to its end: that of the end, or that a check of the guest file failed. */
export const exitCodeOf = (session: Session, end: EndInfo): number =>
  session.asserts.every((a) => a.ok) ? end.code : EXIT.checkFailed;

/** How a run came to its end. */
export type Finished =
  | { readonly kind: 'ended'; readonly end: EndInfo }
  | { readonly kind: 'interrupted' }
  | { readonly kind: 'breakpoint' };

/**
 * Runs to the end in slices, so that Ctrl-C is heard; `afterSlice` takes what has come out so far.
 * @param stopAt a linear address; the run stops there when it is first reached
 */
export async function runToEnd(
  session: Session,
  host: CliHost,
  afterSlice: () => void,
  stopAt?: bigint,
): Promise<Finished> {
  if (stopAt !== undefined) session.setInstructionBreakpoints([{ address: stopAt }]);
  session.continue_();
  for (;;) {
    const result = session.run(SLICE);
    afterSlice();
    switch (result.kind) {
      case 'ended':
        return { kind: 'ended', end: result.end };
      case 'stopped':
        if (!result.stop.final) return { kind: 'breakpoint' };
        // explained in the end that follows
        session.continue_();
        break;
      case 'running':
        await host.turn();
        if (host.interrupted) return { kind: 'interrupted' };
        break;
    }
  }
}

/** Runs to the moment that `--at` names: a label, FILE:LINE, or the end. */
export async function runToPlace(
  session: Session,
  place: string | undefined,
  host: CliHost,
): Promise<Result<undefined, readonly Diagnostic[]>> {
  const address = place === undefined || place === 'end' ? undefined : session.addressOfPlace(place);
  if (place !== undefined && place !== 'end' && address === undefined) {
    return err([
      cliError(
        'neverReached',
        `\`--at\`: \`${place}\` is no label of the guest and no FILE:LINE with code; write a label, FILE:LINE or end`,
      ),
    ]);
  }
  const log = (): void => {
    for (const o of session.takeOutput()) if (o.channel === 'log') host.stderr(logText(o));
  };
  const finished = await runToEnd(session, host, log, address);
  if (finished.kind === 'interrupted')
    return err([cliError('neverReached', 'interrupted before the place was reached')]);
  if (address !== undefined && finished.kind !== 'breakpoint') {
    const how = finished.kind === 'ended' ? `the run ended first: ${finished.end.why}` : '';
    return err([cliError('neverReached', `\`--at\`: \`${place}\` is never reached; ${how}`)]);
  }
  return ok(undefined);
}
