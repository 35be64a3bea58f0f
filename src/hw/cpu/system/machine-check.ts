import { MSR } from '../../../isa/msrs';
import type { CpuState } from '../../state/cpu-state';
import { SLOT } from '../../state/layout';
import type { PlainMsr } from './plain-msr';

/** Banks, as QEMU gives every guest (MCE_BANKS_DEF). */
const BANKS = 10;
/** IA32_MCG_CAP (SDM vol. 3, figure 15-2): number of banks in 7:0, CTL_P 8, SER_P 24. */
const MCG_CAP = 0x0100_0100n | BigInt(BANKS);
const ALL = 0xffff_ffff_ffff_ffffn;
/** Registers of a bank. */
const CTL = 0;
const STATUS = 1;
/** Bits of IA32_MCi_CTL that kernels clear against errata of old processors, although only zeroes and ones are architectural. */
const CTL_ERRATA = (1n << 10n) | 1n;
/** HWCR.McStatusWrEn of AMD: software may write STATUS registers. */
const MC_STATUS_WRITE_ENABLE = 1n << 18n;

const refuse = (): boolean => false;

function bankRegister(slot: number, register: number): PlainMsr {
  return {
    feature: 'MCA',
    read: (s) => s.get(slot),
    write(s, value, { vendor }) {
      if (register === CTL && value !== 0n && (value | CTL_ERRATA) !== ALL) return false;
      // hardware sets STATUS, and software clears it
      if (
        register === STATUS &&
        value !== 0n &&
        !(vendor === 'amd' && (s.get(SLOT.HWCR) & MC_STATUS_WRITE_ENABLE) !== 0n)
      )
        return false;
      s.set(slot, value);
      return true;
    },
  };
}

/** The machine-check architecture's registers (SDM vol. 3, 15.3; APM vol. 2, 9.3). No machine check ever happens here. */
export const MACHINE_CHECK: readonly (readonly [number, PlainMsr])[] = [
  // of the Pentium, before there were banks
  [MSR.P5_MC_ADDR, { feature: 'MCE', read: () => 0n, write: refuse }],
  [MSR.P5_MC_TYPE, { feature: 'MCE', read: () => 0n, write: refuse }],
  [MSR.MCG_CAP, { feature: 'MCA', read: () => MCG_CAP, write: refuse }],
  [
    MSR.MCG_STATUS,
    {
      feature: 'MCA',
      read: (s) => s.get(SLOT.MCG_STATUS),
      write(s, value) {
        s.set(SLOT.MCG_STATUS, value);
        return true;
      },
    },
  ],
  [
    MSR.MCG_CTL,
    {
      feature: 'MCA',
      read: (s) => s.get(SLOT.MCG_CTL),
      write(s, value) {
        if (value !== 0n && value !== ALL) return false;
        s.set(SLOT.MCG_CTL, value);
        return true;
      },
    },
  ],
  ...Array.from({ length: BANKS * 4 }, (_, i): [number, PlainMsr] => [
    MSR.MC0_CTL + i,
    bankRegister(SLOT.MC_BANKS + i, i & 3),
  ]),
];

/** After power-up every error is reported, as firmware (in a VM, KVM_X86_SETUP_MCE) leaves it. */
export function resetMachineCheck(s: CpuState): void {
  s.set(SLOT.MCG_STATUS, 0n);
  s.set(SLOT.MCG_CTL, ALL);
  for (let i = 0; i < BANKS * 4; i++) s.set(SLOT.MC_BANKS + i, (i & 3) === CTL ? ALL : 0n);
}
