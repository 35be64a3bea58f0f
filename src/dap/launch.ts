/** From a launch request to a debug target: checks the configuration; reads, assembles and loads the guest. */
import type { DebugProtocol as Dap } from '@vscode/debugprotocol';
import type { Diagnostic } from '../base/diagnostic';
import type { Result } from '../base/result';
import { err, ok } from '../base/result';
import type { DebugTarget } from '../session/api';
import type { OutputFile } from '../session/launch/output-files';
import { openOutputs } from '../session/launch/output-files';
import type { OptionTexts, WrittenOption } from '../session/launch/options';
import { didYouMean } from '../base/nearest';
import { OPTION_KEYS, isOptionKey } from '../session/launch/option-table';
import { checkOptions } from '../session/launch/options';
import type { Program } from '../session/launch/program';
import { fileBeside } from '../asm/index';
import { isGnuFile } from '../asm/gas-source';
import { folderBeside } from '../session/launch/assembly';
import { expectedMethod, prepareProgram, sourceTooLong } from '../session/launch/program';
import { dapDiagnostic } from './errors';
import type { SourceText } from './edited';
import type { AdapterHost } from './host';

/** What errors about launch fields are located by. */
export const LAUNCH_CONFIGURATION = 'launch configuration';

/** A launch configuration as received: unchecked. */
export type LaunchFields = Dap.LaunchRequestArguments & Readonly<Record<string, unknown>>;

export interface Launched {
  readonly target: DebugTarget;
  readonly program: string;
  /** Warnings: fields that are not known, and the assembler's. */
  readonly diagnostics: readonly Diagnostic[];
  readonly stopOnEntry: boolean;
  readonly noDebug: boolean;
  /** Files that the launch configuration sends an output to, by channel. */
  readonly files: Map<OutputChannel, LaunchedFile>;
  /** The program's own name of one of its sources that a client has by another, through symbolic links. */
  readonly sameFiles: (file: string) => string | undefined;
  /** What the image was made of, by path. */
  readonly sources: ReadonlyMap<string, SourceText>;
}
export interface LaunchedFile {
  readonly file: OutputFile;
  readonly path: string;
}
export type OutputChannel = 'serial' | 'debugcon';

/**
 * Fields that belong to VS Code or to this adapter alone rather than to the table of options. VS Code passes the
 * whole configuration, including its own fields; names that begin with two underscores are private to it.
 */
const OTHER_FIELDS: ReadonlySet<string> = new Set([
  ...['program', 'stopOnEntry', 'noDebug', 'assemblerPath', 'workspaceFolders', 'secret'],
  ...['type', 'request', 'name', 'presentation', 'preLaunchTask', 'postDebugTask', 'internalConsoleOptions'],
  ...['debugServer', 'serverReadyAction', 'suppressMultipleSessionWarning', 'windows', 'linux', 'osx'],
]);

