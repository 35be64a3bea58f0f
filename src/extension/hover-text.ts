/** The hover's Markdown: the value, then the chain in one table, then what failed. Text of a guest is escaped. */
import { counted } from '../base/plural';
import type { HoverReply } from '../protocol/messages';
import type { Stage, Translation, WalkStage } from '../protocol/translation';

/** Inline code that holds whatever a guest's text contains. */
function code(text: string): string {
  const longest = Math.max(0, ...[...text.matchAll(/`+/g)].map(([run]) => run.length));
  const fence = '`'.repeat(longest + 1);
  const pad = text.startsWith('`') || text.endsWith('`') ? ' ' : '';
  return `${fence}${pad}${text.replace(/\s+/g, ' ')}${pad}${fence}`;
}

const escape = (text: string): string => text.replace(/[\\`*_{}[\]()#+\-.!|<>~&]/g, '\\$&').replace(/\n/g, '  \n');

export function hoverMarkdown(reply: HoverReply, withChain: boolean): string {
  const at = reply.address === undefined || reply.kind !== 'memory' ? '' : ` at ${code(reply.address)}`;
  const symbol = reply.symbol === undefined || reply.symbol === reply.expression ? '' : ` (${code(reply.symbol)})`;
  const head = `**${escape(reply.expression)}**${at}${symbol}\n\n${code(reply.value)}`;
  return withChain && reply.translation ? `${head}\n\n---\n\n${chainMarkdown(reply.translation)}` : head;
}

/**
 * One text of a stopped guest's hover and the language server's on the same name. Both begin with the name; the server's line also
 * says what it is. The value is told once, by the guest; what else the server knows, such as a macro's body, follows.
 */
export function joinedMarkdown(value: string, words: string): string {
  const [guestHead = '', ...guestRest] = value.split('\n\n');
  const [head = '', ...rest] = words.split('\n\n');
  const name = /^\*\*(.+?)\*\*/;
  const named = name.exec(head)?.[1];
  if (named === undefined || name.exec(guestHead)?.[1]?.replaceAll('\\', '') !== named) return value;
  const place = guestHead.replace(name, '');
  return [head + place, ...guestRest, ...rest.filter((paragraph) => !/^`[^`]+`/.test(paragraph))].join('\n\n');
}

export function chainMarkdown(translation: Translation): string {
  const { gva, gpa, hva, hpa, failure, references, tlb, stages } = translation;
  const stage = (to: string): Stage | undefined => stages.find((each) => each.to === to);
  const rows = [
    ['GVA', gva, ''],
    ['GPA', gpa, how(stage('gpa'))],
    ['HVA', hva, how(stage('hva'))],
    ['HPA', hpa, how(stage('hpa'))],
  ].filter(([, address, text], index) => address !== undefined || text !== '' || index === 0);
  const table = [
    '| | | |',
    '|---|---|---|',
    ...rows.map(([space, address, text]) => `| ${space} | ${address ? code(address) : '–'} | ${text} |`),
  ];
  const rights = (['r', 'w', 'x'] as const)
    .map((right) => (translation.rights[right] ? right.toUpperCase() : '–'))
    .join('');
  const facts = `rights ${code(rights)} · ${counted(references, 'reference')} · TLB ${tlb.hit ? 'hit' : 'miss'}`;
  const failed = failure
    ? `\n\n$(error) **${escape(failure.event ?? 'Fails')}**: ${escape(failure.reason)}${failure.explanation ? `  \n${escape(failure.explanation)}` : ''}`
    : '';
  const stale = tlb.stale
    ? `\n\n$(warning) The TLB still answers ${code(tlb.stale.hpa)}, until ${escape(tlb.stale.missing)}.`
    : '';
  const drift = stages.flatMap((s) => (s.stage === 'memslot' ? [] : (s.drift ?? [])));
  const drifted = drift.length > 0 ? `\n\nShadow entry: ${escape(drift.join(', '))}.` : '';
  return `${table.join('\n')}\n\n${facts}${failed}${stale}${drifted}`;
}

/** How an address came about, in a few words: the tables' indices, or the slot. */
function how(stage: Stage | undefined): string {
  if (!stage) return '';
  if (stage.stage === 'memslot') return stage.slot === undefined ? 'no memslot: a hole' : `memslot ${stage.slot}`;
  return `${NAMES[stage.stage]} ${stage.steps.map(({ index }) => index).join('/')}`;
}

const NAMES: Readonly<Record<WalkStage['stage'], string>> = {
  guest: 'guest tables',
  shadow: 'shadow tables',
  ept: 'EPT',
  npt: 'NPT',
  host: 'host tables',
};
