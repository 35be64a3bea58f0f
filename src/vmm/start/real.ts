import type { SegmentCache } from '../../hw/state/cpu-state';
import type { RamWrite, StartPlan } from './plan';

/** Address of the interrupt stubs: F000:E000, in the BIOS area. */
const STUB_SEGMENT = 0xf000;
const STUB_OFFSET = 0xe000;
const STUB_BYTES = 2;
const HLT = 0xf4;
/** FFFF:0000 or F000:FFF0, where a processor starts after reset and where a real-mode program jumps to restart. */
const RESET_VECTOR = 0xf_fff0n;
const RDX = 2;
const RSP = 4;
const VECTORS = 256;
const BOOT_ADDRESS = 0x7c00n;
const FLAT16_STACK = 0x7000n;
/** The BIOS's number of the first hard disk, in DL. */
const FIRST_HARD_DISK = 0x80n;

const dataSegment: SegmentCache = { selector: 0, base: 0n, limit: 0xffff, rights: 0x93 };
const codeSegment: SegmentCache = { selector: 0, base: 0n, limit: 0xffff, rights: 0x9b };
const ldtr: SegmentCache = { selector: 0, base: 0n, limit: 0xffff, rights: 0x82 };
const tr: SegmentCache = { selector: 0, base: 0n, limit: 0xffff, rights: 0x8b };

/**
 * The substitute for a BIOS: the interrupt vector table, each vector pointing at its own HLT, by which `stubAt`
 * identifies it, and a HLT at the reset vector.
 */
function stubs(): RamWrite[] {
  const ivt = new Uint8Array(VECTORS * 4);
  const code = new Uint8Array(VECTORS * STUB_BYTES).fill(HLT);
  const view = new DataView(ivt.buffer);
  for (let v = 0; v < VECTORS; v++) {
    view.setUint16(v * 4, STUB_OFFSET + v * STUB_BYTES, true);
    view.setUint16(v * 4 + 2, STUB_SEGMENT, true);
  }
  return [
    { gpa: 0n, bytes: ivt },
    { gpa: STUBS, bytes: code },
    { gpa: RESET_VECTOR, bytes: Uint8Array.of(HLT) },
  ];
}

const STUBS = BigInt(STUB_SEGMENT * 16 + STUB_OFFSET);

/**
 * The stub whose HLT lies right before `linear`: of a vector, or of the reset vector. Undefined: none, or overwritten
 * by firmware or the guest.
 */
export function stubAt(linear: bigint, read: ReadGuest): number | 'reset' | undefined {
  const at = linear - 1n;
  const size = VECTORS * STUB_BYTES;
  if (at !== RESET_VECTOR && (at < STUBS || at >= STUBS + BigInt(size))) return undefined;
  if (read(STUBS, size)?.every((byte) => byte === HLT) !== true) return undefined;
  return at === RESET_VECTOR ? 'reset' : Number(at - STUBS) >> 1;
}
/** Bytes of guest RAM; undefined if there is none. */
export type ReadGuest = (gpa: bigint, length: number) => Uint8Array | undefined;

function realMode(rip: bigint, rsp: bigint, rdx: bigint, cr0: bigint): StartPlan {
  return {
    writes: stubs(),
    state: {
      gprs: { [RSP]: rsp, [RDX]: rdx },
      rip,
      rflags: 2n,
      cr0,
      cr3: 0n,
      cr4: 0n,
      efer: 0n,
      cs: codeSegment,
      ss: dataSegment,
      data: dataSegment,
      ldtr,
      tr,
      gdtr: { base: 0n, limit: 0xffff },
      idtr: { base: 0n, limit: 0x3ff },
    },
  };
}

/** As a BIOS leaves a boot sector: 0000:7C00, DL the boot disk, the stack below, and the caches on (CR0 is ET alone). */
export const bootStart = (): StartPlan => realMode(BOOT_ADDRESS, BOOT_ADDRESS, FIRST_HARD_DISK, 0x10n);

/** Real mode with all segments zero, CR0 as after reset; `entry` below 64 KiB. */
export const flat16Start = (entry: bigint): StartPlan => realMode(entry, FLAT16_STACK, 0n, 0x6000_0010n);
