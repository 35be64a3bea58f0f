/**
 * From a file's bytes and the options around it to an image that a machine can be started with: which kind of file it is, how it
 * starts, and where its lines and labels lie (cli.md's "How a guest starts").
 */
import { elfSource } from '../../asm/gas-output';
import { leadingDirectives, MAX_SOURCE } from '../../asm/index';
import type { Assembled } from '../../asm/index';
import type { Diagnostic } from '../../base/diagnostic';
import type { Result } from '../../base/result';
import { err, ok } from '../../base/result';
import type { SourceRequest } from './assembly';
import { assembleGuest, gnuDirectives } from './assembly';
import { sessionError } from '../diagnostics';
import type { GuestDirectives } from './guest-directives';
import { NO_DIRECTIVES, readDirectives } from './guest-directives';
import { actsAtLine } from '../run/checks';
import type { Settings } from './options';
import { settle } from './options';
import type { SettledStart } from './start';
import { isElf, ORIGIN, settleStart } from './start';
import { SymbolTable } from '../guest/symbols';
import type { HandedFiles } from './named-files';
import { readHanded } from './named-files';

export interface Program {
  readonly file: string;
  readonly settings: Settings;
  readonly start: SettledStart;
  readonly image: Uint8Array;
  /** Linear and guest physical address of the image's first byte (flat images), and of the first instruction. */
  readonly origin: bigint;
  readonly entry: bigint;
  /** Zero bytes that the program expects after the image. */
  readonly bss: number;
  /** Files handed over beside the guest. */
  readonly files: HandedFiles;
  readonly symbols: SymbolTable;
  readonly directives: GuestDirectives;
  /** Warnings only. */
  readonly diagnostics: readonly Diagnostic[];
}

export interface ProgramRequest extends SourceRequest {
  readonly bytes: Uint8Array;
  /** Files named by options of the launch configuration or the command line. */
  readonly readOption?: (name: string) => Uint8Array | undefined;
  /** Where a source of an executable is now, which may have moved since it was compiled. */
  readonly locate?: (path: string) => string;
}

const ENTRY_SYMBOLS = ['_start', 'start'] as const;
const ASSEMBLY_EXTENSIONS = ['.asm', '.nasm', '.s', '.inc'];

/** Reads, assembles where it is source, and settles the start. All errors of the file are reported at once. */
export function prepareProgram(request: ProgramRequest): Result<Program, readonly Diagnostic[]> {
  const { file, bytes } = request;
  if (bytes.length === 0)
    return err([sessionError('emptyFile', 'the file is empty; a guest needs at least one instruction', file)]);
  if (!looksLikeSource(file, bytes)) return fromImage(request);
  const tooLong = sourceTooLong(file, bytes);
  return tooLong ? err([tooLong]) : fromSource(request, new TextDecoder().decode(bytes));
}

/** The error of a file that is too long to be a source. */
export const sourceTooLong = (file: string, bytes: Uint8Array): Diagnostic | undefined =>
  bytes.length <= MAX_SOURCE
    ? undefined
    : sessionError(
        'tooLong',
        `the file is ${bytes.length} bytes long; the maximum for a source is ${MAX_SOURCE}. Use incbin for data; an image is called .bin or .img`,
        file,
      );

/** The method that a guest will run under, by its own first lines and the options around it: known before it is assembled. */
export function expectedMethod({
  file,
  bytes,
  options,
}: Pick<ProgramRequest, 'file' | 'bytes' | 'options'>): Settings['mmu'] {
  if (!looksLikeSource(file, bytes) || sourceTooLong(file, bytes)) return settle(options).mmu;
  const source = new TextDecoder().decode(bytes);
  const own = gnuDirectives(source, { file, options }) ?? readDirectives(leadingDirectives(source, file), file);
  return settle(own.options, options).mmu;
}

