/**
 * The output of an installed nasm, converted to the form of our own assembler: image, line table, symbols,
 * diagnostics.
 *
 *   listing row   line, offset in its section, bytes, nesting, source   (nasm -l)
 *       11 00000009 EBFB                      jmp .x
 *        4 00000000 B82A000000          <1>  mov rax, %1                 a macro's row: belongs to the row that called it
 *   map           origin, sections with their addresses, symbols        (nasm --before "[map all FILE]")
 */
import type { Diagnostic, Span } from '../base/diagnostic';
import type { Bits } from './code-size';
import { ASM_CODES } from './diagnostics';
import { collectDirectives } from './directives';
import type { Assembled, AsmSymbol, LineEntry } from './assembled';
import { lexFile, lexLine } from './lexer';

export interface NasmOutput {
  readonly image: Uint8Array;
  readonly listing: string;
  readonly map: string;
  /** Standard error. */
  readonly messages: string;
  readonly ok: boolean;
}

interface Section {
  readonly name: string;
  readonly address: bigint;
  readonly length: number;
  readonly isNobits: boolean;
}

interface Row {
  readonly line: number;
  readonly section: string;
  readonly offset: number;
  readonly bits: Bits;
  readonly source: string;
}

const ROW = /^ *(\d+) ([0-9A-F]{8}) (.{1,20})(?:<(\d+)>| {3}|$) ?(.*)$/;
const BARE_ROW = /^ *(\d+) {30}(?:<(\d+)>| {3}) ?(.*)$/;
const SECTION_LINE = /^ *([0-9A-F]+) +([0-9A-F]+) +[0-9A-F]+ +([0-9A-F]+) +(progbits|nobits) +(\S+)$/;

export function assembledFromNasm(source: string, fileName: string, output: NasmOutput): Assembled {
  const sections = sectionsOf(output.map);
  const rows = rowsOf(output.listing);
  const lines = linesOf(rows, sections, fileName);
  const origin = BigInt(`0x${/^-- Program origin -*\s+([0-9A-F]+)/m.exec(output.map)?.[1] ?? '0'}`);
  const end = origin + BigInt(output.image.length);
  const last = sections.reduce((top, s) => {
    const stop = s.address + BigInt(s.length);
    return s.isNobits && stop > top ? stop : top;
  }, end);
  const files = lexFile(source, fileName);
  return {
    ok: output.ok,
    image: output.image,
    origin,
    hasOrg: statesOrigin(source),
    firstInstructionBits: rows.find(({ source: text }) => isCode(text))?.bits,
    bss: Number(last - end),
    symbols: symbolsOf(output.map, source, fileName, lines),
    lines,
    directives: collectDirectives(files),
    diagnostics: diagnosticsOf(output, fileName),
  };
}

