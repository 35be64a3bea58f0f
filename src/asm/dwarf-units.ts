import { DwarfReader } from './dwarf-reader';
import type { ElfFile } from './elf';

/** DW_AT_stmt_list: where the unit's line table begins; DW_AT_comp_dir: the folder that it was compiled in. */
const STMT_LIST = 0x10;
const COMP_DIR = 0x1b;
const IMPLICIT_CONST = 0x21;

/** A section with more units is damaged. */
const MAX_UNITS = 100_000;

/**
 * The folders that units were compiled in, by the offset of their line table in `.debug_line`: relative names in line tables of versions 2
 * to 4 count from there (DWARF 4, 3.1.1 and 6.2.4).
 */
export function compileFolders(elf: ElfFile): ReadonlyMap<number, string> {
  const out = new Map<number, string>();
  const info = elf.sections.find((s) => s.name === '.debug_info');
  const abbreviations = elf.sections.find((s) => s.name === '.debug_abbrev');
  if (!info || !abbreviations) return out;
  let at = info.offset;
  for (let units = 0; units < MAX_UNITS && at + 11 < info.offset + info.size; units++) {
    const r = new DwarfReader(elf, at);
    try {
      const end = r.number(4) + r.at;
      const { table, folder } = rootOf(elf, r, abbreviations.offset);
      if (typeof table === 'number' && typeof folder === 'string') out.set(table, folder);
      at = end;
    } catch (e) {
      // a damaged unit: those after it cannot be found
      if (!(e instanceof RangeError)) throw e;
      break;
    }
  }
  return out;
}

/** The two attributes of a unit's root entry. @throws RangeError */
function rootOf(elf: ElfFile, r: DwarfReader, abbreviations: number): { table?: unknown; folder?: unknown } {
  const version = r.number(2);
  let addressSize = 0;
  let offset = 0;
  if (version >= 5) {
    const type = r.number(1);
    addressSize = r.number(1);
    offset = r.number(4);
    // type units have a signature and an offset here, skeletons an identifier
    if (type === 2 || type === 6) r.at += 12;
    else if (type === 4 || type === 5) r.at += 8;
  } else {
    offset = r.number(4);
    addressSize = r.number(1);
  }
  const code = r.leb(false);
  const found: { table?: unknown; folder?: unknown } = {};
  for (const [attribute, form] of attributesOf(elf, abbreviations + offset, code)) {
    const value = r.form(form, addressSize);
    if (attribute === STMT_LIST) found.table = value;
    else if (attribute === COMP_DIR) found.folder = value;
  }
  return found;
}

/** What an entry with this abbreviation code is made of. @throws RangeError */
function attributesOf(
  elf: ElfFile,
  from: number,
  code: number,
): readonly (readonly [attribute: number, form: number])[] {
  const r = new DwarfReader(elf, from);
  for (let at = r.leb(false); at !== 0; at = r.leb(false)) {
    r.leb(false);
    r.number(1);
    const list: (readonly [number, number])[] = [];
    for (;;) {
      const attribute = r.leb(false);
      const form = r.leb(false);
      if (form === IMPLICIT_CONST) r.leb(true);
      if (attribute === 0 && form === 0) break;
      list.push([attribute, form]);
    }
    if (at === code) return list;
  }
  return [];
}
