import type { Result } from '../../base/result';
import { err, ok } from '../../base/result';
import type { SegmentCache } from '../../hw/state/cpu-state';
import { identityMap } from './identity';
import { UNUSABLE, type RamRange, type RamWrite, type StartPlan } from './plan';

/** Selectors of the prepared GDT. */
const SELECTOR = { CODE: 0x08, DATA: 0x10, USER_CODE: 0x18, USER_DATA: 0x20, TSS: 0x28 } as const;
const RSP = 4;
const STACK_TOP = 0x8_0000n;
/** Offset of the TSS in the descriptor frame; the GDT lies at its start. */
const TSS_OFFSET = 0x100n;
const TSS_LIMIT = 0x67;

/**
 * Access byte of a descriptor: P, DPL, S, type (SDM vol. 3, 3.4.5). Accessed is preset, so loading them writes
 * nothing.
 */
const CODE = 0x9b;
const DATA = 0x93;
const USER_CODE = 0xfb;
const USER_DATA = 0xf3;
const BUSY_TSS = 0x8b;
/** Flags nibble: granularity 8, D/B 4, L 2. */
const FLAT_32 = 0xc;
const FLAT_64 = 0xa;

/**
 * A segment descriptor (SDM vol. 3, figure 3-8):
 *
 *   63      56 55  52 51   48 47    40 39        16 15       0
 *  | base 31:24|flags|lim19:16|access  | base 23:0  | limit 15:0 |
 */
function descriptor(base: bigint, limit: number, access: number, flags: number): bigint {
  return (
    (BigInt(limit) & 0xffffn) |
    ((base & 0xff_ffffn) << 16n) |
    (BigInt(access) << 40n) |
    ((BigInt(limit) >> 16n) << 48n) |
    (BigInt(flags) << 52n) |
    (((base >> 24n) & 0xffn) << 56n)
  );
}

const cache = (selector: number, access: number, flags: number): SegmentCache => ({
  selector,
  base: 0n,
  limit: 0xffff_ffff,
  rights: access | (flags << 12),
});

/** The GDT, and a TSS without stacks and I/O bitmap: a guest that uses rings adds them. */
function descriptors(
  frame: bigint,
  flags: number,
  long: boolean,
): { writes: RamWrite[]; limit: number; tr: SegmentCache } {
  const tss = frame + TSS_OFFSET;
  const entries = [
    0n,
    descriptor(0n, 0xf_ffff, CODE, flags),
    descriptor(0n, 0xf_ffff, DATA, FLAT_32),
    descriptor(0n, 0xf_ffff, USER_CODE, flags),
    descriptor(0n, 0xf_ffff, USER_DATA, FLAT_32),
    descriptor(tss, TSS_LIMIT, BUSY_TSS, 0),
    // in IA-32e mode a system descriptor has a second half: base 63:32
    ...(long ? [tss >> 32n] : []),
  ];
  const gdt = new Uint8Array(entries.length * 8);
  entries.forEach((e, i) => new DataView(gdt.buffer).setBigUint64(i * 8, e, true));
  const body = new Uint8Array(TSS_LIMIT + 1);
  // I/O map base beyond the limit: no bitmap
  new DataView(body.buffer).setUint16(0x66, TSS_LIMIT + 1, true);
  return {
    writes: [
      { gpa: frame, bytes: gdt },
      { gpa: tss, bytes: body },
    ],
    limit: gdt.length - 1,
    tr: { selector: SELECTOR.TSS, base: tss, limit: TSS_LIMIT, rights: BUSY_TSS },
  };
}

/**
 * CPL 0 in 32-bit protected mode, or 64-bit mode with NX, over a prepared identity map; empty IDT, interrupts off,
 * RSP 0x80000.
 */
export function flatStart(
  kind: 'flat32' | 'flat64',
  entry: bigint,
  ram: readonly RamRange[],
): Result<StartPlan, string> {
  const long = kind === 'flat64';
  const map = identityMap(kind, ram);
  if (!map.ok) return err(map.error);
  const flags = long ? FLAT_64 : FLAT_32;
  const d = descriptors(map.value.descriptorFrame, flags, long);
  const code = cache(SELECTOR.CODE, CODE, flags);
  const data = cache(SELECTOR.DATA, DATA, FLAT_32);
  return ok({
    writes: [...map.value.writes, ...d.writes],
    state: {
      gprs: { [RSP]: STACK_TOP },
      rip: entry,
      rflags: 2n,
      // PE, ET, NE, PG; supervisor writes ignore R/W until the guest sets WP
      cr0: 0x8000_0031n,
      cr3: map.value.cr3,
      // PAE
      cr4: long ? 0x20n : 0n,
      // LME, LMA, NXE
      efer: long ? 0xd00n : 0n,
      cs: code,
      ss: data,
      data,
      ldtr: UNUSABLE,
      tr: d.tr,
      gdtr: { base: map.value.descriptorFrame, limit: d.limit },
      idtr: { base: 0n, limit: 0 },
    },
  });
}
