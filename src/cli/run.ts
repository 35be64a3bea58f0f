import { counted } from '../base/plural';
import type { Diagnostic } from '../base/diagnostic';
import { err, ok, type Result } from '../base/result';
import { encode } from '../wire/encode';
import type { Output } from '../session/types';
import type { OutputFile, OutputProblem } from '../session/launch/output-files';
import { openOutputs, outputBytes } from '../session/launch/output-files';
import type { Session } from '../session/session';
import type { ParsedArguments } from './arguments';
import { cliError, formatAll } from './diagnostics';
import { exitCodeOf, logText, openGuest, runToEnd } from './guest';
import type { CliHost } from './host';
import { EXIT } from './host';
import { unwritable } from './outputs';
import { traceLine } from './trace-line';

type Channel = 'serial' | 'debugcon';
type OutputName = Channel | 'trace';

/** `pagewalk run GUEST`: to the end; the exit code shows how it ended. */
export function runCommand(args: ParsedArguments, host: CliHost): number {
  const opened = openGuest(args, host);
  if (!opened.ok) {
    host.stderr(formatAll(opened.error));
    return EXIT.badInput;
  }
  const session = opened.value;
  const { settings } = session.program;
  const json = args.own.has('json');
  const every = hashEvery(args.own.get('hash-every'));
  if (!every.ok) {
    host.stderr(formatAll([every.error]));
    return EXIT.badInput;
  }
  const outputs = openRunOutputs(settings, host);
  if (!outputs.ok) return refuse(outputs.error, host);
  const files = outputs.value;
  /** The first write that failed. */
  let failed: { readonly path: string; readonly why: string } | undefined;
  const write = (name: OutputName, content: Uint8Array | string): void => {
    const why = files.get(name)?.write(content);
    if (why !== undefined) failed ??= { path: settings[name] ?? name, why };
  };
  const written: Record<Channel, string> = { serial: '', debugcon: '' };
  const take = (o: Output): void => {
    if (o.channel === 'log') {
      if (!json) host.stderr(logText(o));
      return;
    }
    if (json) written[o.channel] += o.text;
    if (files.has(o.channel)) write(o.channel, outputBytes(o.text));
    // with --json standard output holds the report and nothing else
    else if (!json) host.stdout(outputBytes(o.text));
  };
  let steps: string[] = [];
  const flush = (): void => {
    if (steps.length > 0) write('trace', steps.join(''));
    steps = [];
  };
  if (settings.trace !== undefined)
    session.machine.onStep = (step) => {
      if (steps.push(traceLine(session.guest.retired, step)) >= FLUSHED_LINES) flush();
    };
  let hashed = 0;
  const end = runToEnd(
    session,
    () => {
      session.output.take().forEach(take);
      flush();
      const instructions = session.guest.retired;
      if (every.value === undefined || instructions % every.value !== 0 || instructions === hashed) return;
      hashed = instructions;
      host.stderr(`${instructions} ${session.hash()}\n`);
    },
    every.value,
  );
  for (const file of files.values()) file.close();
  if (failed) return refuse(failed, host);
  if (json)
    host.stdout(JSON.stringify(encode({ ...session.report(written), hash: session.hash() }), undefined, 2) + '\n');
  else host.stderr(summary(session, end.kind, end.why));
  return exitCodeOf(session, end);
}

/** `--hash-every N`. */
function hashEvery(written: string | undefined): Result<number | undefined, Diagnostic> {
  if (written === undefined) return ok(undefined);
  const n = /^[0-9]{1,15}$/.test(written) ? Number(written) : 0;
  return n > 0
    ? ok(n)
    : err(cliError('badValue', `\`--hash-every\`: \`${written}\` is not a number of instructions; write 1 or more`));
}

/** Lines of a trace that are written together. */
const FLUSHED_LINES = 1000;

/** The outputs that go to files: not `-`, and not those without a target. */
function openRunOutputs(
  settings: Session['program']['settings'],
  host: CliHost,
): Result<ReadonlyMap<OutputName, OutputFile>, OutputProblem<OutputName>> {
  const wanted = (['serial', 'debugcon', 'trace'] as const).flatMap((name) => {
    const path = settings[name];
    return path === undefined || path === '-' ? [] : [[name, path] as const];
  });
  return openOutputs(wanted, host.openOutput, (name) => `\`--${name}\``);
}

function refuse({ path, why }: { readonly path: string; readonly why: string }, host: CliHost): number {
  host.stderr(formatAll([unwritable(path, why)]));
  return EXIT.badInput;
}

function summary(session: Session, kind: string, why: string): string {
  const report = session.report({ serial: '', debugcon: '' });
  const exits = Object.entries(report.exits).map(([name, n]) => `${n} ${name}`);
  const references = (['guest', 'nested', 'shadow', 'host'] as const)
    .filter((of) => of === 'guest' || report.references[of] > 0)
    .map((of) => `${report.references[of]} ${of}`);
  return `${kind}: ${why}\n${counted(report.instructions, 'instruction')}; exits: ${exits.join(', ') || 'none'}; references: ${references.join(', ')}; TLB: ${counted(report.tlb.hits, 'hit')}, ${counted(report.tlb.misses, 'miss')}\n`;
}
