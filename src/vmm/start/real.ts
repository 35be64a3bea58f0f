import type { SegmentCache } from '../../hw/state/cpu-state';
import type { RamWrite, StartPlan } from './plan';

/** Where the interrupt stubs lie: F000:E000, in what will be the BIOS's area. */
export const STUB_SEGMENT = 0xf000;
export const STUB_OFFSET = 0xe000;
const STUB_BYTES = 2;
const RDX = 2;
const RSP = 4;
const VECTORS = 256;
const BOOT_ADDRESS = 0x7c00n;
const FLAT16_STACK = 0x7000n;
/** The BIOS's number of the first hard disk, in DL. */
const FIRST_HARD_DISK = 0x80n;

const data: SegmentCache = { selector: 0, base: 0n, limit: 0xffff, rights: 0x93 };
const code: SegmentCache = { selector: 0, base: 0n, limit: 0xffff, rights: 0x9b };
const ldtr: SegmentCache = { selector: 0, base: 0n, limit: 0xffff, rights: 0x82 };
const tr: SegmentCache = { selector: 0, base: 0n, limit: 0xffff, rights: 0x8b };

/**
 * The interrupt vector table, each vector pointing at a HLT of its own that stops the guest where `stubVector` can tell which INT it was:
 * there is no BIOS.
 */
function vectorTable(): RamWrite[] {
  const ivt = new Uint8Array(VECTORS * 4);
  const stubs = new Uint8Array(VECTORS * STUB_BYTES);
  const view = new DataView(ivt.buffer);
  for (let v = 0; v < VECTORS; v++) {
    view.setUint16(v * 4, STUB_OFFSET + v * STUB_BYTES, true);
    view.setUint16(v * 4 + 2, STUB_SEGMENT, true);
    stubs[v * STUB_BYTES] = 0xf4;
    stubs[v * STUB_BYTES + 1] = 0xf4;
  }
  return [
    { gpa: 0n, bytes: ivt },
    { gpa: BigInt(STUB_SEGMENT * 16 + STUB_OFFSET), bytes: stubs },
  ];
}

/** The vector whose stub halted with RIP behind its HLT; undefined when the guest halted on its own. */
export function stubVector(csBase: bigint, rip: bigint): number | undefined {
  const at = rip - 1n - BigInt(STUB_OFFSET);
  return csBase === BigInt(STUB_SEGMENT * 16) && at >= 0n && at < BigInt(VECTORS * STUB_BYTES)
    ? Number(at) >> 1
    : undefined;
}

function realMode(rip: bigint, rsp: bigint, rdx: bigint): StartPlan {
  return {
    writes: vectorTable(),
    state: {
      gprs: { [RSP]: rsp, [RDX]: rdx },
      rip,
      rflags: 2n,
      cr0: 0x6000_0010n,
      cr3: 0n,
      cr4: 0n,
      efer: 0n,
      cs: code,
      ss: data,
      data,
      ldtr,
      tr,
      gdtr: { base: 0n, limit: 0xffff },
      idtr: { base: 0n, limit: 0x3ff },
    },
  };
}

/** As a BIOS leaves a boot sector: 0000:7C00, DL the boot disk, the stack below. */
export const bootStart = (): StartPlan => realMode(BOOT_ADDRESS, BOOT_ADDRESS, FIRST_HARD_DISK);

/** Real mode with all segments zero; `entry` below 64 KiB. */
export const flat16Start = (entry: bigint): StartPlan => realMode(entry, FLAT16_STACK, 0n);
