import type { Diagnostic } from '../../base/diagnostic';
import { hex } from '../../base/hex';
import type { Result } from '../../base/result';
import { err, ok } from '../../base/result';
import { counted } from '../../base/plural';
import { machineError } from '../diagnostics';
import type { StartKind } from '../options';
import { firmwareBase, MAX_FIRMWARE } from '../start/reset';
import type { MultibootBoot, MultibootModule } from '../start/multiboot';
import { parseElf } from './elf';
import { parseMultiboot } from './multiboot';

/** Bytes for guest RAM. */
export interface ImageSegment {
  /** GPA of the first byte. */
  readonly gpa: bigint;
  readonly bytes: Uint8Array;
  /** Bytes in memory: `bytes`, then zeros, which fresh RAM already contains. */
  readonly memorySize: bigint;
}

/** What a start needs besides the image's own bytes. */
export type ImageStart =
  | { readonly start: StartKind }
  | { readonly start: 'multiboot'; readonly boot: MultibootBoot }
  | { readonly start: 'reset'; readonly firmware: Uint8Array };

/** A guest ready to be loaded into a machine. */
export type GuestImage = ImageStart & {
  /** For messages. */
  readonly file: string;
  readonly segments: readonly ImageSegment[];
  /** The entry point: a linear address, which under the prepared identity maps is also the GPA. */
  readonly entry: bigint;
};

export interface FlatImageOptions {
  readonly file: string;
  /** Default: 0x7c00 for boot and flat16, 0x100000 for flat32 and flat64. */
  readonly origin?: bigint;
  /** Default: the first byte. */
  readonly entry?: bigint;
  /** Bytes of zeros that the program reserves after its last byte. */
  readonly bss?: number;
}

/** Where an image without an `org` is assembled and loaded. */
export const defaultOrigin = (start: StartKind): bigint =>
  start === 'boot' || start === 'flat16' ? 0x7c00n : 0x10_0000n;

/** Bytes 510 and 511 of a boot sector. */
const hasBootSignature = (bytes: Uint8Array): boolean => bytes[510] === 0x55 && bytes[511] === 0xaa;

const SECTOR = 512;

/** A flat binary; for a boot disk, its first sector. */
export function flatImage(
  bytes: Uint8Array,
  start: StartKind,
  options: FlatImageOptions,
): Result<GuestImage, readonly Diagnostic[]> {
  const { file } = options;
  const origin = options.origin ?? defaultOrigin(start);
  const entry = options.entry ?? origin;
  if (bytes.length === 0)
    return err([machineError('emptyImage', 'the image has no bytes: there is nothing to run', file)]);
  if (start === 'boot') {
    if (!hasBootSignature(bytes)) {
      const found =
        bytes.length < 512
          ? `the image has only ${counted(bytes.length, 'byte')}`
          : `these are ${hex(bytes[510] ?? 0, 2)} ${hex(bytes[511] ?? 0, 2)}`;
      return err([
        machineError(
          'bootSignature',
          `a boot sector ends its first 512 bytes in 55 AA, and ${found}: add \`times 510-($-$$) db 0\` and \`dw 0xaa55\`, or use start=flat16`,
          file,
        ),
      ]);
    }
    if (origin !== 0x7c00n)
      return err([
        machineError('badEntry', `a boot sector is loaded at 0x7c00, and this one has org ${hex(origin)}`, file),
      ]);
  }
  if (start === 'flat32' && entry > 0xffff_ffffn)
    return err([machineError('badEntry', `the entry ${hex(entry)} is beyond 4 GiB`, file)]);
  // a BIOS loads one sector; the boot sector itself loads the rest of a disk
  const loaded = start === 'boot' ? bytes.subarray(0, SECTOR) : bytes;
  return ok({
    file,
    segments: [{ gpa: origin, bytes: loaded, memorySize: BigInt(loaded.length + (options.bss ?? 0)) }],
    entry,
    start,
  });
}

/** An ELF executable: its segments at their physical addresses, entered in the mode of its class. */
export function elfImage(bytes: Uint8Array, file: string): Result<GuestImage, readonly Diagnostic[]> {
  const elf = parseElf(bytes);
  if (!elf.ok) return err([machineError('badElf', elf.error, file)]);
  const { bits, entry, segments } = elf.value;
  return ok({ file, segments, entry, start: bits === 32 ? 'flat32' : 'flat64' });
}

/** A Multiboot 1 kernel with what its loader passes to it. */
export function multibootImage(
  bytes: Uint8Array,
  file: string,
  commandLine: string,
  modules: readonly MultibootModule[],
): Result<GuestImage, readonly Diagnostic[]> {
  const kernel = parseMultiboot(bytes);
  if (!kernel.ok) return err([machineError('badMultiboot', kernel.error, file)]);
  const { entry, segments, end } = kernel.value;
  return ok({ file, segments, entry, start: 'multiboot', boot: { commandLine, modules, kernelEnd: end } });
}

/** Firmware, run from the reset vector; `segments`: other contents of RAM. */
export function firmwareImage(
  firmware: Uint8Array,
  file: string,
  segments: readonly ImageSegment[] = [],
): Result<GuestImage, readonly Diagnostic[]> {
  if (firmware.length === 0 || firmware.length % 4096 !== 0 || firmware.length > MAX_FIRMWARE)
    return err([
      machineError(
        'badFirmware',
        `firmware is a whole number of 4 KiB pages, at most ${MAX_FIRMWARE >> 20} MiB, and this file has ${firmware.length} bytes; its last 16 bytes are the reset vector`,
        file,
      ),
    ]);
  return ok({ file, segments, entry: firmwareBase(16), start: 'reset', firmware });
}
