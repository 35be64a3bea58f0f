/** The files that options name beside the guest: a Multiboot module, firmware. */
import type { ReadFile } from '../../asm/index';
import type { Diagnostic } from '../../base/diagnostic';
import type { Result } from '../../base/result';
import { err, ok } from '../../base/result';
import { sessionError } from '../diagnostics';
import type { OptionTexts, Settings } from './options';

/** A file read for the guest, with the name that it was given by. */
export interface HandedFile {
  readonly name: string;
  readonly bytes: Uint8Array;
}

export interface HandedFiles {
  readonly module: HandedFile | undefined;
  readonly firmware: HandedFile | undefined;
}

/** Who reads files, by where they are named. */
export interface FileReaders {
  /** The guest's path. */
  readonly file: string;
  readonly options: OptionTexts;
  /** Named by the guest file: relative to it, and inside the workspace. */
  readonly readFile?: ReadFile | undefined;
  /** Named by the launch configuration or on the command line. */
  readonly readOption?: ((name: string) => Uint8Array | undefined) | undefined;
}

/** Reads `module` and `firmware`, where the settings name them. */
export function readHanded(readers: FileReaders, settings: Settings): Result<HandedFiles, readonly Diagnostic[]> {
  const diagnostics: Diagnostic[] = [];
  const read = (key: 'module' | 'firmware'): HandedFile | undefined => {
    const name = settings[key];
    if (name === undefined) return undefined;
    const bytes = readers.options.has(key)
      ? readers.readOption?.(name)
      : readers.readFile?.(name, readers.file, 'bytes');
    if (bytes === undefined)
      diagnostics.push(sessionError('badValue', `\`${key}\`: the file ${name} cannot be read`, readers.file));
    return bytes && { name, bytes };
  };
  const files = { module: read('module'), firmware: read('firmware') };
  return diagnostics.length > 0 ? err(diagnostics) : ok(files);
}
