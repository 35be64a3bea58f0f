/** Signature help: the operands that an instruction or macro takes, with the one at the cursor marked. */
import type { Position, SignatureHelp, SignatureInformation } from 'vscode-languageserver';
import { lexLine, type Bits } from '../asm/index';
import { instructionReference } from '../asm/reference';
import { instructionDoc } from './instructions/index';
import { shapeOf } from './shape';
import { bitsAt, type Program, type SourceFile } from './workspace';

const MAX_SIGNATURES = 32;

export function signatureAt(program: Program, file: SourceFile, at: Position): SignatureHelp | null {
  const before = (file.text.split('\n', at.line + 1)[at.line] ?? '').slice(0, at.character);
  const { tokens, comments } = lexLine(before, file.path, at.line + 1);
  if (comments.length > 0) return null;
  const macro = (name: string): boolean => program.names.definitions(name).some(({ defines }) => defines === 'macro');
  const { head, operands } = shapeOf(tokens, macro);
  if (!head || head.end === at.character + 1) return null;
  const active = operands.length - 1;
  const signatures = macro(head.text)
    ? macroSignatures(program, head.text)
    : instructionSignatures(head.text.toLowerCase(), bitsAt(program, file, at.line + 1));
  if (signatures.length === 0) return null;
  const fitting = signatures.findIndex(({ parameters = [] }) => parameters.length > active);
  return { signatures, activeSignature: Math.max(0, fitting), activeParameter: active };
}

/** One per list of operands, in the manual’s notation. */
function instructionSignatures(mnemonic: string, bits: Bits): SignatureInformation[] {
  const encodings = instructionReference(mnemonic)?.encodings.filter(({ modes }) => modes.includes(bits)) ?? [];
  const lists = new Map<string, string[]>();
  for (const { operands } of encodings) {
    if (operands.length === 0) continue;
    const lower = operands.map((each) => each.toLowerCase());
    lists.set(lower.join(', '), lower);
  }
  const documentation = instructionDoc(mnemonic)?.does;
  return [...lists.values()]
    .slice(0, MAX_SIGNATURES)
    .map((parameters) => signature(mnemonic, parameters, documentation));
}

function macroSignatures(program: Program, name: string): SignatureInformation[] {
  return program.names.definitions(name).flatMap(({ file, line }) => {
    const header = program.files.get(file)?.text.split('\n')[line - 1] ?? '';
    const count = /macro\s+\S+\s+(\d+)(?:-(\d+|\*))?(\+)?/i.exec(header);
    const most = count?.[2] === '*' ? Number(count[1]) + 1 : Number(count?.[2] ?? count?.[1] ?? 0);
    const least = Number(count?.[1] ?? 0);
    const parameters = Array.from({ length: most }, (_, i) => (i < least ? `%${i + 1}` : `[%${i + 1}]`));
    return parameters.length > 0 ? [signature(name, parameters, header.trim())] : [];
  });
}

function signature(
  name: string,
  parameters: readonly string[],
  documentation: string | undefined,
): SignatureInformation {
  let label = name;
  const spans = parameters.map((each, index) => {
    label += index === 0 ? ' ' : ', ';
    const start = label.length;
    label += each;
    return { label: [start, label.length] as [number, number] };
  });
  return { label, parameters: spans, ...(documentation === undefined ? {} : { documentation }) };
}
