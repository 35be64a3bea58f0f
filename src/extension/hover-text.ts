/** The hover's Markdown: the value, then the chain in one table, then what failed. Text of a guest is escaped. */
import { counted } from '../base/plural';
import type { HoverOperand, HoverReply } from '../protocol/messages';
import type { Stage, Translation, WalkStage } from '../protocol/translation';

/** Inline code that holds whatever a guest's text contains. */
function code(text: string): string {
  const longest = Math.max(0, ...[...text.matchAll(/`+/g)].map(([run]) => run.length));
  const fence = '`'.repeat(longest + 1);
  const pad = text.startsWith('`') || text.endsWith('`') ? ' ' : '';
  return `${fence}${pad}${text.replace(/\s+/g, ' ')}${pad}${fence}`;
}

const escape = (text: string): string => text.replace(/[\\`*_{}[\]()#+\-.!|<>~&]/g, '\\$&').replace(/\n/g, '  \n');

export function hoverMarkdown({ about, operands }: HoverReply, withChain: boolean): string {
  const [only] = operands;
  if (only && about === 'operand') {
    const head = `${headOf(only)}\n\n${code(only.value)}`;
    return withChain && only.translation ? `${head}\n\n---\n\n${chainMarkdown(only.translation)}` : head;
  }
  // A line each and a line for the chain: the instruction's help follows, and all of it should be in sight.
  return operands
    .map((each) => {
      const line = `${headOf(each)} ${code(each.value)}`;
      return withChain && each.translation ? `${line}  \n${chainLine(each.translation)}` : line;
    })
    .join('\n\n');
}

function headOf({ expression, kind, address, symbol }: HoverOperand): string {
  const at = address === undefined || kind !== 'memory' ? '' : ` at ${code(address)}`;
  const name = symbol === undefined || symbol === expression ? '' : ` (${code(symbol)})`;
  return `**${escape(expression)}**${at}${name}`;
}

/** The addresses of a chain, and where it ends what it lacks. */
function chainLine(translation: Translation): string {
  const { gva, gpa, hva, hpa, failure } = translation;
  const stations = [
    ['GVA', gva],
    ['GPA', gpa],
    ['HVA', hva],
    ['HPA', hpa],
  ].flatMap(([space, address]) => (address === undefined ? [] : [`${space} ${code(address)}`]));
  const failed = failure ? `  \n${failureText(failure)}` : '';
  return `${stations.join(' → ')}${failed}${staleText(translation)}`;
}

/**
 * One text of a stopped guest's hover and the language server's on the same name. Both begin with the name; the server's line also
 * says what it is. The value is given once, by the guest; what else the server knows, such as a macro's body, follows. On a mnemonic the values of its operands come before
 * the help.
 */
export function joinedMarkdown(value: string, words: string, about: HoverReply['about']): string {
  if (about === 'instruction') return `${value}\n\n---\n\n${words}`;
  const [guestHead = '', ...guestRest] = value.split('\n\n');
  const [head = '', ...rest] = words.split('\n\n');
  const name = /^\*\*(.+?)\*\*/;
  const named = name.exec(head)?.[1];
  if (named === undefined || name.exec(guestHead)?.[1]?.replaceAll('\\', '') !== named) return value;
  const place = guestHead.replace(name, '');
  return [head + place, ...guestRest, ...rest.filter((paragraph) => !/^`[^`]+`/.test(paragraph))].join('\n\n');
}

function chainMarkdown(translation: Translation): string {
  const { gva, gpa, hva, hpa, failure, references, tlb, stages } = translation;
  const stage = (to: string): Stage | undefined => stages.find((each) => each.to === to);
  const rows = [
    ['GVA', gva, ''],
    ['GPA', gpa, how(stage('gpa'))],
    ['HVA', hva, how(stage('hva'))],
    ['HPA', hpa, how(stage('hpa'))],
  ].filter(([, address]) => address !== undefined);
  const table = [
    '| | | |',
    '|---|---|---|',
    ...rows.map(([space, address = '', text]) => `| ${space} | ${code(address)} | ${text} |`),
  ];
  const rights = (['r', 'w', 'x'] as const)
    .map((right) => (translation.rights[right] ? right.toUpperCase() : '–'))
    .join('');
  const facts = `rights ${code(rights)} · ${counted(references, 'reference')} · TLB ${tlb.hit ? 'hit' : 'miss'}`;
  const drift = stages.flatMap((s) => (s.stage === 'memslot' ? [] : (s.drift ?? [])));
  const drifted = drift.length > 0 ? `\n\nShadow entry: ${escape(drift.join(', '))}.` : '';
  // A chain that fails has no rights to speak of: what decided takes their place, so that all of it fits the hover's box.
  return `${table.join('\n')}\n\n${failure ? failureText(failure) : facts}${staleText(translation)}${drifted}`;
}

function failureText({ event, reason, explanation }: NonNullable<Translation['failure']>): string {
  return `$(error) **${escape(event ?? 'Fails')}**: ${escape(reason)}${explanation ? `  \n${escape(explanation)}` : ''}`;
}

function staleText({ tlb }: Translation): string {
  const stale = tlb.stale ?? (tlb.hit ? null : tlb.cache?.stale);
  return stale ? `\n\n$(warning) ${escape(stale.explanation)}` : '';
}

/** How an address came about, in a few words: the tables' indices, or the slot. */
function how(stage: Stage | undefined): string {
  if (!stage) return '';
  if (stage.stage === 'memslot') {
    const what = stage.who === 'vmm' ? 'memory region' : 'memslot';
    return stage.slot === undefined ? `no ${what}: a hole` : `${what} ${stage.slot}`;
  }
  return `${NAMES[stage.stage]} ${stage.steps.map(({ index }) => index).join('/')}`;
}

const NAMES: Readonly<Record<WalkStage['stage'], string>> = {
  guest: 'guest tables',
  shadow: 'shadow tables',
  ept: 'EPT',
  npt: 'NPT',
  host: 'host tables',
};
