import { hex } from '../base/hex';
import { DEFAULT_METHODS, parseMethods } from '../session/compare/methods';
import { Compare, type Comparison, type MethodRun } from '../session/compare/compare';
import { encode } from '../wire/encode';
import type { ParsedArguments } from './arguments';
import { COMMAND_LINE, cliError, formatAll } from './diagnostics';
import { readGuest } from './guest';
import type { CliHost } from './host';
import { EXIT, SLICE } from './host';

/**
 * `pagewalk compare GUEST`: runs it to the end under each method, then prints one table. Exit code 1: the guest could
 * distinguish two methods.
 */
export function compareCommand(args: ParsedArguments, host: CliHost): number {
  // `--mmu` names one method elsewhere, and here a list of them
  const lists = args.guest.filter((o) => o.key === 'mmu').map((o) => String(o.value));
  const own = args.own.get('methods');
  const refuse = (list: Parameters<typeof formatAll>[0]): number => {
    host.stderr(formatAll(list));
    return EXIT.badInput;
  };
  const [list = DEFAULT_METHODS, more] = own === undefined ? lists : [own, ...lists];
  if (more !== undefined)
    return refuse([cliError('duplicateOption', 'the methods to compare are given twice; keep one list')]);
  const methods = parseMethods(list, COMMAND_LINE);
  if (!methods.ok) return refuse(methods.error);
  const program = readGuest({ ...args, guest: args.guest.filter((o) => o.key !== 'mmu') }, host);
  if (!program.ok) return refuse(program.error);

  const compare = new Compare(program.value, methods.value);
  let result = compare.run(SLICE);
  while (result === undefined) result = compare.run(SLICE);
  if (args.own.has('json')) host.stdout(JSON.stringify(encode(result), undefined, 2) + '\n');
  else host.stdout(table(result));
  return result.equal ? EXIT.ok : EXIT.differs;
}

type Row = readonly [name: string, of: (r: MethodRun) => string | number | undefined];

/** One column per method; rows that are zero everywhere are omitted. */
function table(c: Comparison): string {
  const names = (of: (r: MethodRun) => Readonly<Record<string, number>>): string[] => [
    ...new Set(c.methods.flatMap((r) => Object.keys(of(r)))),
  ];
  const shown: Row[] = [
    ['', (r) => r.title],
    ['ends as', (r) => `${r.stop.kind} ${r.stop.code}`],
    ['instructions', (r) => r.instructions],
    ['VM exits', (r) => r.exitCount],
    ...names((r) => r.exits).map((name): Row => [`  ${name}`, (r) => r.exits[name] ?? 0]),
    ...FAULTS.map((name): Row => [`    ${name.replace('fault_', '#PF ')}`, (r) => r.stats[name]]),
    ['references', (r) => Object.values(r.references).reduce((a, b) => a + b, 0)],
    ...(['guest', 'nested', 'shadow', 'host'] as const).map((k): Row => [`  ${k}`, (r) => r.references[k]]),
    ['TLB misses', (r) => r.tlb.misses],
    ['host frames', (r) => r.hostFrames],
    ['model cycles', (r) => Math.round(r.cycles)],
    ...names((r) => r.cyclesBy).map((k): Row => [
      `  ${k}`,
      (r) => Math.round(r.cyclesBy[k as keyof typeof r.cyclesBy]),
    ]),
  ];
  const rows = shown.filter(([name, of]) => name === 'VM exits' || c.methods.some((r) => (of(r) ?? 0) !== 0));
  const cells = rows.map(([name, of]) => [name, ...c.methods.map((r) => String(of(r) ?? '–'))]);
  const widths = (cells[0] ?? []).map((_, i) => Math.max(...cells.map((row) => row[i]?.length ?? 0)));
  const lines = cells.map((row) =>
    row
      .map((cell, i) => (i === 0 ? cell.padEnd(widths[0] ?? 0) : cell.padStart(widths[i] ?? 0)))
      .join('  ')
      .trimEnd(),
  );
  const text = (v: string | bigint): string => (typeof v === 'bigint' ? hex(v) : JSON.stringify(v));
  const verdict =
    c.methods.length < 2
      ? []
      : c.equal
        ? ['', 'The guest-visible result is the same: end, registers, guest memory, output.']
        : [
            '',
            'THE GUEST-VISIBLE RESULT DIFFERS:',
            ...c.differences.map(
              (d) =>
                `  ${d.what}${d.where === undefined ? '' : ` ${typeof d.where === 'bigint' ? `of GPA ${hex(d.where)}` : d.where}`}: ${Object.entries(
                  d.values,
                )
                  .map(([method, v]) => `${method} ${text(v)}`)
                  .join(', ')}`,
            ),
          ];
  const dominant = c.methods.map((r) => `  ${r.title}: ${r.dominant}`);
  const spent = dominant.length > 0 ? ['', 'Where the cycles go, by the cost model:', ...dominant] : [];
  const refused = c.refused.map((r) => `${r.title}: not run: ${r.why}`);
  return (
    [
      ...(c.methods.length > 0 ? lines : []),
      ...spent,
      ...verdict,
      ...(refused.length > 0 ? ['', ...refused] : []),
    ].join('\n') + '\n'
  );
}

/** Why #PFs exited under shadow paging. */
const FAULTS = ['fault_hidden', 'fault_dirty', 'fault_tracing', 'fault_mmio', 'fault_guest'] as const;
