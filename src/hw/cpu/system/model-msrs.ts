import { MSR } from '../../../isa/msrs';
import { SLOT } from '../../state/layout';
import { MACHINE_CHECK } from './machine-check';
import { MTRRS } from './memory-types';
import { withoutReserved } from './msr-refusal';
import type { PlainMsr } from './plain-msr';

const take = (): boolean => true;
const refuse = (): boolean => false;

const range = (first: number, last: number): readonly number[] =>
  Array.from({ length: last - first + 1 }, (_, i) => first + i);
const each = (msrs: readonly number[], plain: PlainMsr): (readonly [number, PlainMsr])[] =>
  msrs.map((msr) => [msr, plain]);

const ZERO: PlainMsr = { read: () => 0n, write: refuse };
const ZERO_DROPS_WRITES: PlainMsr = { read: () => 0n, write: take };
const constant = (value: bigint, write: () => boolean): PlainMsr => ({ read: () => value, write });
const kept = (msr: number, slot: number, reserved: bigint, ignored = 0n): PlainMsr => ({
  read: (s) => s.get(slot),
  write(s, value) {
    const wanted = value & ~ignored;
    const allowed = withoutReserved(msr, wanted, reserved);
    if (allowed !== true) return allowed;
    s.set(slot, wanted);
    return true;
  },
});

/** CPUID faulting (SDM vol. 4, MSR_PLATFORM_INFO bit 31 and MSR_MISC_FEATURES_ENABLES bit 0). */
const PLATFORM_INFO_CPUID_FAULT = 1n << 31n;
export const CPUID_FAULT_ENABLE = 1n;
/** HWCR: TLB cache disable 3, flush filter disable 6, IGNNE emulation 8 are dropped; McStatusWrEn 18 and TscFreqSel 24 are kept. */
const HWCR_IGNORED = (1n << 3n) | (1n << 6n) | (1n << 8n);
const HWCR_KEPT = (1n << 18n) | (1n << 24n);
/** DE_CFG: LFENCE is serializing. */
const DE_CFG_LFENCE = 2n;
/** PERF_STATUS: TSC increments by tick, and 4 as the multiplier. */
const PERF_STATUS = 1000n | (4n << 40n);
/** L2 cache control: 256 KiB, enabled. */
const BBL_CR_CTL3 = 0xbe70_2111n;

/**
 * MSRs of particular processors that kernels touch without a CPUID bit that would say they are there, with the answers that KVM gives whatever the guest's
 * processor is (kvm_get_msr_common, kvm_set_msr_common; arch/x86/kvm/msrs.c). What they configure is not modelled.
 */
const MODEL_SPECIFIC: readonly (readonly [number, PlainMsr])[] = [
  ...each(
    [
      MSR.PLATFORM_ID,
      MSR.EBL_CR_POWERON,
      MSR.SMI_COUNT,
      MSR.PERF_CTL,
      ...range(MSR.LASTBRANCHFROMIP, MSR.LASTINTTOIP),
      ...[MSR.RAPL_POWER_UNIT, MSR.PKG_ENERGY_STATUS, MSR.DRAM_ENERGY_STATUS],
      ...[MSR.PP0_ENERGY_STATUS, MSR.PP1_ENERGY_STATUS],
      ...[MSR.SYSCFG, MSR.K8_INT_PENDING_MSG, MSR.K8_TSEG_ADDR, MSR.K8_TSEG_MASK],
    ],
    ZERO,
  ),
  ...each([MSR.NB_CFG, MSR.BU_CFG2, MSR.DC_CFG, MSR.TW_CFG, MSR.EX_CFG], ZERO_DROPS_WRITES),
  // the counters of P6 and K7 count nothing without a virtual PMU
  ...each(
    [
      ...range(MSR.P6_PERFCTR0, MSR.P6_PERFCTR1),
      ...range(MSR.P6_EVNTSEL0, MSR.P6_EVNTSEL1),
      ...range(MSR.K7_EVNTSEL0, MSR.K7_PERFCTR3),
    ],
    ZERO_DROPS_WRITES,
  ),
  // LBR 0 and BTF 1 are taken and do nothing; on AMD's, without LBR virtualization, so is anything
  [
    MSR.DEBUGCTL,
    { read: () => 0n, write: (_, value, { vendor }) => vendor === 'amd' || withoutReserved(MSR.DEBUGCTL, value, ~3n) },
  ],
  [MSR.MMIO_CONF_BASE, { read: () => 0n, write: (_, value) => withoutReserved(MSR.MMIO_CONF_BASE, value, -1n) }],
  // loading microcode: the registers are for writing
  ...each([MSR.BIOS_UPDT_TRIG, MSR.PATCH_LOADER], { read: () => undefined, write: take }),
  [MSR.FSB_FREQ, constant(3n, refuse)],
  // 100 MHz and a ratio of 1, so that nobody divides by zero
  [MSR.EBC_FREQUENCY_ID, constant(1n << 24n, refuse)],
  [MSR.PERF_STATUS, constant(PERF_STATUS, refuse)],
  [MSR.BBL_CR_CTL3, constant(BBL_CR_CTL3, take)],
  [MSR.K7_CLK_CTL, constant(0x2000_0000n, take)],
  [MSR.PLATFORM_INFO, constant(PLATFORM_INFO_CPUID_FAULT, refuse)],
  [MSR.MISC_FEATURES_ENABLES, kept(MSR.MISC_FEATURES_ENABLES, SLOT.MISC_FEATURES_ENABLES, ~CPUID_FAULT_ENABLE)],
  [MSR.POWER_CTL, kept(MSR.POWER_CTL, SLOT.POWER_CTL, 0n)],
  [MSR.HWCR, kept(MSR.HWCR, SLOT.HWCR, ~HWCR_KEPT, HWCR_IGNORED)],
];

/** MSRs of AMD's processors alone (svm_get_msr, svm_set_msr). */
const AMD: readonly (readonly [number, PlainMsr])[] = [
  [MSR.IC_CFG, ZERO],
  [MSR.VM_IGNNE, { read: () => undefined, write: take }],
  [MSR.DE_CFG, kept(MSR.DE_CFG, SLOT.DE_CFG, ~DE_CFG_LFENCE)],
];

/** MSRs that are registers and no more, by index. */
export const PLAIN_MSRS: ReadonlyMap<number, PlainMsr> = new Map([...MTRRS, ...MACHINE_CHECK, ...MODEL_SPECIFIC]);
export const AMD_PLAIN_MSRS: ReadonlyMap<number, PlainMsr> = new Map(AMD);
