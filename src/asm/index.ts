import type { Span } from '../base/diagnostic';
import type { AsmSymbol, Assembled, LineEntry } from './assembled';
import type { Bits } from './code-size';
import { DiagnosticSink } from './diagnostics';
import { fileFinder } from './included';
import type { ReadFile } from './included';
import { collectDirectives } from './directives';
import type { Directive } from './directives';
import { Layout } from './layout';
import type { LayoutResult } from './layout';
import type { Optimization } from './optimization';
import { Parser } from './parser';
import { Preprocessor } from './preprocess';
import type { EarlierLayout } from './preprocess';
import type { Statement } from './statement';
import { Warnings } from './warnings';

export type { AsmSymbol, Assembled } from './assembled';
export { disassemble } from './disassemble';
export type { DisassembledInstruction } from './disassemble';
export { ALL_REGISTERS, flowOf } from './stack-effect';
export type { Flow, StackEffect } from './stack-effect';
export { formatListing } from './listing';
export { leadingDirectives } from './directives';
export type { Directive } from './directives';
export { ASM_CODES } from './diagnostics';
export { fileBeside, insideOf, MAX_SOURCE, searchPlaces } from './included';
export type { ReadFile } from './included';
export { DIRECTIVES } from './directive-parser';
export { isMnemonic, mnemonics } from './forms';
export { gasNames } from './gas-source';
export { lexFile, lexLine } from './lexer';
export type { LogicalLine, Token } from './lexer';
export { registerByName, registerNames } from './registers';
export type { Bits } from './code-size';
export { optimizationOf } from './optimization';
export { WARNING_CLASSES, WARNING_NAMES, Warnings } from './warnings';

export interface AssembleOptions {
  readonly fileName: string;
  /**
   * The bytes of a file named by %include or incbin, or undefined where there is none. `path` is as written; `from` is the file that names it,
   * as the assembler knows it: `fileName`, or the `path` of an earlier %include. Lines, symbols and diagnostics name files the same way.
   */
  readonly readFile?: ReadFile;
  /** Used where the file has no `org`; default 0, as in NASM. A function decides when the sizes are known: no size depends on it. */
  readonly origin?: bigint | ((found: Unplaced) => bigint);
  /** As `nasm -D NAME=VALUE`, in order. */
  readonly defines?: Readonly<Record<string, string>>;
  /** As `nasm -I`: folders where %include and incbin look for what lies neither beside the file that names it nor beside the main file. */
  readonly includePath?: readonly string[];
  /** As `nasm -O`; default full. */
  readonly optimize?: Optimization;
  /** As `nasm -w`: `+class`, `-class`, `error`, `error=class`. */
  readonly warnings?: readonly string[];
  /** In bytes; default 64 MiB. */
  readonly maxImage?: number;
}

/** A program before its origin is settled: its bytes as for origin 0. */
export interface Unplaced {
  readonly image: Uint8Array;
  readonly firstInstructionBits: Bits | undefined;
  readonly directives: readonly Directive[];
}

const DEFAULT_MAX_IMAGE = 64 * 1024 * 1024;

/** Assembles NASM source as `nasm -f bin` does. Never throws for what a source contains: see `diagnostics`. */
export function assemble(source: string, options: AssembleOptions): Assembled {
  let run = runOnce(source, options, undefined);
  // Where the preprocessor asked for `$` or a label, it runs again with what the layout found, until both agree.
  for (let i = 0; i < MAX_RERUNS && run.preprocessor.markers > 0; i++) {
    const before = run;
    run = runOnce(source, options, {
      symbol: (name) => before.layout.symbols.lookup(name),
      marker: (id) => before.layout.markers.get(id),
    });
    if (i > 0 && sameLayout(before.layout, run.layout)) break;
  }
  const { sink, layout, preprocessor, fileSpan, maxImage } = run;
  const image = joinSections(layout.output, layout.placed, maxImage, (size) => {
    sink.error('tooLarge', `the sections span ${size} bytes; the maximum for one image is ${maxImage}`, fileSpan);
  });
  return {
    ok: sink.errorCount === 0,
    image,
    origin: layout.placed.origin,
    hasOrg: layout.hasOrg,
    firstInstructionBits: layout.firstInstructionBits,
    bss: bssAfter(layout, image.length),
    symbols: symbolsOf(layout),
    lines: linesOf(layout),
    directives: directivesOf(preprocessor),
    diagnostics: sink.sorted(options.fileName),
  };
}

const directivesOf = ({ files }: Preprocessor): Directive[] => files.flatMap((lines) => collectDirectives(lines));

