import type { ParsedArguments } from './arguments';
import { formatAll } from './diagnostics';
import { openGuest, runToEnd } from './guest';
import type { CliHost } from './host';
import { EXIT } from './host';
import { traceLine } from './trace-line';

/** `pagewalk trace GUEST`: JSON lines on standard output, one for each Step of the hypervisor. */
export async function traceCommand(args: ParsedArguments, host: CliHost): Promise<number> {
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
  session.onStep((step) => {
    lines.push(traceLine(session.instructions, step));
    if (lines.length >= 1000) flush();
  });
  const finished = await runToEnd(session, host, () => {
    session.takeOutput();
    flush();
  });
  flush();
  return finished.kind === 'ended' ? finished.end.code : EXIT.interrupted;
}
