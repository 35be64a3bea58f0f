/**
 * From a file's bytes and the options around it to an image that a machine can be started with: which kind of file it is, how it
 * starts, and where its lines and labels lie (cli.md's "How a guest starts").
 */
import { elfSource, gasDirectives } from '../asm/gas-output';
import { assemble } from '../asm/index';
import type { Assembled, AssembleOptions } from '../asm/index';
import type { Diagnostic } from '../base/diagnostic';
import type { Result } from '../base/result';
import { err, ok } from '../base/result';
import { sessionError } from './diagnostics';
import type { GuestDirectives } from './guest-directives';
import { NO_DIRECTIVES, readDirectives } from './guest-directives';
import type { OptionTexts, Settings } from './options';
import { settle } from './options';
import { SymbolTable } from './symbols';
import type { HandedFiles } from './handed';
import { readHanded } from './handed';
import { hasMultibootHeader } from '../vmm/loader/multiboot';

/** What a start that is settled can be. */
export type SettledStart = 'boot' | 'flat16' | 'flat32' | 'flat64' | 'elf' | 'multiboot' | 'reset';

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

export interface ProgramRequest {
  /** The guest's path as errors and source locations shall show it. */
  readonly file: string;
  readonly bytes: Uint8Array;
  /** What the launch configuration or the command line says; overrides the file's own `@guest`. */
  readonly options: OptionTexts;
  /** Files named by %include and incbin. */
  readonly readFile?: AssembleOptions['readFile'];
  /** Files named by options of the launch configuration or the command line. */
  readonly readOption?: (name: string) => Uint8Array | undefined;
  /** An installed assembler, for `assembler=nasm`; absent where there is none to run. */
  readonly nasm?: (source: string, origin: bigint) => Assembled;
  /** The same for `assembler=gas`. */
  readonly gas?: (source: string, origin: bigint) => Assembled;
}

const ORIGIN: Readonly<Record<SettledStart, bigint>> = {
  boot: 0x7c00n,
  flat16: 0x7c00n,
  flat32: 0x10_0000n,
  flat64: 0x10_0000n,
  elf: 0n,
  multiboot: 0x10_0000n,
  // the last 64 KiB below 1 MiB, where firmware runs after its first jump
  reset: 0xf_0000n,
};
const ENTRY_SYMBOLS = ['_start', 'start'] as const;
const ASSEMBLY_EXTENSIONS = ['.asm', '.nasm', '.s', '.inc'];

/** Reads, assembles where it is source, and settles the start. All errors of the file are reported at once. */
export function prepareProgram(request: ProgramRequest): Result<Program, readonly Diagnostic[]> {
  const { file, bytes } = request;
  if (bytes.length === 0)
    return err([sessionError('emptyFile', 'the file is empty; a guest needs at least one instruction', file)]);
  return looksLikeSource(file, bytes) ? fromSource(request, new TextDecoder().decode(bytes)) : fromImage(request);
}

/** Source by its extension, or a text without one; everything else is an image. */
function looksLikeSource(file: string, bytes: Uint8Array): boolean {
  const name = file.toLowerCase();
  if (ASSEMBLY_EXTENSIONS.some((e) => name.endsWith(e))) return true;
  if (/\.(bin|img|elf|com|iso|rom|o|sys)$/.test(name) || isElf(bytes)) return false;
  const head = bytes.subarray(0, 4096);
  return head.every((b) => b >= 0x20 || b === 0x09 || b === 0x0a || b === 0x0d);
}

const isElf = (b: Uint8Array): boolean => b[0] === 0x7f && b[1] === 0x45 && b[2] === 0x4c && b[3] === 0x46;
const hasBootSignature = (b: Uint8Array): boolean => b[510] === 0x55 && b[511] === 0xaa;

