import type { ElfFile, ElfSection } from './elf';
import { textAt } from './elf';

/** Reads the values that DWARF sections are made of, 32-bit format, little-endian (DWARF 5, 7.4 to 7.6). Past the end of the file it throws RangeError. */
export class DwarfReader {
  protected readonly view: DataView;

  constructor(
    protected readonly elf: ElfFile,
    public at: number,
  ) {
    const { buffer, byteOffset, byteLength } = elf.bytes;
    this.view = new DataView(buffer, byteOffset, byteLength);
  }

  number(size: 1 | 2 | 4): number {
    const { at } = this;
    this.at += size;
    return size === 1
      ? this.view.getUint8(at)
      : size === 2
        ? this.view.getUint16(at, true)
        : this.view.getUint32(at, true);
  }

  leb(signed: boolean): number {
    let value = 0;
    for (let shift = 0; ;) {
      const b = this.number(1);
      value += (b & 0x7f) * 2 ** shift;
      shift += 7;
      if (b < 0x80) return signed && (b & 0x40) !== 0 ? value - 2 ** shift : value;
    }
  }

  text(): string {
    const s = textAt(this.elf.bytes, this.at);
    this.at += s.length + 1;
    if (this.at > this.elf.bytes.length) throw new RangeError('past the end');
    return s;
  }

  /**
   * A value by its form (DWARF 5, 7.5.6); of those that are neither a number of at most 32 bits nor a text of this file, 0.
   * @param addressSize bytes of an address in this unit
   */
  form(form: number, addressSize: number): string | number {
    switch (form) {
      case 0x08:
        return this.text();
      case 0x1f:
        return this.stringIn('.debug_line_str');
      case 0x0e:
        return this.stringIn('.debug_str');
      case 0x0d:
        return this.leb(true);
      case 0x0f:
      case 0x15:
      case 0x1a:
      case 0x1b:
      case 0x22:
      case 0x23:
        return this.leb(false);
      case 0x03:
        return this.skip(this.number(2));
      case 0x04:
        return this.skip(this.number(4));
      case 0x09:
      case 0x18:
        return this.skip(this.leb(false));
      case 0x0a:
        return this.skip(this.number(1));
      case 0x01:
        return this.skip(addressSize);
      case 0x16:
        return this.form(this.leb(false), addressSize);
      case 0x05:
        return this.number(2);
      case 0x06:
      case 0x17:
        return this.number(4);
      case 0x0b:
        return this.number(1);
      default: {
        const size = FIXED_FORMS[form];
        if (size === undefined) throw new RangeError(`form ${form}`);
        return this.skip(size);
      }
    }
  }

  private skip(bytes: number): 0 {
    this.at += bytes;
    if (this.at > this.elf.bytes.length) throw new RangeError('past the end');
    return 0;
  }

  private stringIn(section: string): string {
    const s: ElfSection | undefined = this.elf.sections.find((each) => each.name === section);
    const offset = this.number(4);
    return s ? textAt(this.elf.bytes, s.offset + offset) : '';
  }
}

/** Bytes of the forms that are passed over. */
const FIXED_FORMS: Readonly<Record<number, number>> = {
  ...{ 0x07: 8, 0x0c: 1, 0x10: 4, 0x11: 1, 0x12: 2, 0x13: 4, 0x14: 8, 0x19: 0, 0x1c: 4, 0x1d: 4, 0x1e: 16, 0x20: 8 },
  ...{ 0x21: 0, 0x25: 1, 0x26: 2, 0x27: 3, 0x28: 4, 0x29: 1, 0x2a: 2, 0x2b: 3, 0x2c: 4 },
};
