/** Register offsets of the local APIC from its base (SDM vol. 3, table 10-1); x2APIC MSRs are 0x800 + offset / 16. */
export const APIC = {
  ID: 0x20,
  VERSION: 0x30,
  TPR: 0x80,
  APR: 0x90,
  PPR: 0xa0,
  EOI: 0xb0,
  LDR: 0xd0,
  DFR: 0xe0,
  SVR: 0xf0,
  ISR: 0x100,
  TMR: 0x180,
  IRR: 0x200,
  ESR: 0x280,
  ICR: 0x300,
  ICR2: 0x310,
  LVT_TIMER: 0x320,
  LVT_THERMAL: 0x330,
  LVT_PMC: 0x340,
  LVT_LINT0: 0x350,
  LVT_LINT1: 0x360,
  LVT_ERROR: 0x370,
  TIMER_INITIAL: 0x380,
  TIMER_CURRENT: 0x390,
  TIMER_DIVIDE: 0x3e0,
  SELF_IPI: 0x3f0,
} as const;

/** Bits of IA32_APIC_BASE (SDM vol. 3, 10.4.4 and 10.12.1). */
export const APIC_BASE_BSP = 1n << 8n;
export const APIC_BASE_EXTD = 1n << 10n;
export const APIC_BASE_ENABLE = 1n << 11n;
/** BSP, enabled, at its default address. */
export const APIC_BASE_RESET = 0xfee0_0000n | APIC_BASE_BSP | APIC_BASE_ENABLE;

/** Delivery modes, bits 10:8 of an LVT entry or the ICR. */
export const DELIVERY = { FIXED: 0, LOWEST: 1, SMI: 2, NMI: 4, INIT: 5, STARTUP: 6, EXTINT: 7 } as const;

/**
 * The local vector table: the writable bits of each entry. Mask is bit 16, the timer's mode 18:17, delivery mode
 * 10:8, polarity and trigger 13 and 15.
 */
export const LVT_MASKED = 1 << 16;
export const LVT_WRITABLE: ReadonlyMap<number, number> = new Map([
  [APIC.LVT_TIMER, 0x7_00ff],
  [APIC.LVT_THERMAL, 0x1_07ff],
  [APIC.LVT_PMC, 0x1_07ff],
  [APIC.LVT_LINT0, 0x1_a7ff],
  [APIC.LVT_LINT1, 0x1_a7ff],
  [APIC.LVT_ERROR, 0x1_00ff],
]);

/** APIC software enable, in the spurious-interrupt vector register. */
export const SVR_ENABLED = 1 << 8;

/** Bits of the error status register. */
export const ESR = { SEND_ILLEGAL_VECTOR: 1 << 5, RECEIVE_ILLEGAL_VECTOR: 1 << 6, ILLEGAL_REGISTER: 1 << 7 } as const;

/** Timer modes, bits 18:17 of its LVT entry. */
export const TIMER_MODE = { ONE_SHOT: 0, PERIODIC: 1, TSC_DEADLINE: 2 } as const;
