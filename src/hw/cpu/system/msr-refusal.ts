import { MSR } from '../../../isa/msrs';
import { because, type FaultReason } from '../../../isa/reasons/index';

/** MSRs that take canonical addresses alone. */
const ADDRESSES: ReadonlySet<number> = new Set([
  MSR.FS_BASE,
  MSR.GS_BASE,
  MSR.KERNEL_GS_BASE,
  MSR.LSTAR,
  MSR.CSTAR,
  MSR.SYSENTER_ESP,
  MSR.SYSENTER_EIP,
]);
export const isReadOnly = (msr: number): boolean =>
  msr === MSR.MTRRCAP || msr === MSR.MCG_CAP || (msr >= MSR.VMX_BASIC && msr <= MSR.VMX_TRUE_ENTRY_CTLS);

/** True, or the reason that bits of `mask` are set. `physicalBits`: MAXPHYADDR where the MSR holds a physical address, whose upper bits are reserved too. */
export function withoutReserved(msr: number, value: bigint, mask: bigint, physicalBits = 0): true | FaultReason {
  const above = physicalBits === 0 ? 0n : BigInt.asUintN(64, -1n << BigInt(physicalBits));
  const all = BigInt.asUintN(64, mask) | above;
  return (value & all) === 0n || because('msr-reserved', msr, value, all, physicalBits);
}

/** Why WRMSR was refused, for MSRs that say no more than that. `readable`: RDMSR would answer, so that the MSR exists. */
export function msrRefusal(msr: number, value: bigint, readable: boolean): FaultReason {
  if (!readable) return because('msr-unknown', msr);
  if (isReadOnly(msr)) return because('msr-read-only', msr);
  if (ADDRESSES.has(msr)) return because('msr-canonical', msr, value);
  return msr === MSR.PAT ? because('msr-pat', value) : because('msr-value', msr, value);
}
