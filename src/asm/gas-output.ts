/**
 * The output of an installed GNU as and ld, in the form of our own assembler: image, line table, symbols,
 * diagnostics.
 */
import type { Diagnostic, Span } from '../base/diagnostic';
import type { Bits } from './code-size';
import { ASM_CODES } from './diagnostics';
import { collectDirectives } from './directives';
import { dwarfLines } from './dwarf-lines';
import type { ElfFile } from './elf';
import { readElf, SHF_ALLOC, SHT_NOBITS } from './elf';
import type { Assembled, AsmSymbol, LineEntry } from './assembled';
import type { Directive } from './directives';
import { gasNames } from './gas-source';
import { fileBeside } from './included';
import { lexFile } from './lexer';

export interface GasOutput {
  readonly ok: boolean;
  /** The linked ELF file. */
  readonly elf: Uint8Array;
  /** Standard error. */
  readonly messages: string;
}

const ABSOLUTE = 0xfff1;
const MAX_IMAGE = 64 * 1024 * 1024;

export function assembledFromGas(source: string, fileName: string, output: GasOutput): Assembled {
  const elf = output.ok ? readElf(output.elf) : undefined;
  const { origin, image, bss } = elf ? imageOf(elf) : { origin: 0n, image: new Uint8Array(0), bss: 0 };
  const lines = elf ? linesOf(elf, gasBits(source)) : [];
  const diagnostics = diagnosticsOf(output, fileName);
  return {
    ok: elf !== undefined,
    image,
    origin,
    bss,
    hasOrg: false,
    firstInstructionBits: gasBits(source),
    symbols: elf ? located(symbolsOf(elf, fileName), source, fileName, lines) : [],
    lines,
    directives: gasDirectives(source, fileName),
    diagnostics,
  };
}

/** The mode at the start of the source: its first `.code16`, `.code32` or `.code64`; 64-bit without any. */
export function gasBits(source: string): Bits {
  const found = /^\s*\.code(16|32|64)/m.exec(source)?.[1];
  return found === '16' ? 16 : found === '32' ? 32 : 64;
}