function fromImage(request: ProgramRequest): Result<Program, readonly Diagnostic[]> {
  const { file, bytes } = request;
  const settings = settle(request.options);
  const start = settleStart(settings.start, bytes, undefined, file);
  if (!start.ok) return start;
  const files = readHanded(request, settings);
  if (!files.ok) return files;
  const origin = ORIGIN[start.value];
  const source = isElf(bytes) ? elfSource(bytes, file) : undefined;
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
  const common = { fileName: file, ...(request.readFile ? { readFile: request.readFile } : {}) };
  const builtin = assemble(source, common);
  // A source for GNU as speaks to the debugger in its own comments.
  const inGnuComments = readDirectives(gasDirectives(source, file));
  const isGnu = settle(inGnuComments.options, request.options).assembler === 'gas';
  const directives = isGnu ? inGnuComments : readDirectives(builtin.directives);
  const settings = settle(directives.options, request.options);
  const installed = settings.assembler === 'builtin' ? undefined : request[settings.assembler];
  if (settings.assembler !== 'builtin' && installed === undefined) {
    const message = `\`assembler=${settings.assembler}\`: there is no ${settings.assembler === 'gas' ? 'GNU as' : 'nasm'} that can be run here; use builtin`;
    return err([sessionError('notBuiltYet', message, file)]);
  }
  const assembleAt = (origin: bigint): Assembled =>
    installed ? installed(source, origin) : assemble(source, { ...common, origin });
  const first = installed ? assembleAt(0n) : builtin;
  const errorsOf = (list: readonly Diagnostic[]): readonly Diagnostic[] => list.filter((d) => d.severity === 'error');
  const errors = errorsOf([...first.diagnostics, ...directives.diagnostics]);
  if (errors.length > 0) return err(errors);

  const start = settleStart(settings.start, first.image, first.firstInstructionBits, file);
  if (!start.ok) return start;
  const files = readHanded(request, settings);
  if (!files.ok) return files;
  const final = first.hasOrg ? first : assembleAt(ORIGIN[start.value]);
  const failed = errorsOf(final.diagnostics);
  if (failed.length > 0) return err(failed);
  if (final.image.length === 0)
    return err([
      sessionError('emptyFile', 'the file assembles to nothing; a guest needs at least one instruction', file),
    ]);
  if (start.value === 'boot' && final.origin !== ORIGIN.boot) {
    return err([
      sessionError(
        'badStart',
        `a boot sector is loaded at 0x7c00, but the file says \`org 0x${final.origin.toString(16)}\`; write \`org 0x7c00\`, or leave it out`,
        file,
      ),
    ]);
  }
  const symbols = symbolTable(final);
  const astray = directives.events.filter((e) => symbols.codeAt(e.span.file, e.span.start.line) === undefined);
  if (astray.length > 0)
    return err(
      astray.map((e) =>
        sessionError(
          'badPlace',
          `\`@host ${e.text}\`: there is no instruction on this line or behind it`,
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
    image: final.image,
    origin: final.origin,
    entry: entry ?? final.origin,
    bss: final.bss,
    files: files.value,
    symbols,
    directives,
    diagnostics: [...final.diagnostics, ...directives.diagnostics],
  });
}

/** `auto`: Multiboot and ELF by their magic; 55 AA at byte 510: boot; else by the mode of the first instruction; a raw image: flat16. */
function settleStart(
  wanted: Settings['start'],
  image: Uint8Array,
  bits: 16 | 32 | 64 | undefined,
  file: string,
): Result<SettledStart, readonly Diagnostic[]> {
  const bad = (message: string): Result<SettledStart, readonly Diagnostic[]> =>
    err([sessionError('badStart', message, file)]);
  switch (wanted) {
    case 'auto':
      // most Multiboot kernels are ELF files too
      if (hasMultibootHeader(image)) return ok('multiboot');
      if (isElf(image)) return ok('elf');
      if (hasBootSignature(image)) return ok('boot');
      return ok(bits === 64 ? 'flat64' : bits === 32 ? 'flat32' : 'flat16');
    case 'boot':
      return hasBootSignature(image)
        ? ok('boot')
        : bad(
            '`start=boot`, but bytes 510 and 511 of the image are not 55 AA; end the sector with `times 510-($-$$) db 0` and `dw 0xaa55`',
          );
    case 'elf':
      return isElf(image) ? ok('elf') : bad('`start=elf`, but the file does not begin with the ELF magic 7F 45 4C 46');
    case 'flat16':
    case 'flat32':
    case 'flat64':
      return isElf(image) ? bad(`\`start=${wanted}\`, but the file is an ELF file; use start=elf`) : ok(wanted);
    case 'multiboot':
      return hasMultibootHeader(image)
        ? ok('multiboot')
        : bad('`start=multiboot`, but the first 8 KiB of the image hold no Multiboot 1 header (magic 0x1badb002)');
    case 'reset':
      return ok('reset');
  }
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
  }));
  return new SymbolTable(labels, constants, lines, a.origin + BigInt(a.image.length + a.bss));
}
