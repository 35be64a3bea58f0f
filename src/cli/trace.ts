import { EXIT_TRACE_FORMATS, type ExitTraceFormat } from '../wire/exit-trace';
import type { ParsedArguments } from './arguments';
import { formatAll } from './diagnostics';
import { exitCodeOf, logText, openGuest, runToEnd } from './guest';
import type { CliHost } from './host';
import { EXIT } from './host';
import { traceLine } from './trace-line';

/** `pagewalk trace GUEST`: on standard output, JSON lines, one for each Step of the hypervisor; or the exits in another format. */
export function traceCommand(args: ParsedArguments, host: CliHost): number {
  const opened = openGuest(args, host);
  if (!opened.ok) {
    host.stderr(formatAll(opened.error));
    return EXIT.badInput;
  }
  const session = opened.value;
  let lines: string[] = [];
  const flush = (): void => {
    if (lines.length > 0) host.stdout(lines.join(''));
    lines = [];
  };
  const print = (line: string): void => {
    lines.push(line);
    if (lines.length >= 1000) flush();
  };
  const format = formatOf(args.own.get('format'));
  if (format) {
    print(format.head);
    session.exits.onExit((row, steps) => print(format.exit(row, steps)));
  } else session.machine.onStep = (step) => print(traceLine(session.guest.retired, step));
  const finished = runToEnd(session, () => {
    for (const o of session.output.take()) if (o.channel === 'log') host.stderr(logText(o));
    flush();
  });
  if (format) print(format.tail);
  flush();
  return exitCodeOf(session, finished);
}

const formatOf = (name: string | undefined): ExitTraceFormat | undefined =>
  name === 'chrome' || name === 'csv' ? EXIT_TRACE_FORMATS[name] : undefined;
