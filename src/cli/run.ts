import { counted } from '../base/plural';
import { encode } from '../wire/encode';
import type { Output } from '../session/types';
import type { Session } from '../session/session';
import type { ParsedArguments } from './arguments';
import { cliError, formatAll } from './diagnostics';
import { exitCodeOf, logText, openGuest, runToEnd } from './guest';
import type { CliHost } from './host';
import { EXIT } from './host';
import { traceLine } from './trace-line';

type Channel = 'serial' | 'debugcon';

/** `pagewalk run GUEST`: to the end; the exit code tells how it ended. */
export async function runCommand(args: ParsedArguments, host: CliHost): Promise<number> {
  const opened = openGuest(args, host);
  if (!opened.ok) {
    host.stderr(formatAll(opened.error));
    return EXIT.badInput;
  }
  const session = opened.value;
  const json = args.own.has('json');
  const written: Record<Channel, string> = { serial: '', debugcon: '' };
  const target = (channel: Channel): string | undefined =>
    session.program.settings[channel] ?? (json ? undefined : '-');

  const take = (o: Output): void => {
    if (o.channel === 'log') {
      if (!json) host.stderr(logText(o));
      return;
    }
    written[o.channel] += o.text;
    // with --json standard output holds the report and nothing else
    if (target(o.channel) === '-' && !json) host.stdout(latin1(o.text));
  };
  const lines: string[] = [];
  if (session.program.settings.trace !== undefined)
    session.onStep((step) => lines.push(traceLine(session.instructions, step)));
  const finished = await runToEnd(session, host, () => session.takeOutput().forEach(take));
  if (finished.kind !== 'ended') return EXIT.interrupted;

  const files: readonly (readonly [string | undefined, string | Uint8Array])[] = [
    [target('serial'), latin1(written.serial)],
    [target('debugcon'), latin1(written.debugcon)],
    [session.program.settings.trace, lines.join('')],
  ];
  for (const [path, content] of files) {
    const why = path === undefined || path === '-' ? undefined : host.writeFile(path, content);
    if (path !== undefined && why !== undefined) {
      host.stderr(formatAll([cliError('unwritable', `cannot be written: ${why}`, path)]));
      return EXIT.badInput;
    }
  }
  const { end } = finished;
  if (json) host.stdout(JSON.stringify(encode(session.report(written)), undefined, 2) + '\n');
  else host.stderr(summary(session, end.kind, end.why));
  return exitCodeOf(session, end);
}

/** Bytes that the guest wrote, as they were: a character of an output is a byte. */
const latin1 = (text: string): Uint8Array => Uint8Array.from(text, (c) => c.charCodeAt(0) & 0xff);

function summary(session: Session, kind: string, why: string): string {
  const report = session.report({ serial: '', debugcon: '' });
  const exits = Object.entries(report.exits).map(([name, n]) => `${n} ${name}`);
  const references = (['guest', 'nested', 'shadow', 'host'] as const)
    .filter((of) => of === 'guest' || report.references[of] > 0)
    .map((of) => `${report.references[of]} ${of}`);
  return `${kind}: ${why}\n${counted(report.instructions, 'instruction')}; exits: ${exits.join(', ') || 'none'}; references: ${references.join(', ')}; TLB: ${counted(report.tlb.hits, 'hit')}, ${counted(report.tlb.misses, 'miss')}\n`;
}
