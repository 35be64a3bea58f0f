import { DwarfReader } from './dwarf-reader';
import { compileFolders } from './dwarf-units';
import type { ElfFile } from './elf';
import { fileBeside, insideOf } from './included';

/** One row of a DWARF line table: from `address` up to the next row's the code belongs to that line. */
export interface DwarfRow {
  readonly address: bigint;
  readonly file: string;
  /** 1-based; 0: no line. */
  readonly line: number;
  /** Marks the first address after a sequence. */
  readonly end: boolean;
}

/** A table with more rows is damaged. */
const MAX_ROWS = 2_000_000;

/** The rows of every sequence in `.debug_line`, DWARF versions 2 to 5 with 32-bit offsets (DWARF 5, 6.2). A damaged table ends where it is damaged. */
export function dwarfLines(elf: ElfFile): readonly DwarfRow[] {
  const section = elf.sections.find((s) => s.name === '.debug_line');
  if (!section) return [];
  const rows: DwarfRow[] = [];
  const folders = compileFolders(elf);
  try {
    for (let at = section.offset; at + 4 < section.offset + section.size;)
      at = new LineProgram(elf, at, folders.get(at - section.offset)).run(rows);
  } catch (e) {
    // read past the end of the file
    if (!(e instanceof RangeError)) throw e;
  }
  return rows;
}

/** One unit's header and program. */
class LineProgram extends DwarfReader {
  private address = 0n;
  private file = 1;
  private line = 1;

  /** @param folder where the unit was compiled, if its own entry says so */
  constructor(
    elf: ElfFile,
    private readonly start: number,
    private readonly folder: string | undefined,
  ) {
    super(elf, start);
  }

  /** Appends the rows. @returns where the next unit begins @throws RangeError */
  run(rows: DwarfRow[]): number {
    const unitEnd = this.start + 4 + this.number(4);
    const version = this.number(2);
    if (version >= 5) this.at += 2;
    const headerLength = this.number(4);
    const program = this.at + headerLength;
    const minimum = this.number(1);
    if (version >= 4) this.at++;
    this.at++;
    const lineBase = this.view.getInt8(this.at++);
    const lineRange = this.number(1);
    const opcodeBase = this.number(1);
    if (lineRange === 0 || opcodeBase === 0) return unitEnd;
    const lengths = Array.from({ length: opcodeBase - 1 }, () => this.number(1));
    const files = version >= 5 ? this.files5() : this.files2();
    const name = (): string => files[version >= 5 ? this.file : this.file - 1] ?? '';
    const push = (end = false): void => {
      if (rows.length < MAX_ROWS) rows.push({ address: this.address, file: name(), line: this.line, end });
    };
    const advance = (by: number): void => {
      this.address += BigInt(by * minimum);
    };
    for (this.at = program; this.at < unitEnd;) {
      const opcode = this.number(1);
      if (opcode >= opcodeBase) {
        advance(Math.floor((opcode - opcodeBase) / lineRange));
        this.line += lineBase + ((opcode - opcodeBase) % lineRange);
        push();
      } else if (opcode === 0) this.extended(push);
      else if (opcode === 1) push();
      else if (opcode === 2) advance(this.leb(false));
      else if (opcode === 3) this.line += this.leb(true);
      else if (opcode === 4) this.file = this.leb(false);
      else if (opcode === 8) advance(Math.floor((255 - opcodeBase) / lineRange));
      else if (opcode === 9) this.address += BigInt(this.number(2));
      else for (let i = 0; i < (lengths[opcode - 1] ?? 0); i++) this.leb(false);
    }
    return unitEnd;
  }

  private extended(push: (end: boolean) => void): void {
    const length = this.leb(false);
    const end = this.at + length;
    const kind = this.number(1);
    if (kind === 1) {
      push(true);
      [this.address, this.file, this.line] = [0n, 1, 1];
    } else if (kind === 2) this.address = length === 9 ? this.view.getBigUint64(this.at, true) : BigInt(this.number(4));
    this.at = end;
  }

  /** Versions 2 to 4: folders from number 1 on (0 is where the unit was compiled), then names with the number of their folder, each list ending in an empty name. */
  private files2(): string[] {
    const folders: (string | undefined)[] = [this.folder];
    for (let s = this.text(); s !== ''; s = this.text()) folders.push(joined(this.folder, s));
    const files: string[] = [];
    for (let s = this.text(); s !== ''; s = this.text()) {
      const folder = folders[this.leb(false)];
      this.leb(false);
      this.leb(false);
      files.push(joined(folder, s));
    }
    return files;
  }

  /** Version 5: both lists say what each entry is made of, and folder 0 is where the unit was compiled. */
  private files5(): string[] {
    const [first, ...others] = this.entries().map((e) => e.path);
    const own = first === undefined || first === '' ? this.folder : joined(this.folder, first);
    const folders = [own, ...others.map((path) => joined(own, path))];
    return this.entries().map((e) => joined(folders[e.folder], e.path));
  }

  private entries(): { path: string; folder: number }[] {
    const format = Array.from({ length: this.number(1) }, () => [this.leb(false), this.leb(false)] as const);
    return Array.from({ length: Math.min(this.leb(false), 100_000) }, () => {
      let path = '';
      let folder = 0;
      for (const [content, form] of format) {
        const value = this.form(form, 8);
        if (content === 1) path = String(value);
        else if (content === 2) folder = Number(value);
      }
      return { path, folder };
    });
  }
}

/** A path below a folder that it may count from, without `.` and `..`. */
const joined = (folder: string | undefined, name: string): string =>
  folder === undefined || folder === '' ? name : fileBeside(name, insideOf(folder));
