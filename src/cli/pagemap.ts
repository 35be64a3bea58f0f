import { pagemapText, pagemapWords, MOST_WORDS } from '../session/tables/pagemap-file';
import { encode } from '../wire/encode';
import type { ParsedArguments } from './arguments';
import { cliError, formatAll } from './diagnostics';
import { openGuest, runToPlace } from './guest';
import type { CliHost } from './host';
import { EXIT } from './host';
import { writeOutputs } from './outputs';

/** `pagewalk pagemap GUEST`: where each page of guest RAM is at a moment of the run, as text, JSON, or words in the format of /proc/PID/pagemap. */
export function pagemapCommand(args: ParsedArguments, host: CliHost): number {
  const refuse = (list: Parameters<typeof formatAll>[0]): number => {
    host.stderr(formatAll(list));
    return EXIT.badInput;
  };
  const [json, binary, output] = [args.own.has('json'), args.own.has('binary'), args.own.get('output')];
  if (json && binary) return refuse([cliError('badValue', '`--json` and `--binary` name two formats; keep one')]);
  if (binary && output === undefined) return refuse([cliError('missingOption', '`--binary` needs `-o FILE`')]);
  const opened = openGuest(args, host);
  if (!opened.ok) return refuse(opened.error);
  const there = runToPlace(opened.value, args.own.get('at'), host);
  if (!there.ok) return refuse(there.error);
  const rows = opened.value.tables.pagemap();
  const end = opened.value.tables
    .memoryMap({ most: 1 })
    .slots.reduce((e, s) => (s.gpa + s.size > e ? s.gpa + s.size : e), 0n);
  const content = binary
    ? pagemapWords(rows, end)
    : json
      ? JSON.stringify({ pages: encode(rows) }, undefined, 2) + '\n'
      : pagemapText(rows);
  if (content === undefined)
    return refuse([cliError('badValue', `\`--binary\`: guest physical memory has more than ${MOST_WORDS} pages`)]);
  if (output === undefined) host.stdout(content);
  else {
    const failed = writeOutputs({ output }, new Map([['output', content]]), host);
    if (failed) return refuse([failed]);
  }
  return EXIT.ok;
}
