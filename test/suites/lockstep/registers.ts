import type { CpuState } from '../../../src/hw/state/cpu-state';
import { SEG, SLOT } from '../../../src/hw/state/layout';

/**
 * QEMU's register order for x86-64 (target/i386/gdbstub.c): 16 general registers, RIP, EFLAGS, six selectors, FS, GS and kernel GS base, CR0 CR2 CR3 CR4 CR8 EFER.
 * Register numbers count in this order; selectors and EFLAGS are 4 bytes, the others 8.
 */
interface Register {
  readonly name: string;
  readonly size: 4 | 8;
  /** The same register of ours. */
  readonly ours: (s: GuestRegisters) => bigint;
  /** Bits that are compared. */
  readonly mask: bigint;
  /** Set in QEMU to our value before the first instruction. */
  readonly given: boolean;
}

/** A guest's registers as it sees them: CR0 and CR4 are not the hardware's while a hypervisor runs it. */
export interface GuestRegisters {
  readonly state: CpuState;
  readonly cr0: bigint;
  readonly cr4: bigint;
}

const M64 = (1n << 64n) - 1n;
/** Slots of the general registers, in QEMU's order. */
export const GPR = {
  rax: 0,
  rbx: 3,
  rcx: 1,
  rdx: 2,
  rsi: 6,
  rdi: 7,
  rbp: 5,
  rsp: 4,
  r8: 8,
  r9: 9,
  r10: 10,
  r11: 11,
  r12: 12,
  r13: 13,
  r14: 14,
  r15: 15,
} as const;
const selector = (name: string, index: number): Register => ({
  name,
  size: 4,
  ours: ({ state }) => BigInt(state.get32(SLOT.SELECTOR + index)),
  mask: 0xffffn,
  given: true,
});
const slot = (name: string, at: number, mask: bigint, given = false): Register => ({
  name,
  size: 8,
  ours: ({ state }) => state.get(at),
  mask,
  given,
});

export const REGISTERS: readonly Register[] = [
  ...Object.entries(GPR).map(([name, index]): Register => ({
    name,
    size: 8,
    ours: ({ state }) => state.get(index),
    mask: M64,
    given: true,
  })),
  { name: 'rip', size: 8, ours: ({ state }) => state.rip, mask: M64, given: false },
  // RF (bit 16) is not kept by QEMU between instructions
  { name: 'eflags', size: 4, ours: ({ state }) => state.rflags, mask: 0xffff_ffffn & ~0x1_0000n, given: true },
  selector('cs', SEG.CS),
  selector('ss', SEG.SS),
  selector('ds', SEG.DS),
  selector('es', SEG.ES),
  selector('fs', SEG.FS),
  selector('gs', SEG.GS),
  slot('fs_base', SLOT.SEG_BASE + SEG.FS, M64),
  slot('gs_base', SLOT.SEG_BASE + SEG.GS, M64),
  slot('k_gs_base', SLOT.KERNEL_GS_BASE, M64),
  { name: 'cr0', size: 8, ours: (g) => g.cr0, mask: M64, given: true },
  slot('cr2', SLOT.CR2, M64, true),
  slot('cr3', SLOT.CR3, M64),
  { name: 'cr4', size: 8, ours: (g) => g.cr4, mask: M64, given: false },
  slot('cr8', SLOT.CR8, M64),
  // QEMU keeps SVME where its model has SVM; the bits both have
  slot('efer', SLOT.EFER, 0xd01n),
];
export const EFLAGS = REGISTERS.findIndex((r) => r.name === 'eflags');
export const RIP = REGISTERS.findIndex((r) => r.name === 'rip');

/** Values in the order of REGISTERS from the answer to `g`. */
export function parseRegisters(hex: string): bigint[] {
  let at = 0;
  return REGISTERS.map(({ size }) => {
    const bytes = hex.slice(at, at + size * 2).match(/../g) ?? [];
    at += size * 2;
    return BigInt('0x' + bytes.reverse().join(''));
  });
}
/** A value as a packet has it: little-endian hex bytes. */
export const littleEndian = (value: bigint, size: number): string =>
  (value & ((1n << BigInt(size * 8)) - 1n))
    .toString(16)
    .padStart(size * 2, '0')
    .match(/../g)
    ?.reverse()
    .join('') ?? '';