/** Source by its extension, or a text without one; everything else is an image. */
function looksLikeSource(file: string, bytes: Uint8Array): boolean {
  const name = file.toLowerCase();
  if (ASSEMBLY_EXTENSIONS.some((e) => name.endsWith(e))) return true;
  if (/\.(bin|img|elf|com|iso|rom|o|sys)$/.test(name) || isElf(bytes)) return false;
  const head = bytes.subarray(0, 4096);
  return head.every((b) => b >= 0x20 || b === 0x09 || b === 0x0a || b === 0x0d);
}

function fromImage(request: ProgramRequest): Result<Program, readonly Diagnostic[]> {
  const { file, bytes } = request;
  const settings = settle(request.options);
  const start = settleStart(settings.start, bytes, undefined, file);
  if (!start.ok) return start;
  const files = readHanded(request, settings);
  if (!files.ok) return files;
  const origin = ORIGIN[start.value];
  const source = isElf(bytes) ? elfSource(bytes, file, request.locate) : undefined;
  return ok({
    file,
    settings,
    start: start.value,
    image: bytes,
    origin,
    entry: origin,
    bss: 0,
    files: files.value,
    symbols: source ? symbolTable(source) : new SymbolTable([], new Map(), [], 0n),
    directives: NO_DIRECTIVES,
    diagnostics: [],
  });
}

function fromSource(request: ProgramRequest, source: string): Result<Program, readonly Diagnostic[]> {
  const { file } = request;
  const { assembled, directives, settings, start } = assembleGuest(source, request);
  const errors = [...assembled.diagnostics, ...directives.diagnostics].filter((d) => d.severity === 'error');
  if (errors.length > 0) return err(errors);
  if (!start.ok) return start;
  const files = readHanded(request, settings);
  if (!files.ok) return files;
  if (assembled.image.length === 0)
    return err([
      sessionError('emptyFile', 'the file assembles to nothing; a guest needs at least one instruction', file),
    ]);
  if (start.value === 'boot' && assembled.origin !== ORIGIN.boot) {
    return err([
      sessionError(
        'badStart',
        `a boot sector is loaded at 0x7c00, but the file says \`org 0x${assembled.origin.toString(16)}\`; write \`org 0x7c00\`, or leave it out`,
        file,
      ),
    ]);
  }
  const symbols = symbolTable(assembled);
  const atLines = [
    ...directives.events.map(({ text, span }) => ({ text: `@host ${text}`, span })),
    ...directives.checks.filter(actsAtLine).map(({ kind, text, span }) => ({ text: `@${kind} ${text}`, span })),
  ];
  const astray = atLines.filter((e) => symbols.codeAt(e.span.file, e.span.start.line) === undefined);
  if (astray.length > 0)
    return err(
      astray.map((e) =>
        sessionError(
          'badPlace',
          `\`${e.text}\`: there is no instruction on or after this line${e.text.startsWith('@host') ? '' : '; write `at end` for the end of the run'}`,
          e.span.file,
          e.span,
        ),
      ),
    );
  const entry = ENTRY_SYMBOLS.map((name) => (symbols.isLabel(name) ? symbols.valueOf(name) : undefined)).find(
    (a) => a !== undefined,
  );
  return ok({
    file,
    settings,
    start: start.value,
    image: assembled.image,
    origin: assembled.origin,
    entry: entry ?? assembled.origin,
    bss: assembled.bss,
    files: files.value,
    symbols,
    directives,
    diagnostics: [...assembled.diagnostics, ...directives.diagnostics],
  });
}

function symbolTable(a: Pick<Assembled, 'symbols' | 'lines' | 'origin' | 'image' | 'bss'>): SymbolTable {
  const labels = a.symbols.filter((s) => s.kind === 'label').map((s) => ({ name: s.name, address: s.value }));
  const constants = new Map(a.symbols.filter((s) => s.kind === 'constant').map((s) => [s.name, s.value]));
  const lines = a.lines.map((l) => ({
    file: l.file,
    line: l.line,
    address: l.address,
    length: l.length,
    code: l.kind === 'code',
    bits: l.bits,
  }));
  return new SymbolTable(labels, constants, lines, a.origin + BigInt(a.image.length + a.bss));
}
