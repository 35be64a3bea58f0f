import { hex } from '../base/hex';
import type { Space } from '../base/address';
import { SPACES } from '../base/address';
import { counted } from '../base/plural';
import { parseNumber } from '../session/launch/option-values';
import type { Chain, ReverseChain, Stage, TranslateQuery } from '../session/translate/translation';
import { encode } from '../wire/encode';
import type { ParsedArguments } from './arguments';
import { cliError, formatAll } from './diagnostics';
import { openGuest, runToPlace } from './guest';
import type { CliHost } from './host';
import { EXIT } from './host';

/** `pagewalk translate GUEST --address …`: the chain of an address at a moment of the run. */
export function translateCommand(args: ParsedArguments, host: CliHost): number {
  const refuse = (list: Parameters<typeof formatAll>[0]): number => {
    host.stderr(formatAll(list));
    return EXIT.badInput;
  };
  const written = args.own.get('address');
  if (written === undefined)
    return refuse([cliError('missingOption', '`translate` needs `--address`, as in --address 0x7c00')]);
  const address = parseNumber(written);
  if (address === undefined)
    return refuse([
      cliError('badValue', `\`--address\`: \`${written}\` is not an address; write 0x and hex digits, at most 64 bits`),
    ]);
  const opened = openGuest(args, host);
  if (!opened.ok) return refuse(opened.error);
  const session = opened.value;
  const there = runToPlace(session, args.own.get('at'), host);
  if (!there.ok) return refuse(there.error);

  const space: Space = SPACES.find((s) => s === args.own.get('space')) ?? 'gva';
  const access = (['r', 'w', 'x'] as const).find((a) => a === args.own.get('access')) ?? 'r';
  const query: TranslateQuery = { address, space, access, ...(args.own.has('user') ? { user: true } : {}) };
  const answer = session.translate(query);
  host.stdout(
    args.own.has('json')
      ? JSON.stringify(encode(answer.chain), undefined, 2) + '\n'
      : answer.kind === 'forward'
        ? forwardText(answer.chain)
        : reverseText(answer.chain),
  );
  return EXIT.ok;
}

const letters = (r: {
  readonly r: boolean;
  readonly w: boolean;
  readonly x: boolean;
  readonly user: boolean;
}): string => `${r.r ? 'r' : '-'}${r.w ? 'w' : '-'}${r.x ? 'x' : '-'}${r.user ? ' user' : ''}`;

function forwardText(c: Chain): string {
  const known = SPACES.flatMap((s) => (c[s] === undefined ? [] : [`${s.toUpperCase()} ${hex(c[s])}`]));
  const lines = [`${known.join(' → ')}   ${letters(c.rights)}, ${counted(c.references, 'reference')}`];
  for (const stage of c.stages) lines.push('', ...stageLines(stage));
  const stale = c.tlb.stale ?? (c.tlb.hit ? null : c.tlb.cache?.stale);
  if (stale) lines.push('', stale.explanation);
  if (c.failure)
    lines.push(
      '',
      `${c.failure.event ?? 'failure'} in stage ${c.failure.stage}: ${c.failure.explanation ?? c.failure.reason}`,
    );
  return lines.join('\n') + '\n';
}

function reverseText(c: ReverseChain): string {
  const list = (name: string, values: readonly bigint[]): string =>
    `${name} ${values.length === 0 ? 'none' : values.map((v) => hex(v)).join(' ')}`;
  const host = [
    ...(c.hva === undefined ? [] : [`HVA ${hex(c.hva)}`]),
    ...(c.hpa === undefined ? [] : [`HPA ${hex(c.hpa)}`]),
  ].join(' ');
  const lines = [host, list('GPA', c.gpa), list('GVA', c.gva)];
  for (const m of c.rmap ?? [])
    lines.push(
      list(`rmap: shadow entry of level ${m.level} at HPA ${hex(m.entryAddress)} = ${hex(m.entry)}, GVA`, m.gva),
    );
  for (const stage of c.stages) lines.push('', ...stageLines(stage));
  if (c.failure) lines.push('', c.failure.explanation ?? c.failure.reason);
  return lines.join('\n') + '\n';
}

function stageLines(s: Stage): string[] {
  const way = `${s.from.toUpperCase()} ${s.input === undefined ? '?' : hex(s.input)} → ${s.to.toUpperCase()} ${s.output === undefined ? '?' : hex(s.output)}`;
  const head = `${s.stage.padEnd(8)} ${way}   ${s.who}, ${s.mode}${s.rights ? `, ${letters(s.rights)}` : ''}`;
  if (s.stage === 'memslot') {
    const what = s.who === 'vmm' ? 'region' : 'slot';
    return [`${head}${s.slot === undefined ? `, no ${what}: a hole` : `, ${what} ${s.slot}`}`];
  }
  return [
    `${head}${s.drift ? `, ${s.drift.join(', ')}` : ''}`,
    ...s.steps.flatMap((step) => [
      ...step.nested.map(
        (n) =>
          `    ${n.name.padEnd(10)} [${String(n.index).padStart(3)}] at ${n.space.toUpperCase()} ${hex(n.entryAddress)} = ${hex(n.entry)} ${n.flags.join(' ')}${n.problem ? `  ← ${n.problem}` : ''}`,
      ),
      `  ${step.name.padEnd(12)} [${String(step.index).padStart(3)}] at ${step.space.toUpperCase()} ${hex(step.entryAddress)} = ${hex(step.entry)} ${step.flags.join(' ')}${step.problem ? `  ← ${step.problem}` : ''}`,
    ]),
  ];
}
