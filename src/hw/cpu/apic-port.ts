import type { FaultReason } from '../../isa/reasons/index';

/** The local APIC as its CPU reaches it other than through memory. */
export interface ApicPort {
  /** IA32_APIC_BASE, IA32_TSC_DEADLINE and the x2APIC range: whether the MSR is the APIC's. */
  owns(msr: number): boolean;
  /** Undefined, and anything but true: #GP(0). */
  readMsr(msr: number): bigint | undefined;
  writeMsr(msr: number, value: bigint): boolean | FaultReason;
  /** CR8 was written: bits 7:4 of the task priority. */
  setPriority(cr8: number): void;
  /** The interrupt-acknowledge cycle: the vector to deliver now. */
  acknowledge(): number;
}
