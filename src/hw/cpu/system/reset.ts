import { RIGHTS, SEG, SLOT } from '../../state/layout';
import type { CpuState, SegmentCache } from '../../state/cpu-state';
import type { CpuidModel } from '../cpuid-model';
import { resetMachineCheck } from './machine-check';
import { GPR } from './operand';
import { nullSegment } from './segments';

const REAL_DATA: SegmentCache = { selector: 0, base: 0n, limit: 0xffff, rights: 0x93 };
/** The reset code segment: selector F000 over base FFFF0000, so that the first fetch is at FFFFFFF0 (SDM vol. 3, 9.1.4). */
const RESET_CODE: SegmentCache = { selector: 0xf000, base: 0xffff_0000n, limit: 0xffff, rights: 0x9b };

/** PAT after reset: WB WT UC− UC, twice (SDM vol. 3, 11.12.4). */
const RESET_PAT = 0x0007_0406_0007_0406n;
/** DR6 and DR7 with every condition clear: the reserved bits that read as one. */
const RESET_DR6 = 0xffff_0ff0n;
const RESET_DR7 = 0x400n;

/** Registers after power-up (SDM vol. 3, table 9-1): CR0 60000010, F000:FFF0, EDX the processor's signature. General registers zero. */
export function resetState(s: CpuState, model: CpuidModel): void {
  s.r.fill(0n);
  s.rip = 0xfff0n;
  s.rflags = 2n;
  s.set(GPR.RDX, BigInt(model.leaf(1, 0)[0] >>> 0));
  s.set(SLOT.CR0, 0x6000_0010n);
  for (const i of [SEG.ES, SEG.SS, SEG.DS, SEG.FS, SEG.GS]) s.setSegment(i, REAL_DATA);
  s.setSegment(SEG.CS, RESET_CODE);
  s.setSegment(SEG.LDTR, { selector: 0, base: 0n, limit: 0xffff, rights: 0x82 });
  s.setSegment(SEG.TR, { selector: 0, base: 0n, limit: 0xffff, rights: 0x8b });
  s.set32(SLOT.GDTR_LIMIT, 0xffff);
  s.set32(SLOT.IDTR_LIMIT, 0xffff);
  s.set(SLOT.DR6, RESET_DR6);
  s.set(SLOT.DR7, RESET_DR7);
  s.set(SLOT.PAT, RESET_PAT);
  s.set(SLOT.XCR0, 1n);
  // x87: exceptions unmasked, single precision, every register a valid zero; SSE: exceptions masked
  s.set(SLOT.FCW, 0x40n);
  s.set(SLOT.FTW, 0xffn);
  s.set(SLOT.MXCSR, 0x1f80n);
  s.set(SLOT.RANDOM, BigInt(s.index));
  s.set(SLOT.MISC_ENABLE, 1n);
  resetMachineCheck(s);
  // bootstrap processor, APIC globally enabled, at its default address
  s.set(SLOT.APIC_BASE, s.index === 0 ? 0xfee0_0900n : 0xfee0_0800n);
}

/** Real mode at segment:offset, all data segments at `segment` too: how boot sectors and flat binaries begin. */
export function setRealMode(s: CpuState, segment: number, offset: number): void {
  const at = { selector: segment, base: BigInt(segment) << 4n, limit: 0xffff };
  s.setSegment(SEG.CS, { ...at, rights: 0x9b });
  for (const i of [SEG.ES, SEG.SS, SEG.DS, SEG.FS, SEG.GS]) s.setSegment(i, { ...at, rights: 0x93 });
  s.cpl = 0;
  s.rip = BigInt(offset);
}

const FLAT_LIMIT = 0xffff_ffff;
const DATA_RIGHTS = 0x93 | RIGHTS.DB | RIGHTS.G;

/**
 * Flat segments as a loader leaves them. CS selector 8, data selectors 16: what an entry of a GDT of null, code, data names. The GDT itself is the
 * guest's business. `long`: CS is 64-bit code.
 */
export function setFlatSegments(s: CpuState, long: boolean): void {
  s.setSegment(SEG.CS, {
    selector: 8,
    base: 0n,
    limit: FLAT_LIMIT,
    rights: 0x9b | RIGHTS.G | (long ? RIGHTS.L : RIGHTS.DB),
  });
  for (const i of [SEG.ES, SEG.SS, SEG.DS, SEG.FS, SEG.GS])
    s.setSegment(i, { selector: 16, base: 0n, limit: FLAT_LIMIT, rights: DATA_RIGHTS });
  s.setSegment(SEG.LDTR, nullSegment(0));
  s.setSegment(SEG.TR, { selector: 0, base: 0n, limit: long ? 0x67 : 0xffff, rights: 0x8b });
  s.cpl = 0;
}

/** 32-bit protected mode, paging off: what a Multiboot loader hands over. */
export function setFlat32(s: CpuState, rip: bigint): void {
  s.set(SLOT.CR0, 0x11n);
  s.set(SLOT.CR4, 0n);
  s.set(SLOT.EFER, 0n);
  setFlatSegments(s, false);
  s.rip = rip;
}

/** 64-bit mode on the page tables at `cr3`: CR0 PE NE WP PG, CR4 PAE, EFER LME LMA NXE. */
export function setLong64(s: CpuState, rip: bigint, cr3: bigint): void {
  s.set(SLOT.CR0, 0x8001_0031n);
  s.set(SLOT.CR4, 0x20n);
  s.set(SLOT.CR3, cr3);
  s.set(SLOT.EFER, 0xd00n);
  setFlatSegments(s, true);
  s.rip = rip;
}