/** Whether the file itself has an `org`; one in an included file does not show here. */
export const statesOrigin = (source: string): boolean => /^[ \t]*\[?[ \t]*org\b/im.test(source);

function sectionsOf(map: string): Section[] {
  const out: Section[] = [];
  for (const text of map.split('\n')) {
    const [, vstart, , length, kind, name] = SECTION_LINE.exec(text) ?? [];
    if (vstart === undefined || length === undefined || name === undefined) continue;
    out.push({
      name,
      address: BigInt(`0x${vstart}`),
      length: Number.parseInt(length, 16),
      isNobits: kind === 'nobits',
    });
  }
  return out;
}

/** The rows that emit something, each with the section and mode in force. Rows of a macro or include take their caller's line. */
function rowsOf(listing: string): Row[] {
  const rows: Row[] = [];
  let section = '.text';
  let bits: Bits = 16;
  let line = 0;
  for (const text of listing.split('\n')) {
    const emits = ROW.exec(text);
    const bare = emits ? null : BARE_ROW.exec(text);
    const number = Number(emits?.[1] ?? bare?.[1] ?? 0);
    const level = emits?.[4] ?? bare?.[2];
    const code = emits?.[5] ?? bare?.[3] ?? '';
    if (number > 0 && level === undefined) line = number;
    section = /^\s*\[?\s*(?:section|segment)\s+([^\s\];]+)/i.exec(code)?.[1] ?? section;
    const mode = /^\s*\[?\s*(?:bits\s+|use)(16|32|64)\b/i.exec(code)?.[1];
    if (mode !== undefined) bits = Number(mode) as Bits;
    if (!emits) continue;
    const previous = rows.at(-1);
    // A long row is continued below, its bytes ending in a dash and its source empty: one entry for all of it.
    if (code.trim() === '' && previous?.line === line && previous.section === section) continue;
    rows.push({ line, section, offset: Number.parseInt(emits[2] ?? '0', 16), bits, source: code });
  }
  return rows;
}

function linesOf(rows: readonly Row[], sections: readonly Section[], file: string): LineEntry[] {
  const byName = new Map(sections.map((s) => [s.name, s]));
  /** Offset at which the entry after a row begins, by section; filled from the end. */
  const next = new Map<string, number>();
  const out: LineEntry[] = [];
  for (const row of [...rows].reverse()) {
    const section = byName.get(row.section);
    if (!section) continue;
    const length = (next.get(row.section) ?? section.length) - row.offset;
    next.set(row.section, row.offset);
    if (length <= 0) continue;
    const column = row.source.length - row.source.trimStart().length + 1;
    const address = section.address + BigInt(row.offset);
    out.push({
      file,
      line: row.line,
      column,
      address,
      length,
      bits: row.bits,
      kind: isCode(row.source) ? 'code' : 'data',
    });
  }
  return out.sort((a, b) => (a.address < b.address ? -1 : a.address > b.address ? 1 : 0));
}

const DATA = /^(?:d[bwdqtoyz]|res[bwdqtoyz]|incbin|align|alignb)$/i;

/** A row that emits code rather than data; the listing shows the source, with its label and TIMES. */
function isCode(source: string): boolean {
  const words = lexLine(source, '', 1).tokens.filter(({ kind }) => kind === 'word');
  return words.length > 0 && !words.slice(0, 3).some(({ text }) => DATA.test(text));
}

/** The map's symbols; where each is defined is found in the source, for the map does not say. */
function symbolsOf(map: string, source: string, file: string, lines: readonly LineEntry[]): AsmSymbol[] {
  const places = definitions(source, file);
  const kindAt = new Map([...lines].reverse().map(({ address, kind }) => [address, kind]));
  const out: AsmSymbol[] = [];
  let section: string | undefined;
  const table = map.slice(Math.max(0, map.indexOf('-- Symbols')));
  for (const text of table.split('\n')) {
    const heading = /^---- (?:Section (\S+)|No Section) -*$/.exec(text);
    if (heading) section = heading[1];
    const [, value, name] = /^ *(?:[0-9A-F]+ +)?([0-9A-F]+) +(\S+)$/.exec(text) ?? [];
    if (value === undefined || name === undefined) continue;
    const number = BigInt(`0x${value}`);
    const start = { line: 1, column: 1 };
    const span = places.get(name) ?? { file, start, end: start };
    const followedBy = kindAt.get(number);
    out.push(
      section === undefined
        ? { name, value: number, kind: 'constant', span }
        : { name, value: number, kind: 'label', span, section, ...(followedBy === undefined ? {} : { followedBy }) },
    );
  }
  return out;
}

function definitions(source: string, file: string): Map<string, Span> {
  const out = new Map<string, Span>();
  let owner = '';
  for (const { tokens } of lexFile(source, file)) {
    const [first, second] = tokens;
    if (first?.kind !== 'word') continue;
    const isLocal = first.text.startsWith('.') && !first.text.startsWith('..');
    const name = isLocal ? owner + first.text : first.text;
    if (!isLocal && second?.text === ':') owner = first.text;
    const span = {
      file,
      start: { line: first.line, column: first.column },
      end: { line: first.line, column: first.end },
    };
    if (!out.has(name)) out.set(name, span);
  }
  return out;
}

/** `file:line: error: text`; nasm reports no column. */
function diagnosticsOf({ messages, ok }: NasmOutput, fileName: string): Diagnostic[] {
  const out: Diagnostic[] = [];
  for (const text of messages.split('\n')) {
    const [, file, line, severity, message] = /^(.+?):(\d+): (error|warning|fatal|panic): (.*)$/.exec(text) ?? [];
    if (file === undefined || message === undefined) continue;
    const start = { line: Number(line), column: 1 };
    const kind = severity === 'warning' ? 'warning' : 'error';
    out.push({
      severity: kind,
      code: ASM_CODES.syntax,
      message: `nasm: ${message}`,
      file,
      span: { file, start, end: start },
    });
  }
  if (!ok && !out.some(({ severity }) => severity === 'error')) {
    const message = `nasm failed: ${messages.trim().split('\n')[0] || 'it gave no reason'}`;
    out.push({ severity: 'error', code: ASM_CODES.syntax, message, file: fileName });
  }
  return out;
}
