import { FIELD } from '../../isa/vmcs-fields';
import { PROC } from '../../isa/vmcs-controls';
import type { Vmcs } from './vmcs';

/**
 * The controls of the current VMCS as the processor holds them in non-root operation: decoded at VM entry, so that an intercept is a test of a number.
 * All of it can be decoded again from the VMCS, whose bytes are in memory.
 */
export class VmxControls {
  pin = 0;
  proc = 0;
  /** 0 unless the secondary controls are activated. */
  secondary = 0;
  exit = 0;
  entry = 0;
  exceptionBitmap = 0;
  pfecMask = 0;
  pfecMatch = 0;
  cr0Mask = 0n;
  cr0Shadow = 0n;
  cr4Mask = 0n;
  cr4Shadow = 0n;
  cr3Targets: readonly bigint[] = [];
  ioBitmapA = 0n;
  ioBitmapB = 0n;
  msrBitmap = 0n;
  eptPointer = 0n;
  /** As the field has it; in force only with "enable VPID". */
  vpid = 0;
  tscOffset = 0n;

  decode(vmcs: Vmcs): void {
    this.pin = vmcs.read32(FIELD.PIN_BASED_VM_EXEC_CONTROL);
    this.proc = vmcs.read32(FIELD.CPU_BASED_VM_EXEC_CONTROL);
    this.secondary =
      (this.proc & PROC.ACTIVATE_SECONDARY_CONTROLS) !== 0 ? vmcs.read32(FIELD.SECONDARY_VM_EXEC_CONTROL) : 0;
    this.exit = vmcs.read32(FIELD.VM_EXIT_CONTROLS);
    this.entry = vmcs.read32(FIELD.VM_ENTRY_CONTROLS);
    this.exceptionBitmap = vmcs.read32(FIELD.EXCEPTION_BITMAP);
    this.pfecMask = vmcs.read32(FIELD.PAGE_FAULT_ERROR_CODE_MASK);
    this.pfecMatch = vmcs.read32(FIELD.PAGE_FAULT_ERROR_CODE_MATCH);
    this.cr0Mask = vmcs.read(FIELD.CR0_GUEST_HOST_MASK);
    this.cr0Shadow = vmcs.read(FIELD.CR0_READ_SHADOW);
    this.cr4Mask = vmcs.read(FIELD.CR4_GUEST_HOST_MASK);
    this.cr4Shadow = vmcs.read(FIELD.CR4_READ_SHADOW);
    const count = Math.min(4, vmcs.read32(FIELD.CR3_TARGET_COUNT));
    const targets: bigint[] = [];
    for (let i = 0; i < count; i++) targets.push(vmcs.read(FIELD.CR3_TARGET_VALUE0 + 2 * i));
    this.cr3Targets = targets;
    this.ioBitmapA = vmcs.read(FIELD.IO_BITMAP_A);
    this.ioBitmapB = vmcs.read(FIELD.IO_BITMAP_B);
    this.msrBitmap = vmcs.read(FIELD.MSR_BITMAP);
    this.eptPointer = vmcs.read(FIELD.EPT_POINTER);
    this.vpid = vmcs.read32(FIELD.VIRTUAL_PROCESSOR_ID);
    this.tscOffset = (this.proc & PROC.USE_TSC_OFFSETTING) !== 0 ? vmcs.read(FIELD.TSC_OFFSET) : 0n;
  }
}
