/** Reading ELF files (System V ABI, chapters 4 and 5): sections, what is loaded where, symbols. Both classes, little-endian. */
export interface ElfSection {
  readonly name: string;
  readonly type: number;
  readonly flags: number;
  readonly address: bigint;
  readonly offset: number;
  readonly size: number;
  readonly link: number;
}

export interface ElfSymbol {
  readonly name: string;
  readonly value: bigint;
  /** Section number; 0xfff1 for absolute values, 0 for undefined ones. */
  readonly section: number;
  /** 0 none, 1 object, 2 function, 3 section, 4 file. */
  readonly type: number;
}

export interface ElfFile {
  readonly bytes: Uint8Array;
  readonly sections: readonly ElfSection[];
  readonly symbols: readonly ElfSymbol[];
  readonly entry: bigint;
}

const SHT_SYMTAB = 2;
export const SHT_NOBITS = 8;
export const SHF_ALLOC = 2;

/** Undefined if the bytes are not a readable ELF file; tables that extend past its end are omitted. */
export function readElf(bytes: Uint8Array): ElfFile | undefined {
  const isElf =
    bytes.length >= 52 &&
    bytes[0] === 0x7f &&
    bytes[1] === 0x45 &&
    bytes[2] === 0x4c &&
    bytes[3] === 0x46 &&
    bytes[5] === 1;
  if (!isElf) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const wide = bytes[4] === 2;
  if (wide && bytes.length < 64) return undefined;
  const word = (at: number): number => (wide ? Number(view.getBigUint64(at, true)) : view.getUint32(at, true));
  const address = (at: number): bigint => (wide ? view.getBigUint64(at, true) : BigInt(view.getUint32(at, true)));
  const table = word(wide ? 0x28 : 0x20);
  const size = wide ? 64 : 40;
  const count = view.getUint16(wide ? 0x3c : 0x30, true);
  const names = view.getUint16(wide ? 0x3e : 0x32, true);
  if (table + count * size > bytes.length) return { bytes, sections: [], symbols: [], entry: address(0x18) };
  const raw = Array.from({ length: count }, (_, i) => {
    const at = table + i * size;
    return wide
      ? {
          name: view.getUint32(at, true),
          type: view.getUint32(at + 4, true),
          flags: word(at + 8),
          address: address(at + 0x10),
          offset: word(at + 0x18),
          size: word(at + 0x20),
          link: view.getUint32(at + 0x28, true),
        }
      : {
          name: view.getUint32(at, true),
          type: view.getUint32(at + 4, true),
          flags: word(at + 8),
          address: address(at + 12),
          offset: word(at + 16),
          size: word(at + 20),
          link: view.getUint32(at + 24, true),
        };
  });
  const inFile = raw.map((s) => (s.type === SHT_NOBITS || s.offset + s.size <= bytes.length ? s : { ...s, size: 0 }));
  const sections = inFile.map((s): ElfSection => ({
    ...s,
    name: textAt(bytes, (inFile[names]?.offset ?? bytes.length) + s.name),
  }));
  return { bytes, sections, symbols: symbolsOf(bytes, view, wide, sections), entry: address(0x18) };
}

/** The zero-terminated text at an offset. */
export function textAt(bytes: Uint8Array, from: number): string {
  let out = '';
  for (let i = from; i < bytes.length && bytes[i] !== 0; i++) out += String.fromCharCode(bytes[i] ?? 0);
  return out;
}

function symbolsOf(bytes: Uint8Array, view: DataView, wide: boolean, sections: readonly ElfSection[]): ElfSymbol[] {
  const table = sections.find((s) => s.type === SHT_SYMTAB);
  const strings = table && sections[table.link];
  if (!table || !strings) return [];
  const size = wide ? 24 : 16;
  return Array.from({ length: Math.floor(table.size / size) }, (_, i): ElfSymbol => {
    const at = table.offset + i * size;
    const name = textAt(bytes, strings.offset + view.getUint32(at, true));
    const info = view.getUint8(at + (wide ? 4 : 12));
    return {
      name,
      type: info & 15,
      section: view.getUint16(at + (wide ? 6 : 14), true),
      value: wide ? view.getBigUint64(at + 8, true) : BigInt(view.getUint32(at + 4, true)),
    };
  });
}
