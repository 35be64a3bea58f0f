import type { Result } from '../../base/result';
import { err, ok } from '../../base/result';

/** What a loadable segment puts into guest RAM. */
export interface ElfSegment {
  readonly gpa: bigint;
  readonly bytes: Uint8Array;
  /** Bytes in memory; those after `bytes` are zero. */
  readonly memorySize: bigint;
}
export interface Elf {
  readonly bits: 32 | 64;
  readonly entry: bigint;
  readonly segments: readonly ElfSegment[];
}

const PT_LOAD = 1;
const ET_EXEC = 2;
const EM_386 = 3;
const EM_X86_64 = 62;

/** The ELF header's layout by class (System V ABI, 4.1 and 5.1): offsets and sizes of the fields we read. */
const LAYOUT = {
  32: {
    header: 52,
    entry: 24,
    phoff: 28,
    phentsize: 42,
    phnum: 44,
    word: 4,
    ph: { size: 32, offset: 4, vaddr: 8, paddr: 12, filesz: 16, memsz: 20 },
  },
  64: {
    header: 64,
    entry: 24,
    phoff: 32,
    phentsize: 54,
    phnum: 56,
    word: 8,
    ph: { size: 56, offset: 8, vaddr: 16, paddr: 24, filesz: 32, memsz: 40 },
  },
} as const;

/** Whether the bytes start like an ELF file. */
export const isElf = (b: Uint8Array): boolean =>
  b.length >= 4 && b[0] === 0x7f && b[1] === 0x45 && b[2] === 0x4c && b[3] === 0x46;

/**
 * Reads a static executable for x86. Every offset in the file is checked; the error explains what is wrong. Segments
 * are placed by their physical addresses.
 */
export function parseElf(file: Uint8Array): Result<Elf, string> {
  if (!isElf(file) || file.length < 52) return err('not an ELF file, or one that ends inside its header');
  const bits = file[4] === 1 ? 32 : file[4] === 2 ? 64 : undefined;
  if (bits === undefined) return err(`ELF class ${file[4]} is neither 32 nor 64 bits`);
  if (file[5] !== 1) return err('a big-endian ELF file is not for x86');
  const l = LAYOUT[bits];
  if (file.length < l.header) return err('the file ends inside its ELF header');
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  const word = (at: number): bigint => (bits === 64 ? view.getBigUint64(at, true) : BigInt(view.getUint32(at, true)));
  const machine = view.getUint16(18, true);
  if (machine !== (bits === 64 ? EM_X86_64 : EM_386)) return err(`ELF machine ${machine} is not x86`);
  if (view.getUint16(16, true) !== ET_EXEC)
    return err('only statically linked executables (ET_EXEC) can be loaded; link with -static -no-pie');
  const phoff = word(l.phoff);
  const phnum = view.getUint16(l.phnum, true);
  const phentsize = view.getUint16(l.phentsize, true);
  if (phnum === 0) return err('the ELF file has no program headers: nothing to load');
  if (phentsize < l.ph.size) return err(`program headers of ${phentsize} bytes are too short`);
  if (phoff + BigInt(phnum * phentsize) > BigInt(file.length)) return err('the program headers lie outside the file');
  const segments: ElfSegment[] = [];
  for (let i = 0; i < phnum; i++) {
    const at = Number(phoff) + i * phentsize;
    if (view.getUint32(at, true) !== PT_LOAD) continue;
    const offset = word(at + l.ph.offset);
    const fileSize = word(at + l.ph.filesz);
    const memorySize = word(at + l.ph.memsz);
    if (offset + fileSize > BigInt(file.length)) return err(`segment ${i} lies outside the file`);
    if (fileSize > memorySize) return err(`segment ${i} is larger in the file than in memory`);
    if (memorySize > 0n)
      segments.push({
        gpa: word(at + l.ph.paddr),
        bytes: file.subarray(Number(offset), Number(offset + fileSize)),
        memorySize,
      });
  }
  if (segments.length === 0) return err('the ELF file has no loadable segment');
  return ok({ bits, entry: word(l.entry), segments });
}
