import { gprPart, SEGMENTS } from '../isa/registers';

/** What is under the cursor in a line of assembly, as an expression that can be evaluated. */
export interface OperandAt {
  readonly kind: 'memory' | 'register' | 'name' | 'number';
  readonly text: string;
  /** 1-based columns of the first character and after the last. */
  readonly start: number;
  readonly end: number;
}

const SIZE_BEFORE =
  /(?:^|[\s,])((?:byte|word|dword|qword|tword|oword|yword|zword)\s+(?:ptr\s+)?|(?:[c-gs]s)\s*:\s*)+$/i;
const WORD = /\$?[\p{L}\p{N}_.@?$][\p{L}\p{N}_$#@~.?]*/gu;
const NOT_OPERANDS: ReadonlySet<string> = new Set([
  'byte',
  'word',
  'dword',
  'qword',
  'tword',
  'oword',
  'yword',
  'zword',
  'ptr',
  'rel',
  'abs',
  'near',
  'far',
  'short',
  'strict',
  'nosplit',
]);
const PREFIXES: ReadonlySet<string> = new Set([
  'rep',
  'repe',
  'repz',
  'repne',
  'repnz',
  'lock',
  'o16',
  'o32',
  'o64',
  'a16',
  'a32',
  'a64',
  'times',
  'bnd',
  ...SEGMENTS,
]);
const SPECIAL_REGISTER = /^(?:cr\d+|dr\d+|[er]?ip|[er]?flags|[xyz]mm\d+|mm\d|st\d|k[0-7]|efer|[c-gs]s)$/i;

/** Where comments begin and strings lie: neither contains operands. */
function codeMask(line: string): boolean[] {
  const mask: boolean[] = new Array<boolean>(line.length).fill(true);
  let quote = '';
  for (let i = 0; i < line.length; i++) {
    const c = line[i] ?? '';
    if (quote !== '') {
      mask[i] = false;
      if (c === quote) quote = '';
    } else if (c === '"' || c === "'" || c === '`') {
      quote = c;
      mask[i] = false;
    } else if (c === ';') {
      mask.fill(false, i);
      break;
    }
  }
  return mask;
}

/**
 * The expression at a 1-based column: a memory operand as a whole (`qword [rbx+8]`) wherever the cursor is in it,
 * otherwise a register, a label or a number. Undefined on mnemonics, prefixes, size keywords, strings and comments.
 */
export function findOperandAt(line: string, column: number): OperandAt | undefined {
  const at = column - 1;
  if (line.length > 10_000 || at < 0 || at > line.length) return undefined;
  // `[bits 16]` is a directive, not memory.
  if (/^\s*\[\s*\w+\s+\w/.test(line)) return undefined;
  const mask = codeMask(line);
  if (at < line.length && mask[at] === false) return undefined;
  return memoryAt(line, at, mask) ?? wordAt(line, at, mask);
}

/** More operands than any instruction has: parsing of a malformed line stops here. */
const MOST_OPERANDS = 5;

/** The mnemonic under a 1-based column and the operands after it; undefined elsewhere. */
export function findInstructionAt(
  line: string,
  column: number,
): { readonly start: number; readonly end: number; readonly operands: readonly OperandAt[] } | undefined {
  if (line.length > 10_000 || /^\s*\[\s*\w+\s+\w/.test(line)) return undefined;
  const mask = codeMask(line);
  const mnemonic = wordsOf(line, mask).find(({ isMnemonic, text }) => isMnemonic && !PREFIXES.has(text.toLowerCase()));
  if (!mnemonic || column < mnemonic.start || column >= mnemonic.end) return undefined;
  const operands: OperandAt[] = [];
  const end = Math.min(line.length, mnemonic.end + 500);
  for (let at = mnemonic.end + 1; at <= end && operands.length < MOST_OPERANDS; at++) {
    const found = findOperandAt(line, at);
    if (!found || found.start < mnemonic.end) continue;
    operands.push(found);
    at = found.end;
  }
  return { start: mnemonic.start, end: mnemonic.end, operands };
}

function memoryAt(line: string, at: number, mask: readonly boolean[]): OperandAt | undefined {
  for (let open = 0; open < line.length; open++) {
    if (line[open] !== '[' || mask[open] === false) continue;
    const close = line.indexOf(']', open);
    if (close < 0) return undefined;
    const before = SIZE_BEFORE.exec(line.slice(0, open));
    const lead = before ? before[0].replace(/^[\s,]/, '').length : 0;
    const start = open - lead;
    if (at >= start && at <= close) {
      return { kind: 'memory', text: line.slice(start, close + 1), start: start + 1, end: close + 2 };
    }
    open = close;
  }
  return undefined;
}

interface Word {
  readonly text: string;
  /** 1-based, the end exclusive. */
  readonly start: number;
  readonly end: number;
  /** A mnemonic, or a prefix before it: it has no value. */
  readonly isMnemonic: boolean;
}

/** The words of a line outside strings and comments. */
function wordsOf(line: string, mask: readonly boolean[]): Word[] {
  let expectsMnemonic = true;
  return [...line.matchAll(WORD)].flatMap((m) => {
    const from = m.index ?? 0;
    const to = from + m[0].length;
    if (mask[from] === false) return [];
    const isFirst = line.slice(0, from).trim() === '';
    const isLabel = isFirst && /^\s*:/.test(line.slice(to));
    const isConstant = isFirst && /^\s+equ\b/i.test(line.slice(to));
    const isMnemonic = expectsMnemonic && !isLabel && !isConstant;
    if (isMnemonic && !PREFIXES.has(m[0].toLowerCase())) expectsMnemonic = false;
    return [{ text: m[0], start: from + 1, end: to + 1, isMnemonic }];
  });
}

function wordAt(line: string, at: number, mask: readonly boolean[]): OperandAt | undefined {
  for (const { text, start, end, isMnemonic } of wordsOf(line, mask)) {
    if (at < start - 1 || at > end - 1) continue;
    const lower = text.toLowerCase();
    if (isMnemonic || NOT_OPERANDS.has(lower)) {
      if (at < end - 1) return undefined;
      continue;
    }
    const span = { text, start, end };
    if (gprPart(lower) || SPECIAL_REGISTER.test(lower)) return { kind: 'register', ...span };
    if (/^\$?[0-9]/.test(lower)) return { kind: 'number', ...span };
    return lower === '$' || lower === '$$' ? undefined : { kind: 'name', ...span };
  }
  return undefined;
}
