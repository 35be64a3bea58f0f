import { bit, isCanonical } from '../../base/bits';
import { CR0, CR4, RFLAGS } from '../../isa/flags';
import { ENTRY_CTL, EXIT_CTL, INTR_INFO, PROC, SECONDARY } from '../../isa/vmcs-controls';
import type { VmcsFieldName } from '../../isa/vmcs-fields';
import { FIELD } from '../../isa/vmcs-fields';
import type { HostMemory } from '../memory/host-memory';
import type { VmxCapabilities } from './capabilities';
import type { Vmcs } from './vmcs';

/** What the checks depend on beside the VMCS. */
export interface CheckContext {
  readonly capabilities: VmxCapabilities;
  readonly memory: HostMemory;
  /** IA32_EFER.LMA of the CPU that would execute VMLAUNCH or VMRESUME. */
  readonly rootLongMode: boolean;
}

/** A VMCS as the VM-entry checks look at it: the fields that many checks share, read once. */
export class EntryView {
  readonly pin: number;
  readonly proc: number;
  /** 0 unless the secondary controls are activated. */
  readonly secondary: number;
  readonly exit: number;
  readonly entry: number;
  readonly ept: boolean;
  readonly unrestricted: boolean;
  /** "IA-32e mode guest". */
  readonly longGuest: boolean;
  /** "Host address-space size". */
  readonly longHost: boolean;
  readonly guestCr0: bigint;
  readonly guestCr4: bigint;
  readonly guestRflags: number;
  readonly protectedGuest: boolean;
  readonly v86: boolean;
  /** VM-entry interruption information; `injects`: its valid bit. */
  readonly info: number;
  readonly injects: boolean;
  readonly type: number;
  readonly vector: number;

  constructor(
    readonly vmcs: Vmcs,
    readonly context: CheckContext,
  ) {
    this.pin = vmcs.read32(FIELD.PIN_BASED_VM_EXEC_CONTROL);
    this.proc = vmcs.read32(FIELD.CPU_BASED_VM_EXEC_CONTROL);
    this.secondary =
      (this.proc & PROC.ACTIVATE_SECONDARY_CONTROLS) !== 0 ? vmcs.read32(FIELD.SECONDARY_VM_EXEC_CONTROL) : 0;
    this.exit = vmcs.read32(FIELD.VM_EXIT_CONTROLS);
    this.entry = vmcs.read32(FIELD.VM_ENTRY_CONTROLS);
    this.ept = (this.secondary & SECONDARY.ENABLE_EPT) !== 0;
    this.unrestricted = (this.secondary & SECONDARY.UNRESTRICTED_GUEST) !== 0;
    this.longGuest = (this.entry & ENTRY_CTL.IA32E_MODE) !== 0;
    this.longHost = (this.exit & EXIT_CTL.HOST_ADDR_SPACE_SIZE) !== 0;
    this.guestCr0 = vmcs.read(FIELD.GUEST_CR0);
    this.guestCr4 = vmcs.read(FIELD.GUEST_CR4);
    this.guestRflags = vmcs.read32(FIELD.GUEST_RFLAGS);
    this.protectedGuest = bit(this.guestCr0, CR0.PE);
    this.v86 = this.flag(RFLAGS.VM);
    this.info = vmcs.read32(FIELD.VM_ENTRY_INTR_INFO_FIELD);
    this.injects = (this.info & INTR_INFO.VALID) !== 0;
    this.type = (this.info >>> INTR_INFO.TYPE_SHIFT) & INTR_INFO.TYPE_MASK;
    this.vector = this.info & INTR_INFO.VECTOR_MASK;
  }

  u32(name: VmcsFieldName): number {
    return this.vmcs.read32(FIELD[name]);
  }
  u64(name: VmcsFieldName): bigint {
    return this.vmcs.read(FIELD[name]);
  }
  /** A flag of the guest's RFLAGS. */
  flag(n: number): boolean {
    return ((this.guestRflags >>> n) & 1) === 1;
  }
  get pagedGuest(): boolean {
    return bit(this.guestCr0, CR0.PG);
  }
  /** The guest uses PAE paging: PDPTEs are loaded. */
  get paeGuest(): boolean {
    return this.pagedGuest && bit(this.guestCr4, CR4.PAE) && !this.longGuest;
  }
  /** Within the physical-address width. */
  physical(address: bigint): boolean {
    return address >> BigInt(this.context.capabilities.processor.physicalBits) === 0n;
  }
  canonical(name: VmcsFieldName): boolean {
    return isCanonical(this.u64(name), this.context.capabilities.processor.linearBits);
  }
  /** Whether the field is 4 KiB aligned and within the physical-address width. */
  frame(name: VmcsFieldName): boolean {
    const address = this.u64(name);
    return (address & 0xfffn) === 0n && this.physical(address);
  }
  /** An MSR area: 16-byte aligned, its first and last byte within the physical-address width; free of rules when it has no entries. */
  msrArea(address: VmcsFieldName, count: VmcsFieldName): boolean {
    const n = this.u32(count);
    if (n === 0) return true;
    const at = this.u64(address);
    return (at & 0xfn) === 0n && this.physical(at) && this.physical(at + BigInt(n) * 16n - 1n);
  }
}

/** PAT: eight memory types, each 0 UC, 1 WC, 4 WT, 5 WP, 6 WB or 7 UC−. */
export function isValidPat(pat: bigint): boolean {
  for (let i = 0n; i < 8n; i++) {
    const type = (pat >> (8n * i)) & 0xffn;
    if (type > 7n || type === 2n || type === 3n) return false;
  }
  return true;
}