export function launch(fields: LaunchFields, host: AdapterHost): Result<Launched, readonly Diagnostic[]> {
  const checked = checkFields(fields);
  if (!checked.ok) return checked;
  const { program, stopOnEntry, noDebug, assemblerPath, workspaceFolders } = checked.value;
  const file = host.absolute(program);
  const read = host.readFile(file);
  if (!read.ok)
    return err([dapDiagnostic('unreadable', `field \`program\`: the file cannot be read: ${read.why}`, file)]);
  const options = new Map(checked.value.options);
  const include = options.get('include');
  if (include)
    options.set(
      'include',
      include.map((folder) => folderBeside(folder, file)),
    );
  const folders = workspaceFolders.length > 0 ? workspaceFolders : [host.folderOf(file)];
  const included = new Map<string, Uint8Array>();
  const prepared = prepareProgram({
    file,
    bytes: read.bytes,
    options,
    currentFolders: workspaceFolders,
    readFile: (name, from, use) => {
      const bytes = host.include(name, from, folders);
      if (bytes && use === 'text') included.set(fileBeside(name, from), bytes);
      return bytes;
    },
    readOption: (name) => {
      const named = host.readFile(host.absolute(name));
      return named.ok ? named.bytes : undefined;
    },
    ...(host.sourceFinder ? { locate: host.sourceFinder(file, workspaceFolders) } : {}),
    ...(host.nasm ? { nasm: host.nasm(file, assemblerPath) } : {}),
    ...(host.gas ? { gas: host.gas(file) } : {}),
  });
  if (!prepared.ok) return prepared;
  const target = host.createTarget(prepared.value);
  if (!target.ok) return target;
  target.value.run.stopAtDirectives(!noDebug);
  const files = openFiles(prepared.value, host);
  if (!files.ok) return files;
  const unasked =
    fields['secret'] === undefined || host.knowsSecret
      ? []
      : [warning('`secret`: this adapter asks for none; it was started without `--secret`')];
  const diagnostics = [...checked.value.warnings, ...unasked, ...prepared.value.diagnostics];
  const { image, symbols } = prepared.value;
  const texts = new Map(image === read.bytes ? [] : [[file, read.bytes] as const, ...included]);
  const sources = sourceTexts(texts, symbols.files, host);
  const sameFiles = namesOf([file, ...symbols.files], host);
  const launched = { target: target.value, program: file, diagnostics, stopOnEntry, noDebug, files: files.value };
  return ok({ ...launched, sameFiles, sources });
}

/** Finds, for any path, the one of `names` that is the same file. Their real paths are asked for once, when a path is none of them. */
function namesOf(names: readonly string[], host: AdapterHost): (file: string) => string | undefined {
  const own = new Set(names);
  let byRealPath: ReadonlyMap<string, string> | undefined;
  return (file) => {
    if (own.has(file)) return file;
    if (!host.realPath) return undefined;
    byRealPath ??= new Map([...own].reverse().map((name) => [host.realPath?.(name) ?? name, name]));
    return byRealPath.get(host.realPath(file));
  };
}

/** Sources of an image that others made (a compiler, an installed assembler) are read for their text; more of them than this are not. */
const MOST_READ = 256;

/** The texts of a program's sources: those that were assembled here, and, of what its line table names besides, what lies at those paths now. */
function sourceTexts(
  texts: ReadonlyMap<string, Uint8Array>,
  named: readonly string[],
  host: AdapterHost,
): ReadonlyMap<string, SourceText> {
  const others = named.filter((file) => !texts.has(file)).slice(0, MOST_READ);
  const read = others.flatMap((file): (readonly [string, Uint8Array])[] => {
    const found = host.readFile(file);
    return found.ok && !sourceTooLong(file, found.bytes) ? [[file, found.bytes]] : [];
  });
  return new Map(
    [...texts, ...read].map(([file, bytes]) => {
      const text = textOf(bytes);
      return [file, { text, isNasm: NASM_FILES.test(file) && !isGnuFile(text, file) }];
    }),
  );
}
const NASM_FILES = /\.(asm|nasm|inc|mac|s)$/i;

/** A source as an editor has it: without a byte order mark. */
export const textOf = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);

/** How the memory of the guest about to be launched will be virtualized; undefined if unknown. */
export function methodOf(fields: LaunchFields, host: AdapterHost): Program['settings']['mmu'] | undefined {
  const checked = checkFields(fields);
  if (!checked.ok) return undefined;
  const file = host.absolute(checked.value.program);
  const read = host.readFile(file);
  return read.ok ? expectedMethod({ file, bytes: read.bytes, options: checked.value.options }) : undefined;
}

interface CheckedFields {
  readonly program: string;
  readonly stopOnEntry: boolean;
  readonly noDebug: boolean;
  readonly assemblerPath: string | undefined;
  /** Where included files must lie: the extension names the open folders; otherwise it is the guest's own. */
  readonly workspaceFolders: readonly string[];
  readonly options: OptionTexts;
  readonly warnings: readonly Diagnostic[];
}

