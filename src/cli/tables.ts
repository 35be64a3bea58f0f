import { hex } from '../base/hex';
import { encode } from '../wire/encode';
import { driftText } from '../session/tables/drift';
import type { TableListing } from '../session/tables/listing';
import type { ParsedArguments } from './arguments';
import { cliError, formatAll } from './diagnostics';
import { openGuest, runToPlace } from './guest';
import type { CliHost } from './host';
import { EXIT } from './host';

/** `pagewalk tables GUEST --of …`: the present entries of a set of tables at a moment of the run, in the order of the addresses that they map. */
export function tablesCommand(args: ParsedArguments, host: CliHost): number {
  const refuse = (list: Parameters<typeof formatAll>[0]): number => {
    host.stderr(formatAll(list));
    return EXIT.badInput;
  };
  const of = args.own.get('of');
  if (of === undefined)
    return refuse([
      cliError('missingOption', '`tables` needs `--of guest`, `--of shadow`, `--of ept`, `--of npt` or `--of host`'),
    ]);
  if (of !== 'guest' && of !== 'shadow' && of !== 'ept' && of !== 'npt' && of !== 'host')
    return refuse([
      cliError('notBuiltYet', `\`--of ${of}\` is not supported yet; there are guest, shadow, ept, npt and host`),
    ]);
  const opened = openGuest(args, host);
  if (!opened.ok) return refuse(opened.error);
  const there = runToPlace(opened.value, args.own.get('at'), host);
  if (!there.ok) return refuse(there.error);
  const entries = opened.value.tables.list(of);
  const top = Math.max(4, entries[0]?.level ?? 0);
  const absent = opened.value.tables.absent(of);
  if (args.own.has('json')) {
    const exists = absent === undefined;
    host.stdout(
      JSON.stringify(
        { of, exists, ...(absent === undefined ? {} : { why: absent }), entries: encode(entries) },
        undefined,
        2,
      ) + '\n',
    );
  } else
    host.stdout(
      entries.map((e) => line(e, top)).join('') ||
        (absent === undefined ? EMPTY[of] : `there are no such tables: ${absent}\n`),
    );
  return EXIT.ok;
}

const FILLED_BY_FAULTS = 'KVM fills them as accesses fault';
const EMPTY: Readonly<Record<'guest' | 'shadow' | 'ept' | 'npt' | 'host', string>> = {
  guest: "the guest's tables are empty: no present entry\n",
  shadow: `the shadow tables are empty: no present entry yet; ${FILLED_BY_FAULTS}\n`,
  ept: `the EPT is empty: no present entry yet; ${FILLED_BY_FAULTS}\n`,
  npt: `the NPT is empty: no present entry yet; ${FILLED_BY_FAULTS}\n`,
  host: "the host's tables of the VMM are empty: no present entry yet\n",
};

function line(e: TableListing, top: number): string {
  const indent = '  '.repeat(top - e.level);
  return `${indent}${e.name} [${e.index}] ${hex(e.from)}–${hex(e.to)} = ${hex(e.entry)} ${e.flags.join(' ')} → ${hex(e.target)}${driftText(e.marks ?? [])}\n`;
}
