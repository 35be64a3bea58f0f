import type { SegmentCache } from '../../hw/state/cpu-state';
import { UNUSABLE, type RamWrite, type StartPlan } from './plan';

/** Firmware ends here: its last 16 bytes hold the reset vector. */
const FOUR_GIB = 1n << 32n;
const MIB = 1n << 20n;
/** The part of a PC's firmware that is also visible below 1 MiB: at most 128 KiB, from 0xe0000. */
const SHADOW = 0x2_0000;
const RESET_CS = 0xf000;
const RESET_IP = 0xfff0n;
const RDX = 2;

/** Where `size` bytes of firmware are mapped read-only. */
export const firmwareBase = (size: number): bigint => FOUR_GIB - BigInt(size);

/** Firmware sizes that can be mapped: whole pages, up to the limit of a PC's flash decoders below 4 GiB. */
export const MAX_FIRMWARE = 16 << 20;

const code: SegmentCache = { selector: RESET_CS, base: 0xffff_0000n, limit: 0xffff, rights: 0x9b };
const data: SegmentCache = { selector: 0, base: 0n, limit: 0xffff, rights: 0x93 };

/**
 * The firmware's end, at most 128 KiB, as it lies below 1 MiB: copied into RAM, where it can be written as after a
 * PC's shadowing.
 */
function firmwareShadow(firmware: Uint8Array): RamWrite {
  const bytes = firmware.subarray(Math.max(0, firmware.length - SHADOW));
  return { gpa: MIB - BigInt(bytes.length), bytes };
}

/**
 * A processor after reset (SDM vol. 3, table 9-1): real mode at F000:FFF0 with CS base FFFF0000, so that the first fetch is at FFFFFFF0; DX holds the processor's
 * signature.
 */
export function resetStart(firmware: Uint8Array, signature: number): StartPlan {
  return {
    writes: [firmwareShadow(firmware)],
    state: {
      gprs: { [RDX]: BigInt(signature >>> 0) },
      rip: RESET_IP,
      rflags: 2n,
      cr0: 0x6000_0010n,
      cr3: 0n,
      cr4: 0n,
      efer: 0n,
      cs: code,
      ss: data,
      data,
      ldtr: { ...UNUSABLE, limit: 0xffff, rights: 0x82 },
      tr: { selector: 0, base: 0n, limit: 0xffff, rights: 0x8b },
      gdtr: { base: 0n, limit: 0xffff },
      idtr: { base: 0n, limit: 0xffff },
    },
  };
}