function checkFields(fields: LaunchFields): Result<CheckedFields, readonly Diagnostic[]> {
  const diagnostics: Diagnostic[] = [];
  const wrong = (code: 'noProgram' | 'wrongType', message: string): undefined => {
    diagnostics.push(dapDiagnostic(code, message, LAUNCH_CONFIGURATION));
    return undefined;
  };
  const text = (key: string): string | undefined => {
    const value = fields[key];
    return value === undefined || typeof value === 'string'
      ? value
      : wrong('wrongType', `field \`${key}\`: expected a string`);
  };
  const flag = (key: string): boolean => {
    const value = fields[key];
    if (value !== undefined && typeof value !== 'boolean')
      wrong('wrongType', `field \`${key}\`: expected true or false`);
    return value === true;
  };
  const program = text('program');
  if (!program && (fields['program'] === undefined || fields['program'] === '')) {
    wrong('noProgram', 'field `program` is missing: name the assembly file or image to run as a guest');
  }
  const [stopOnEntry, noDebug, assemblerPath] = [flag('stopOnEntry'), flag('noDebug'), text('assemblerPath')];
  const list: unknown = fields['workspaceFolders'] ?? [];
  const workspaceFolders = Array.isArray(list) ? list.filter((each) => typeof each === 'string') : [];
  const written: WrittenOption[] = Object.entries(fields)
    .filter(([key, value]) => !OTHER_FIELDS.has(key) && !key.startsWith('__') && value !== undefined)
    .map(([key, value]) => ({ key, value }));
  const known = written.filter(({ key }) => isOptionKey(key));
  const warnings = written.filter(({ key }) => !isOptionKey(key)).map(({ key }) => unknownField(key));
  const checked = checkOptions(known, 'launch', LAUNCH_CONFIGURATION);
  diagnostics.push(...checked.diagnostics);
  if (checked.options.has('trace')) {
    diagnostics.push(
      dapDiagnostic(
        'wrongType',
        'field `trace`: a trace is written by `pagewalk trace`; a debug session steps through it instead',
        LAUNCH_CONFIGURATION,
      ),
    );
  }
  if (diagnostics.length > 0 || !program) return err(diagnostics);
  return ok({ program, stopOnEntry, noDebug, assemblerPath, workspaceFolders, options: checked.options, warnings });
}

/** Fields that clients send to every adapter, or that those of other debuggers have. */
const OTHERS_FIELDS: ReadonlySet<string> = new Set(['cwd', 'args', 'env', 'envFile', 'console', 'host', 'port']);

/** An unknown field does not prevent a launch. */
function unknownField(key: string): Diagnostic {
  const what = OTHERS_FIELDS.has(key)
    ? `\`${key}\` has no meaning for a guest; it is ignored`
    : `there is no field \`${key}\`; it is ignored${didYouMean(key, [...OPTION_KEYS, 'program', 'stopOnEntry'])}`;
  return warning(what);
}

const warning = (message: string): Diagnostic => ({
  ...dapDiagnostic('unknownField', message, LAUNCH_CONFIGURATION),
  severity: 'warning',
});

/** `-` is the Debug Console, which gets everything that goes to no file. */
function openFiles(
  program: Program,
  host: AdapterHost,
): Result<Map<OutputChannel, LaunchedFile>, readonly Diagnostic[]> {
  const wanted = (['serial', 'debugcon'] as const).flatMap((channel) => {
    const path = program.settings[channel];
    return path === undefined || path === '-' ? [] : [[channel, host.absolute(path)] as const];
  });
  const opened = openOutputs(wanted, host.openOutput, (channel) => `field \`${channel}\``);
  if (opened.ok) {
    const paths = new Map(wanted);
    return ok(new Map([...opened.value].map(([channel, file]) => [channel, { file, path: paths.get(channel) ?? '' }])));
  }
  const { name, path, why } = opened.error;
  return err([dapDiagnostic('unwritable', `field \`${name}\`: the file cannot be written: ${why}`, path)]);
}
