import type { ElfFile, ElfSection } from './elf';
import { textAt } from './elf';

/** One row of a DWARF line table: from `address` up to the next row's the code belongs to that line. */
export interface DwarfRow {
  readonly address: bigint;
  readonly file: string;
  /** 1-based; 0 where no line is meant. */
  readonly line: number;
  /** Marks the first address behind a sequence. */
  readonly end: boolean;
}

/** Rows beyond this come from a damaged table. */
const MAX_ROWS = 2_000_000;

/** The rows of every sequence in `.debug_line`, DWARF versions 2 to 5 with 32-bit offsets (DWARF 5, 6.2). A damaged table ends where it is damaged. */
export function dwarfLines(elf: ElfFile): readonly DwarfRow[] {
  const section = elf.sections.find((s) => s.name === '.debug_line');
  if (!section) return [];
  const rows: DwarfRow[] = [];
  try {
    for (let at = section.offset; at + 4 < section.offset + section.size;) at = new LineProgram(elf, at).run(rows);
  } catch (e) {
    // Reading past the end of the file.
    if (!(e instanceof RangeError)) throw e;
  }
  return rows;
}

/** One unit's header and program. */
class LineProgram {
  private readonly view: DataView;
  private at: number;
  private address = 0n;
  private file = 1;
  private line = 1;

  constructor(
    private readonly elf: ElfFile,
    private readonly start: number,
  ) {
    const { buffer, byteOffset, byteLength } = elf.bytes;
    this.view = new DataView(buffer, byteOffset, byteLength);
    this.at = start;
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

  /** Versions 2 to 4: folders, then names with the number of their folder, each list ending in an empty name. */
  private files2(): string[] {
    const folders: string[] = [];
    for (let s = this.text(); s !== ''; s = this.text()) folders.push(s);
    const files: string[] = [];
    for (let s = this.text(); s !== ''; s = this.text()) {
      const folder = folders[this.leb(false) - 1];
      this.leb(false);
      this.leb(false);
      files.push(joined(folder, s));
    }
    return files;
  }

  /** Version 5: both lists say what each entry is made of. */
  private files5(): string[] {
    const folders = this.entries().map((e) => e.path);
    return this.entries().map((e) => joined(e.folder === 0 ? undefined : folders[e.folder], e.path));
  }

  private entries(): { path: string; folder: number }[] {
    const format = Array.from({ length: this.number(1) }, () => [this.leb(false), this.leb(false)] as const);
    return Array.from({ length: Math.min(this.leb(false), 100_000) }, () => {
      let path = '';
      let folder = 0;
      for (const [content, form] of format) {
        const value = this.form(form);
        if (content === 1) path = String(value);
        else if (content === 2) folder = Number(value);
      }
      return { path, folder };
    });
  }

  /** A value by its form (DWARF 5, 7.5.6): those that file tables use. */
  private form(form: number): string | number {
    switch (form) {
      case 0x08:
        return this.text();
      case 0x1f:
        return this.stringIn('.debug_line_str');
      case 0x0e:
        return this.stringIn('.debug_str');
      case 0x0b:
        return this.number(1);
      case 0x05:
        return this.number(2);
      case 0x0f:
        return this.leb(false);
      case 0x1e:
        this.at += 16;
        return 0;
      default:
        throw new RangeError(`form ${form}`);
    }
  }

  private stringIn(section: string): string {
    const s: ElfSection | undefined = this.elf.sections.find((each) => each.name === section);
    const offset = this.number(4);
    return s ? textAt(this.elf.bytes, s.offset + offset) : '';
  }

  private text(): string {
    const s = textAt(this.elf.bytes, this.at);
    this.at += s.length + 1;
    if (this.at > this.elf.bytes.length) throw new RangeError('past the end');
    return s;
  }

  private number(size: 1 | 2 | 4): number {
    const at = this.at;
    this.at += size;
    return size === 1
      ? this.view.getUint8(at)
      : size === 2
        ? this.view.getUint16(at, true)
        : this.view.getUint32(at, true);
  }

  private leb(signed: boolean): number {
    let value = 0;
    for (let shift = 0; ;) {
      const b = this.number(1);
      value += (b & 0x7f) * 2 ** shift;
      shift += 7;
      if (b < 0x80) return signed && (b & 0x40) !== 0 ? value - 2 ** shift : value;
    }
  }
}

const joined = (folder: string | undefined, name: string): string =>
  folder === undefined || name.startsWith('/') ? name : `${folder}/${name}`;
