import { hpa } from '../../base/address';
import { MSR } from '../../isa/msrs';
import type { HostMemory } from '../memory/host-memory';

/** RDMSR and WRMSR at CPL 0, as the MSR areas use them; undefined or false is what would be #GP. */
export interface MsrAccess {
  read(index: number): bigint | undefined;
  write(index: number, value: bigint): boolean;
}

/**
 * An MSR area: `count` entries of 16 bytes (SDM vol. 3, 24.7.2).
 *
 *   127..64   63..32    31..0
 *  | value  |reserved 0| index |
 */
const ENTRY = 16;
const X2APIC_FIRST = 0x800;
const X2APIC_LAST = 0x8ff;
const SMM_MONITOR_CTL = 0x9b;
const SMBASE = 0x9e;

/** Loads the area in order (26.4, 27.6). Returns the 1-based number of the entry that could not be loaded, or 0. */
export function loadMsrArea(memory: HostMemory, msr: MsrAccess, address: bigint, count: number, limit: number): number {
  for (let i = 0; i < count; i++) {
    const at = address + BigInt(i * ENTRY);
    if (i >= limit || !memory.contains(at, ENTRY)) return i + 1;
    const head = memory.read64(hpa(at));
    const index = Number(head & 0xffff_ffffn);
    const refused =
      index === MSR.FS_BASE ||
      index === MSR.GS_BASE ||
      (index >= X2APIC_FIRST && index <= X2APIC_LAST) ||
      index === SMM_MONITOR_CTL;
    if (head >> 32n !== 0n || refused || !msr.write(index, memory.read64(hpa(at + 8n)))) return i + 1;
  }
  return 0;
}

/** Stores the MSRs that the area names into it (27.4). Returns the 1-based number of the entry that could not be stored, or 0. */
export function storeMsrArea(
  memory: HostMemory,
  msr: MsrAccess,
  address: bigint,
  count: number,
  limit: number,
): number {
  for (let i = 0; i < count; i++) {
    const at = address + BigInt(i * ENTRY);
    if (i >= limit || !memory.contains(at, ENTRY)) return i + 1;
    const head = memory.read64(hpa(at));
    const index = Number(head & 0xffff_ffffn);
    const refused = index === SMBASE || (index >= X2APIC_FIRST && index <= X2APIC_LAST);
    const value = head >> 32n !== 0n || refused ? undefined : msr.read(index);
    if (value === undefined) return i + 1;
    memory.write64(hpa(at + 8n), value);
  }
  return 0;
}
