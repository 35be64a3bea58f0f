import type { VMX_EXIT } from '../../isa/exits';
import { ENTRY_CTL, EXIT_REASON_ENTRY_FAILURE, INTR_INFO } from '../../isa/vmcs-controls';
import type { InterruptionType } from '../../isa/vmcs-controls';
import { FIELD } from '../../isa/vmcs-fields';
import type { VmExit } from '../state/event';
import type { Interruption } from '../state/interruption';
import { interruptionInfo, isSoftware } from '../state/interruption';
import type { Vmcs } from './vmcs';

/**
 * Writes the VM-exit information fields (SDM vol. 3, 27.2) and clears the valid bit of the VM-entry interruption information (27.2, last paragraph).
 * `vectoring`: the event whose delivery through the IDT the exit interrupted. Fields the exit does not define become 0.
 */
export function recordExit(vmcs: Vmcs, exit: VmExit, vectoring?: Interruption): void {
  vmcs.write32(FIELD.VM_EXIT_REASON, exit.reason);
  vmcs.write(FIELD.EXIT_QUALIFICATION, exit.qualification);
  vmcs.write(FIELD.GUEST_LINEAR_ADDRESS, exit.guestLinearAddress ?? 0n);
  vmcs.write(FIELD.GUEST_PHYSICAL_ADDRESS, exit.guestPhysicalAddress ?? 0n);
  vmcs.write32(FIELD.VM_EXIT_INTR_INFO, exit.interruptionInfo ?? 0);
  vmcs.write32(FIELD.VM_EXIT_INTR_ERROR_CODE, exit.interruptionErrorCode ?? 0);
  vmcs.write32(FIELD.IDT_VECTORING_INFO_FIELD, vectoring ? interruptionInfo(vectoring) : 0);
  vmcs.write32(FIELD.IDT_VECTORING_ERROR_CODE, vectoring?.errorCode ?? 0);
  vmcs.write32(
    FIELD.VM_EXIT_INSTRUCTION_LEN,
    exit.instructionLength ?? (vectoring && isSoftware(vectoring.type) ? (vectoring.instructionLength ?? 0) : 0),
  );
  vmcs.write32(FIELD.VMX_INSTRUCTION_INFO, exit.instructionInfo ?? 0);
  const entryInfo = vmcs.read32(FIELD.VM_ENTRY_INTR_INFO_FIELD);
  if ((entryInfo & INTR_INFO.VALID) !== 0) vmcs.write32(FIELD.VM_ENTRY_INTR_INFO_FIELD, entryInfo & ~INTR_INFO.VALID);
}

/** A VM-entry failure during or after loading guest state: reason with bit 31 and the qualification; the other exit fields stay (26.8). */
export function recordEntryFailure(
  vmcs: Vmcs,
  reason: typeof VMX_EXIT.INVALID_STATE | typeof VMX_EXIT.MSR_LOAD_FAIL,
  qualification: bigint,
): VmExit {
  vmcs.write32(FIELD.VM_EXIT_REASON, (reason | EXIT_REASON_ENTRY_FAILURE) >>> 0);
  vmcs.write(FIELD.EXIT_QUALIFICATION, qualification);
  return { reason, qualification };
}

/** Since "unrestricted guest" exists, every VM exit stores IA32_EFER.LMA in the "IA-32e mode guest" control (27.2; VMX_MISC bit 5). */
export function recordLongMode(vmcs: Vmcs, lma: boolean): void {
  const entry = vmcs.read32(FIELD.VM_ENTRY_CONTROLS);
  if (((entry & ENTRY_CTL.IA32E_MODE) !== 0) !== lma)
    vmcs.write32(FIELD.VM_ENTRY_CONTROLS, entry ^ ENTRY_CTL.IA32E_MODE);
}

/** The event that VM entry injects (24.8.3, 26.6.1), or undefined when the valid bit of the VM-entry interruption information is 0. */
export function eventToInject(vmcs: Vmcs): Interruption | undefined {
  const info = vmcs.read32(FIELD.VM_ENTRY_INTR_INFO_FIELD);
  if ((info & INTR_INFO.VALID) === 0) return undefined;
  const type = ((info >>> INTR_INFO.TYPE_SHIFT) & INTR_INFO.TYPE_MASK) as InterruptionType;
  const vector = info & INTR_INFO.VECTOR_MASK;
  return {
    type,
    vector,
    ...((info & INTR_INFO.DELIVER_CODE) !== 0 ? { errorCode: vmcs.read32(FIELD.VM_ENTRY_EXCEPTION_ERROR_CODE) } : {}),
    ...(isSoftware(type) ? { instructionLength: vmcs.read32(FIELD.VM_ENTRY_INSTRUCTION_LEN) } : {}),
  };
}
