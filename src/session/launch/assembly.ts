/**
 * From a guest's source to its bytes at their place. The run and the language server both come through here, so that what the editor shows
 * as you type (diagnostics, addresses) is what the run will have.
 */
import { gasDirectives } from '../../asm/gas-output';
import { isGnuFile } from '../../asm/gas-source';
import { assemble, fileBeside, leadingDirectives } from '../../asm/index';
import type { AssembleOptions, Assembled } from '../../asm/index';
import type { Diagnostic } from '../../base/diagnostic';
import type { Result } from '../../base/result';
import { err } from '../../base/result';
import { sessionError } from '../diagnostics';
import type { GuestDirectives } from './guest-directives';
import { readDirectives } from './guest-directives';
import type { OptionTexts, Settings } from './options';
import { parseDefine, settle } from './options';
import type { SettledStart } from './start';
import { ORIGIN, settleStart } from './start';

/** What an assembler is given beside the source: `nasm -D`, `-I` and `-w`. */
export type Given = Required<Pick<AssembleOptions, 'defines' | 'includePath' | 'warnings'>>;

/** An assembler that is installed, for one source file. */
export type InstalledAssembler = (source: string, origin: bigint, given: Given) => Assembled;

export interface SourceRequest {
  /** The guest's path as errors and source locations shall show it. */
  readonly file: string;
  /** What the launch configuration or the command line says; overrides the file's own `@guest`. Folders of `include` as `readFile` takes them. */
  readonly options: OptionTexts;
  /** Files named by %include and incbin. */
  readonly readFile?: AssembleOptions['readFile'];
  /** Where %include and incbin look first after the main file's folder, as nasm does in the folder that it is started in; '' is that of the process. */
  readonly currentFolders?: readonly string[];
  /** For `assembler=nasm`; absent where there is none to run. */
  readonly nasm?: InstalledAssembler;
  /** The same for `assembler=gas`. */
  readonly gas?: InstalledAssembler;
}

export interface AssembledGuest {
  /** At the origin of its start, where that is settled and the file says nothing else. */
  readonly assembled: Assembled;
  readonly directives: GuestDirectives;
  readonly settings: Settings;
  readonly start: Result<SettledStart, readonly Diagnostic[]>;
}

/** The macros and folders that a guest's own `@guest` line and the options around it give to the assembler. */
export function givenTo(
  file: string,
  guest: OptionTexts,
  options: OptionTexts,
  currentFolders: readonly string[] = [],
): Given {
  const texts = [guest, options].flatMap((set) => set.get('define') ?? []);
  const defines = texts.map(parseDefine).filter((each) => each !== undefined);
  const own = (guest.get('include') ?? []).map((folder) => folderBeside(folder, file));
  return {
    defines: Object.fromEntries(defines),
    includePath: [...currentFolders, ...(options.get('include') ?? []), ...own],
    warnings: [guest, options].flatMap((set) => set.get('warning') ?? []),
  };
}

/** A folder named by a path that counts from where `file` lies, as the guest's reader is asked for what is in it. */
export const folderBeside = (folder: string, file: string): string =>
  fileBeside(`${folder.replace(/[\\/]+$/, '')}/`, file);

/** Assembles a guest and settles how it starts. What is wrong is in the diagnostics of the parts. */
export function assembleGuest(source: string, request: SourceRequest): AssembledGuest {
  const { options } = request;
  const gnu = gnuDirectives(source, request);
  if (gnu) {
    const settings: Settings = { ...settle(gnu.options, options), assembler: 'gas' };
    return byInstalled(source, request, { directives: gnu, settings });
  }
  const builtin = assembleBuiltin(source, request);
  if (builtin.settings.assembler !== 'builtin') return byInstalled(source, request, builtin);
  if (builtin.assembled.ok || !isGnuFile(source, request.file)) return builtin;
  const message = 'this source is in the syntax of GNU as; use `assembler=gas`, or write it in NASM syntax';
  return { ...builtin, assembled: NOTHING, start: err([sessionError('badValue', message, request.file)]) };
}

/**
 * Of a source for GNU as, which speaks to the debugger in its own comments, what they say; undefined for any other. `assembler=gas` makes
 * it one, or, where nobody chooses, its syntax.
 */
export function gnuDirectives(
  source: string,
  { file, options }: Pick<SourceRequest, 'file' | 'options'>,
): GuestDirectives | undefined {
  const recognized = isGnuFile(source, file);
  if (options.get('assembler')?.at(-1) !== 'gas' && !source.includes('assembler=gas') && !recognized) return undefined;
  const directives = readDirectives(gasDirectives(source, file), file);
  const isChosen = options.has('assembler') || directives.options.has('assembler');
  if (!isChosen) return recognized ? directives : undefined;
  return settle(directives.options, options).assembler === 'gas' ? directives : undefined;
}

/** With the built-in assembler, whoever is asked for. */
export function assembleBuiltin(
  source: string,
  { file, options, readFile, currentFolders }: SourceRequest,
): AssembledGuest {
  const own = readDirectives(leadingDirectives(source, file), file);
  const settled = (directives: GuestDirectives, found: Pick<Assembled, 'image' | 'firstInstructionBits'>) => {
    const settings = settle(directives.options, options);
    const start = settleStart(settings.start, found.image, found.firstInstructionBits, file);
    return { directives, settings, start };
  };
  const assembled = assemble(source, {
    fileName: file,
    ...(readFile ? { readFile } : {}),
    ...givenTo(file, own.options, options, currentFolders),
    origin: (found) => {
      const { settings, start } = settled(readDirectives(found.directives, file), found);
      return originOf(settings, start);
    },
  });
  return { assembled, ...settled(readDirectives(assembled.directives, file), assembled) };
}

/** Of a start that the image is not ready for, the one that was asked for. */
function originOf(settings: Settings, start: AssembledGuest['start']): bigint {
  if (start.ok) return ORIGIN[start.value];
  return settings.start === 'auto' ? 0n : ORIGIN[settings.start];
}

function byInstalled(
  source: string,
  request: SourceRequest,
  { directives, settings }: Pick<AssembledGuest, 'directives' | 'settings'>,
): AssembledGuest {
  const { file } = request;
  const name = settings.assembler === 'gas' ? 'gas' : 'nasm';
  const installed = request[name];
  const failed = (assembled: Assembled, errors: readonly Diagnostic[]): AssembledGuest => ({
    assembled,
    directives,
    settings,
    start: err(errors),
  });
  if (installed === undefined) {
    const message =
      name === 'gas'
        ? 'this source is for GNU as, which cannot be run here; install GNU binutils, or write it in NASM syntax'
        : '`assembler=nasm`: there is no nasm that can be run here; use builtin';
    return failed(NOTHING, [sessionError('notBuiltYet', message, file)]);
  }
  const given = givenTo(file, directives.options, request.options, request.currentFolders);
  const first = installed(source, 0n, given);
  if (!first.ok) return failed(first, []);
  const start = settleStart(settings.start, first.image, first.firstInstructionBits, file);
  const assembled = start.ok && !first.hasOrg ? installed(source, ORIGIN[start.value], given) : first;
  return { assembled, directives, settings, start };
}

/** No assembler has seen the source. */
export const NOTHING: Assembled = {
  ok: false,
  image: new Uint8Array(0),
  origin: 0n,
  hasOrg: false,
  firstInstructionBits: undefined,
  bss: 0,
  symbols: [],
  lines: [],
  directives: [],
  diagnostics: [],
};
