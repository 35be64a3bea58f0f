import type { DebugProtocol as Dap } from '@vscode/debugprotocol';
import { posix, win32 } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

/** How the client counts and spells, as it said in `initialize`. Ours: lines and columns from 1, absolute paths. */
export class ClientView {
  private fromLine = 1;
  private fromColumn = 1;
  private paths: 'path' | 'uri' = 'path';
  supportsInvalidatedEvent = false;
  supportsMemoryEvent = false;
  supportsVariableType = false;

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
  ourColumn(column: number): number {
    return column - this.fromColumn + 1;
  }
  ourPath(path: string): string {
    return this.paths === 'uri' && path.startsWith('file:') ? fileURLToPath(path) : path;
  }
}

const baseName = (file: string): string => (file.includes('\\') ? win32 : posix).basename(file);