/** Directives to the debugger stand in comments of `#`, `//` and `;` here. */
export function gasDirectives(source: string, fileName: string): Directive[] {
  const asNasm = source
    .split('\n')
    .map((line) =>
      line.replace(
        /^(.*?)(#|\/\/)(\s*@)/,
        (_, code: string, mark: string, at: string) => `${' '.repeat(code.length + mark.length - 1)};${at}`,
      ),
    );
  return collectDirectives(
    lexFile(asNasm.map((line) => (/^\s*;/.test(line) ? line : line.trim() === '' ? '' : 'db 0')).join('\n'), fileName),
  );
}

/** Everything that is loaded, from the lowest address to the highest that the file has bytes for. */
function imageOf(elf: ElfFile): { origin: bigint; image: Uint8Array; bss: number } {
  const loaded = elf.sections.filter((s) => (s.flags & SHF_ALLOC) !== 0 && s.size > 0 && !s.name.startsWith('.note'));
  const origin = loaded.reduce((low, s) => (s.address < low ? s.address : low), loaded[0]?.address ?? 0n);
  const endOf = (list: typeof loaded): number => Math.max(0, ...list.map((s) => Number(s.address - origin) + s.size));
  const inFile = loaded.filter((s) => s.type !== SHT_NOBITS);
  const image = new Uint8Array(Math.min(endOf(inFile), MAX_IMAGE));
  for (const s of inFile) {
    const at = Number(s.address - origin);
    if (at + s.size <= image.length) image.set(elf.bytes.subarray(s.offset, s.offset + s.size), at);
  }
  return { origin, image, bss: Math.max(0, endOf(loaded) - image.length) };
}

function linesOf(elf: ElfFile, bits: Bits): LineEntry[] {
  const rows = dwarfLines(elf);
  const out: LineEntry[] = [];
  rows.forEach((row, i) => {
    const next = rows[i + 1];
    if (row.end || row.line === 0 || !next || next.address <= row.address) return;
    out.push({
      file: row.file,
      line: row.line,
      column: 1,
      address: row.address,
      length: Number(next.address - row.address),
      bits,
      kind: 'code',
    });
  });
  return out.sort((a, b) => (a.address < b.address ? -1 : a.address > b.address ? 1 : 0));
}

function symbolsOf(elf: ElfFile, fileName: string): AsmSymbol[] {
  const start = { line: 1, column: 1 };
  const span: Span = { file: fileName, start, end: start };
  return elf.symbols.flatMap((s): AsmSymbol[] => {
    if (s.name === '' || s.section === 0 || s.type === 3 || s.type === 4 || /^(__bss_start|_edata|_end)$/.test(s.name))
      return [];
    if (s.section === ABSOLUTE) return [{ name: s.name, value: s.value, kind: 'constant', span }];
    const section = elf.sections[s.section]?.name;
    return [{ name: s.name, value: s.value, kind: 'label', span, ...(section === undefined ? {} : { section }) }];
  });
}

/** Where the source itself defines symbols, and whether instructions stand there; as keeps lines for instructions alone. */
function located(
  symbols: readonly AsmSymbol[],
  source: string,
  file: string,
  lines: readonly LineEntry[],
): AsmSymbol[] {
  const places = new Map<string, Span>();
  for (const { name, defines, line, column, end } of gasNames(source))
    if (defines && !places.has(name)) places.set(name, { file, start: { line, column }, end: { line, column: end } });
  const code = new Set(lines.map(({ address }) => address));
  return symbols.map((symbol) => ({
    ...symbol,
    span: places.get(symbol.name) ?? symbol.span,
    ...(symbol.kind === 'label' ? { followedBy: code.has(symbol.value) ? 'code' : 'data' } : {}),
  }));
}

/**
 * What an ELF file says of its own source: symbols, and lines where it carries DWARF. For executables from any compiler.
 * @param locate where a source is now that was at a path when it was compiled
 */
export function elfSource(
  bytes: Uint8Array,
  fileName: string,
  locate: (path: string) => string = (path) => path,
): Pick<Assembled, 'symbols' | 'lines' | 'origin' | 'image' | 'bss'> | undefined {
  const elf = readElf(bytes);
  if (elf === undefined) return undefined;
  // a name without a folder is looked for beside the executable
  const names = new Map<string, string>();
  const nameOf = (written: string): string => {
    let name = names.get(written);
    if (name === undefined) names.set(written, (name = locate(fileBeside(written, fileName))));
    return name;
  };
  const lines = linesOf(elf, bytes[4] === 2 ? 64 : 32).map((l) => ({ ...l, file: nameOf(l.file) }));
  return { ...imageOf(elf), symbols: symbolsOf(elf, fileName), lines };
}

/** `file:line: Error: text`; as reports no column, and ld no line. */
function diagnosticsOf({ messages, ok }: GasOutput, fileName: string): Diagnostic[] {
  const out: Diagnostic[] = [];
  for (const text of messages.split('\n')) {
    const [, file, line, severity, message] = /^(.+?):(\d+): (Error|Warning|Fatal error): (.*)$/.exec(text) ?? [];
    if (file === undefined || message === undefined) continue;
    const start = { line: Number(line), column: 1 };
    out.push({
      severity: severity === 'Warning' ? 'warning' : 'error',
      code: ASM_CODES.syntax,
      message: `as: ${message}`,
      file,
      span: { file, start, end: start },
    });
  }
  if (!ok && !out.some(({ severity }) => severity === 'error')) {
    out.push({
      severity: 'error',
      code: ASM_CODES.syntax,
      message: `GNU as failed: ${messages.trim().split('\n')[0] || 'it gave no reason'}`,
      file: fileName,
    });
  }
  return out;
}
