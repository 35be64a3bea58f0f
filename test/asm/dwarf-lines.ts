/** One row of a DWARF line table: an address and the source line whose code begins there. */
export interface LineRow {
  readonly address: bigint;
  readonly line: number;
}

interface Section {
  readonly name: string;
  readonly offset: number;
  readonly size: number;
}

/** The sections of a 64-bit little-endian ELF file (System V ABI, chapter 4). */
function sectionsOf(file: DataView): Section[] {
  const table = Number(file.getBigUint64(0x28, true));
  const entrySize = file.getUint16(0x3a, true);
  const names = file.getUint16(0x3e, true);
  const at = (i: number): { name: number; offset: number; size: number } => {
    const header = table + i * entrySize;
    return { name: file.getUint32(header, true), offset: Number(file.getBigUint64(header + 0x18, true)), size: Number(file.getBigUint64(header + 0x20, true)) };
  };
  const strings = at(names).offset;
  const text = (from: number): string => {
    let out = '';
    for (let i = from; file.getUint8(i) !== 0; i++) out += String.fromCharCode(file.getUint8(i));
    return out;
  };
  return Array.from({ length: file.getUint16(0x3c, true) }, (_, i) => ({ ...at(i), name: text(strings + at(i).name) }));
}

/** The rows of every sequence in `.debug_line` (DWARF 3, 6.2), without the rows that end a sequence. */
export function dwarfLines(elf: Uint8Array): LineRow[] {
  const file = new DataView(elf.buffer, elf.byteOffset, elf.byteLength);
  const section = sectionsOf(file).find((s) => s.name === '.debug_line');
  if (!section) return [];
  const rows: LineRow[] = [];
  let at = section.offset;
  const byte = (): number => file.getUint8(at++);
  const leb = (signed: boolean): number => {
    let value = 0;
    for (let shift = 0; ; ) {
      const b = byte();
      value += (b & 0x7f) * 2 ** shift;
      shift += 7;
      if (b < 0x80) return signed && (b & 0x40) !== 0 ? value - 2 ** shift : value;
    }
  };
  while (at < section.offset + section.size) {
    const unitEnd = at + 4 + file.getUint32(at, true);
    const programAt = at + 10 + file.getUint32(at + 6, true);
    const minimum = file.getUint8(at + 10);
    const lineBase = file.getInt8(at + 12);
    const lineRange = file.getUint8(at + 13);
    const opcodeBase = file.getUint8(at + 14);
    const lengths = Array.from({ length: opcodeBase - 1 }, (_, i) => file.getUint8(at + 15 + i));
    let address = 0n;
    let line = 1;
    for (at = programAt; at < unitEnd; ) {
      const opcode = byte();
      if (opcode >= opcodeBase) {
        address += BigInt(Math.floor((opcode - opcodeBase) / lineRange) * minimum);
        line += lineBase + ((opcode - opcodeBase) % lineRange);
        rows.push({ address, line });
      } else if (opcode === 0) {
        const end = leb(false) + at;
        const kind = byte();
        if (kind === 1) [address, line] = [0n, 1];
        else if (kind === 2) address = file.getBigUint64(at, true);
        at = end;
      } else if (opcode === 1) rows.push({ address, line });
      else if (opcode === 2) address += BigInt(leb(false) * minimum);
      else if (opcode === 3) line += leb(true);
      else if (opcode === 8) address += BigInt(Math.floor((255 - opcodeBase) / lineRange) * minimum);
      else if (opcode === 9) {
        address += BigInt(file.getUint16(at, true));
        at += 2;
      } else for (let i = 0; i < (lengths[opcode - 1] ?? 0); i++) leb(false);
    }
    at = unitEnd;
  }
  return rows;
}
