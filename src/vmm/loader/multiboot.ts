import type { Result } from '../../base/result';
import { err, ok } from '../../base/result';
import { isElf, parseElf, type ElfSegment } from './elf';

const HEADER_MAGIC = 0x1bad_b002;
/** The header lies in the first 8 KiB, 4-byte aligned. */
const SEARCHED = 8192;
/** Flags 15:0 are requirements: a loader must reject an image with an unknown one. */
const PAGE_ALIGN = 1 << 0;
const MEMORY_INFO = 1 << 1;
const VIDEO_MODE = 1 << 2;
const REQUIREMENTS = 0xffff;
/** The header's own load addresses take precedence over the file format. */
const ADDRESS_FIELDS = 1 << 16;

/** What a Multiboot kernel puts into memory, and its entry point. */
export interface MultibootKernel {
  readonly entry: bigint;
  readonly segments: readonly ElfSegment[];
  /** First address after all of it. */
  readonly end: bigint;
}

interface Header {
  readonly offset: number;
  readonly flags: number;
}

/**
 * The Multiboot 1 header (Multiboot Specification 0.6.96, 3.1):
 *
 *    0 magic   4 flags   8 checksum   12 header_addr   16 load_addr   20 load_end_addr   24 bss_end_addr   28 entry_addr
 */
function findHeader(file: Uint8Array): Header | undefined {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  for (let at = 0; at + 12 <= Math.min(file.length, SEARCHED); at += 4) {
    if (view.getUint32(at, true) !== HEADER_MAGIC) continue;
    const flags = view.getUint32(at + 4, true);
    if ((HEADER_MAGIC + flags + view.getUint32(at + 8, true)) % 0x1_0000_0000 === 0) return { offset: at, flags };
  }
  return undefined;
}

/** Whether the bytes contain a Multiboot 1 header with a valid checksum. */
export const hasMultibootHeader = (file: Uint8Array): boolean => findHeader(file) !== undefined;

/**
 * Reads a Multiboot 1 kernel: an ELF32 executable, or any file whose header has the address fields. The error
 * explains what is wrong.
 */
export function parseMultiboot(file: Uint8Array): Result<MultibootKernel, string> {
  const header = findHeader(file);
  if (!header)
    return err(
      'there is no Multiboot 1 header (magic 0x1badb002 with its checksum) in the first 8 KiB, at a multiple of 4 bytes',
    );
  const unknown = header.flags & REQUIREMENTS & ~(PAGE_ALIGN | MEMORY_INFO);
  if ((unknown & VIDEO_MODE) !== 0)
    return err('the Multiboot header asks for a video mode (flag 2), and there is no display adapter');
  if (unknown !== 0)
    return err(`the Multiboot header has requirements 0x${unknown.toString(16)} that the specification does not know`);
  return (header.flags & ADDRESS_FIELDS) !== 0 ? byAddressFields(file, header.offset) : byElf(file);
}

function byElf(file: Uint8Array): Result<MultibootKernel, string> {
  if (!isElf(file))
    return err('a Multiboot kernel is an ELF file, or sets flag 16 of its header and gives its load addresses there');
  const elf = parseElf(file);
  if (!elf.ok) return elf;
  if (elf.value.bits !== 32)
    return err(
      'a Multiboot kernel is entered in 32-bit mode; this ELF file is of the 64-bit class (objcopy -O elf32-i386 converts it)',
    );
  const end = elf.value.segments.reduce((e, s) => (s.gpa + s.memorySize > e ? s.gpa + s.memorySize : e), 0n);
  return ok({ entry: entryOf(elf.value.entry, file), segments: elf.value.segments, end });
}

/**
 * The entry is a virtual address and the machine starts without paging: if the segment's two addresses differ, the
 * physical one counts.
 */
function entryOf(entry: bigint, file: Uint8Array): bigint {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  const phoff = view.getUint32(28, true);
  const size = view.getUint16(42, true);
  for (let i = 0; i < view.getUint16(44, true); i++) {
    const at = phoff + i * size;
    const virtual = BigInt(view.getUint32(at + 8, true));
    if (view.getUint32(at, true) === 1 && entry >= virtual && entry < virtual + BigInt(view.getUint32(at + 20, true)))
      return entry - virtual + BigInt(view.getUint32(at + 12, true));
  }
  return entry;
}

function byAddressFields(file: Uint8Array, offset: number): Result<MultibootKernel, string> {
  if (offset + 32 > file.length) return err('the file ends inside its Multiboot header');
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  const [headerAddress, loadAddress, loadEnd, bssEnd, entry] = [12, 16, 20, 24, 28].map((at) =>
    view.getUint32(offset + at, true),
  ) as [number, number, number, number, number];
  const from = offset - (headerAddress - loadAddress);
  if (headerAddress < loadAddress || from < 0) return err('the Multiboot header lies before its own load address');
  // zero: to the end of the file, and no bss
  const length = loadEnd === 0 ? file.length - from : loadEnd - loadAddress;
  if (length <= 0 || from + length > file.length)
    return err('the load addresses of the Multiboot header lie outside the file');
  const memorySize = Math.max(length, bssEnd === 0 ? 0 : bssEnd - loadAddress);
  const segment = {
    gpa: BigInt(loadAddress),
    bytes: file.subarray(from, from + length),
    memorySize: BigInt(memorySize),
  };
  return ok({ entry: BigInt(entry), segments: [segment], end: segment.gpa + segment.memorySize });
}
