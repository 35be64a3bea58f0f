import type { DebugProtocol as Dap } from '@vscode/debugprotocol';
import { posix, win32 } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { EditedSources } from './edited';

/**
 * The client's conventions from `initialize`, and its edits of the sources. Ours: lines and columns from 1, absolute
 * paths, lines as they were assembled.
 */
export class ClientView {
  private fromLine = 1;
  private fromColumn = 1;
  private paths: 'path' | 'uri' = 'path';
  supportsInvalidatedEvent = false;
  supportsMemoryEvent = false;
  supportsVariableType = false;
  readonly edited = new EditedSources();

  initialize(args: Dap.InitializeRequestArguments): void {
    this.fromLine = args.linesStartAt1 === false ? 0 : 1;
    this.fromColumn = args.columnsStartAt1 === false ? 0 : 1;
    this.paths = args.pathFormat === 'uri' ? 'uri' : 'path';
    this.supportsInvalidatedEvent = args.supportsInvalidatedEvent === true;
    this.supportsMemoryEvent = args.supportsMemoryEvent === true;
    this.supportsVariableType = args.supportsVariableType === true;
  }

  /** Ours to the client's. */
  line(ours: number): number {
    return ours - 1 + this.fromLine;
  }
  /** Converts a line as assembled to the client's current line. */
  lineIn(file: string, ours: number): number {
    return this.line(this.edited.toCurrent(file, ours).line);
  }
  column(ours: number): number {
    return ours - 1 + this.fromColumn;
  }
  source(file: string): Dap.Source {
    return { name: baseName(file), path: this.paths === 'uri' ? pathToFileURL(file).href : file };
  }

  /** The client's to ours. */
  ourLine(line: number): number {
    return line - this.fromLine + 1;
  }
  /** Undefined: the line has changed since it was assembled. */
  ourLineIn(file: string, line: number): number | undefined {
    return this.edited.toAssembled(file, this.ourLine(line));
  }
  ourColumn(column: number): number {
    return column - this.fromColumn + 1;
  }
  ourPath(path: string): string {
    return this.paths === 'uri' && path.startsWith('file:') ? fileURLToPath(path) : path;
  }
}

const baseName = (file: string): string => (file.includes('\\') ? win32 : posix).basename(file);
