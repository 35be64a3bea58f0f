/** The hover on a mnemonic: what it does, flags, exceptions, encodings, and which VM exit it can cause. */
import {
  instructionReference,
  type EncodingReference,
  type InstructionReference,
  type ReferenceFlag,
} from '../asm/reference';
import type { Bits } from '../asm/index';
import { instructionDoc, prefixDoc, type InstructionDoc } from './instructions/index';

/** More encodings than this are counted only. */
const MAX_ENCODINGS = 8;

/** Markdown about a mnemonic or prefix, lower case; undefined where it is neither. `bits` is the mode of the line. */
export function instructionMarkdown(word: string, bits: Bits): string | undefined {
  const reference = instructionReference(word);
  const prefix = prefixDoc(word);
  if (!reference) return prefix === undefined ? undefined : `**${word}** prefix\n\n${prefix}`;
  const doc = instructionDoc(word);
  const parts = [
    `**${word}** ${doc?.title ?? ''}`.trimEnd(),
    doc?.does,
    doc?.operation === undefined ? undefined : `\`\`\`\n${doc.operation}\n\`\`\``,
    list([
      ['Flags', flagsOf(reference, doc)],
      ['Privilege', reference.privileged === 'always' ? 'CPL 0' : undefined],
      ['Exceptions', exceptionsOf(reference, doc)],
      ['VM exits', exitsOf(reference, doc)],
      ['Needs', reference.features.length > 0 ? reference.features.join(', ') : undefined],
    ]),
    encodingsOf(reference.encodings, bits),
  ];
  return parts.filter((part) => part !== undefined && part !== '').join('\n\n');
}

/** One line for completion lists. */
export const instructionTitle = (mnemonic: string): string => instructionDoc(mnemonic)?.title ?? '';

const list = (rows: readonly (readonly [string, string | undefined])[]): string =>
  rows.flatMap(([name, text]) => (text ? [`- *${name}:* ${text}`] : [])).join('\n');

function flagsOf({ flags }: InstructionReference, doc: InstructionDoc | undefined): string {
  const undefinedOnly = flags.leavesUndefined.filter((flag) => !flags.writes.includes(flag));
  const row = (verb: string, names: readonly ReferenceFlag[]): string[] =>
    names.length > 0 ? [`${verb} ${names.join(' ')}`] : [];
  const rows = [
    ...row('reads', flags.reads),
    ...row('writes', flags.writes),
    ...row('clears', flags.clears),
    ...row('sets', flags.sets),
    ...row('leaves undefined', undefinedOnly),
  ];
  return [rows.join('; ') || (doc?.flags === undefined ? 'none' : ''), doc?.flags].filter(Boolean).join('. ');
}

function exceptionsOf({ memory, lockable }: InstructionReference, doc: InstructionDoc | undefined): string | undefined {
  const parts = [
    ...(doc?.exceptions ?? []),
    ...(memory ? ['memory: #PF, #GP or #SS for the address, #AC'] : []),
    ...(lockable ? ['#UD for `lock` without a memory destination'] : []),
  ];
  return parts.length > 0 ? parts.join('; ') : undefined;
}

function exitsOf({ memory, vmExit }: InstructionReference, doc: InstructionDoc | undefined): string | undefined {
  const parts = (doc?.exits ?? []).map(({ exit, when }) => `\`${exit}\` (${when})`);
  if (parts.length === 0 && vmExit !== 'never')
    parts.push(vmExit === 'always' ? 'always' : 'where a control asks for it');
  if (memory) parts.push('`EPT_VIOLATION` or `EPT_MISCONFIG` (the memory it touches)');
  return parts.length > 0 ? parts.join('; ') : undefined;
}

/** Those of the mode first; NASM names what is encoded, so the manual's names are shown as they are. */
function encodingsOf(all: readonly EncodingReference[], bits: Bits): string {
  const inMode = all.filter(({ modes }) => modes.includes(bits));
  const shown = (inMode.length > 0 ? inMode : all).slice(0, MAX_ENCODINGS);
  const rows = shown.map(({ opcode, syntax }) => `| \`${opcode}\` | \`${syntax.replace(/\|/g, '\\|')}\` |`);
  const total = inMode.length > 0 ? inMode.length : all.length;
  const more = total > shown.length ? `\n\n${total - shown.length} more encodings` : '';
  const mode = inMode.length > 0 ? `${bits}-bit mode` : `not in ${bits}-bit mode`;
  return `| Encoding | ${mode} |\n|---|---|\n${rows.join('\n')}${more}`;
}