const MAX_RERUNS = 8;

interface Run {
  readonly sink: DiagnosticSink;
  readonly preprocessor: Preprocessor;
  readonly layout: LayoutResult;
  readonly fileSpan: Span;
  readonly maxImage: number;
}

function runOnce(source: string, options: AssembleOptions, earlier: EarlierLayout | undefined): Run {
  const sink = new DiagnosticSink(new Warnings(options.warnings ?? []));
  const find = fileFinder(
    options.readFile ?? ((): undefined => undefined),
    options.fileName,
    options.includePath ?? [],
  );
  const parser = new Parser({ sink, readBinary: (path, from) => find(path, from, 'bytes')?.bytes });
  const preprocessor = new Preprocessor({
    defines: options.defines ?? {},
    find,
    sink,
    ...(earlier ? { earlier } : {}),
  });
  const statements: Statement[] = [];
  const lines = preprocessor.run(source, options.fileName);
  for (const line of preprocessor.refused ? [] : lines) {
    const s = parser.parse(line);
    if (s) statements.push(s);
  }
  const start = { line: 1, column: 1 };
  const fileSpan: Span = { file: options.fileName, start, end: start };
  const maxImage = options.maxImage ?? DEFAULT_MAX_IMAGE;
  const { origin = 0n } = options;
  const layout = new Layout(statements, {
    origin:
      typeof origin === 'bigint'
        ? origin
        : ({ output, placed, firstInstructionBits }) =>
            origin({
              image: joinSections(output, placed, maxImage),
              firstInstructionBits,
              directives: directivesOf(preprocessor),
            }),
    maxImage,
    fileSpan,
    ...(options.optimize ? { optimize: options.optimize } : {}),
  }).run(sink);
  return { sink, preprocessor, layout, fileSpan, maxImage };
}

function sameLayout(a: LayoutResult, b: LayoutResult): boolean {
  if (a.markers.size !== b.markers.size || a.symbols.all().length !== b.symbols.all().length) return false;
  for (const [id, v] of a.markers) if (b.markers.get(id)?.number !== v.number) return false;
  return a.symbols.all().every((e) => b.symbols.lookup(e.name)?.number === e.value.number);
}

function joinSections(
  output: LayoutResult['output'],
  { origin, file }: LayoutResult['placed'],
  maxImage: number,
  tooLarge?: (size: bigint) => void,
): Uint8Array {
  let size = 0n;
  for (const s of file) {
    const end = s.placedStart - origin + BigInt(s.offset);
    if (s.offset > 0 && end > size) size = end;
  }
  if (size > BigInt(maxImage)) {
    tooLarge?.(size);
    return new Uint8Array(0);
  }
  const image = new Uint8Array(Number(size));
  for (const s of file) {
    const bytes = output.bytesOf(s);
    const at = Number(s.placedStart - origin);
    if (at >= 0 && at + bytes.length <= image.length) image.set(bytes, at);
  }
  return image;
}

function bssAfter(layout: LayoutResult, imageLength: number): number {
  const end = layout.placed.origin + BigInt(imageLength);
  let last = end;
  for (const s of layout.output.sections.list) {
    const stop = s.placedVstart + BigInt(s.offset);
    if (s.nobits && stop > last) last = stop;
  }
  return Number(last - end);
}

function symbolsOf(layout: LayoutResult): AsmSymbol[] {
  return layout.symbols.all().map((e) => {
    let value = e.value.number;
    for (const t of e.value.terms)
      if (t.kind === 'section') value += (layout.output.sections.list[t.section]?.placedVstart ?? 0n) * t.times;
    const section = e.section === undefined ? undefined : layout.output.sections.list[e.section]?.name;
    return {
      name: e.name,
      value: BigInt.asUintN(64, value),
      kind: e.kind,
      span: e.span,
      ...(section === undefined ? {} : { section }),
      ...(e.followedBy === undefined ? {} : { followedBy: e.followedBy }),
    };
  });
}

function linesOf(layout: LayoutResult): LineEntry[] {
  const lines = layout.lines.map((l): LineEntry => ({
    file: l.statement.file,
    line: l.statement.line,
    column: l.statement.column,
    address: (layout.output.sections.list[l.section]?.placedVstart ?? 0n) + BigInt(l.offset),
    length: l.length,
    bits: l.bits,
    kind: l.kind,
    ...(l.statement.definition ? { definition: l.statement.definition } : {}),
  }));
  return lines.sort((a, b) => (a.address < b.address ? -1 : a.address > b.address ? 1 : 0));
}
