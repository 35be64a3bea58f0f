/** How a guest starts and where it then lies (cli.md's "How a guest starts"). */
import type { Diagnostic } from '../../base/diagnostic';
import type { Result } from '../../base/result';
import { err, ok } from '../../base/result';
import { hasMultibootHeader } from '../../vmm/loader/multiboot';
import { sessionError } from '../diagnostics';
import type { StartName } from './options';

/** What a start that is settled can be. */
export type SettledStart = Exclude<StartName, 'auto'>;

/** Where an image without an address of its own is placed. */
export const ORIGIN: Readonly<Record<SettledStart, bigint>> = {
  boot: 0x7c00n,
  flat16: 0x7c00n,
  flat32: 0x10_0000n,
  flat64: 0x10_0000n,
  elf: 0n,
  multiboot: 0x10_0000n,
  // the last 64 KiB below 1 MiB, where firmware runs after its first jump
  reset: 0xf_0000n,
};

export const isElf = (b: Uint8Array): boolean => b[0] === 0x7f && b[1] === 0x45 && b[2] === 0x4c && b[3] === 0x46;
const hasBootSignature = (b: Uint8Array): boolean => b[510] === 0x55 && b[511] === 0xaa;

/** `auto`: Multiboot and ELF by their magic; 55 AA at byte 510: boot; else by the mode of the first instruction; a raw image: flat16. */
export function settleStart(
  wanted: StartName,
  image: Uint8Array,
  bits: 16 | 32 | 64 | undefined,
  file: string,
): Result<SettledStart, readonly Diagnostic[]> {
  const bad = (message: string): Result<SettledStart, readonly Diagnostic[]> =>
    err([sessionError('badStart', message, file)]);
  switch (wanted) {
    case 'auto':
      // most Multiboot kernels are ELF files too
      if (hasMultibootHeader(image)) return ok('multiboot');
      if (isElf(image)) return ok('elf');
      if (hasBootSignature(image)) return ok('boot');
      return ok(bits === 64 ? 'flat64' : bits === 32 ? 'flat32' : 'flat16');
    case 'boot':
      return hasBootSignature(image)
        ? ok('boot')
        : bad(
            '`start=boot`, but bytes 510 and 511 of the image are not 55 AA; end the sector with `times 510-($-$$) db 0` and `dw 0xaa55`',
          );
    case 'elf':
      return isElf(image) ? ok('elf') : bad('`start=elf`, but the file does not begin with the ELF magic 7F 45 4C 46');
    case 'flat16':
    case 'flat32':
    case 'flat64':
      return isElf(image) ? bad(`\`start=${wanted}\`, but the file is an ELF file; use start=elf`) : ok(wanted);
    case 'multiboot':
      return hasMultibootHeader(image)
        ? ok('multiboot')
        : bad('`start=multiboot`, but the first 8 KiB of the image hold no Multiboot 1 header (magic 0x1badb002)');
    case 'reset':
      return ok('reset');
  }
}
