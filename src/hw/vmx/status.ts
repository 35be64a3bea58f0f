import { RFLAGS } from '../../isa/flags';
import type { CpuState } from '../state/cpu-state';

/** VM-instruction errors (SDM vol. 3, 30.4), by number. */
export const VM_INSTRUCTION_ERRORS = {
  1: 'VMCALL executed in VMX root operation',
  2: 'VMCLEAR with invalid physical address',
  3: 'VMCLEAR with VMXON pointer',
  4: 'VMLAUNCH with non-clear VMCS',
  5: 'VMRESUME with non-launched VMCS',
  6: 'VMRESUME after VMXOFF',
  7: 'VM entry with invalid control field(s)',
  8: 'VM entry with invalid host-state field(s)',
  9: 'VMPTRLD with invalid physical address',
  10: 'VMPTRLD with VMXON pointer',
  11: 'VMPTRLD with incorrect VMCS revision identifier',
  12: 'VMREAD/VMWRITE from/to unsupported VMCS component',
  13: 'VMWRITE to read-only VMCS component',
  15: 'VMXON executed in VMX root operation',
  16: 'VM entry with invalid executive-VMCS pointer',
  17: 'VM entry with non-launched executive VMCS',
  18: 'VM entry with executive-VMCS pointer not VMXON pointer',
  19: 'VMCALL with non-clear VMCS',
  20: 'VMCALL with invalid VM-exit control fields',
  22: 'VMCALL with incorrect MSEG revision identifier',
  23: 'VMXOFF under dual-monitor treatment of SMIs and SMM',
  24: 'VMCALL with invalid SMM-monitor features',
  25: 'VM entry with invalid VM-execution control fields in executive VMCS',
  26: 'VM entry with events blocked by MOV SS',
  28: 'Invalid operand to INVEPT/INVVPID',
} as const;
export type VmInstructionError = keyof typeof VM_INSTRUCTION_ERRORS;

/** How a VMX instruction ended (30.2). */
export type VmxStatus = VmSucceed | VmxFailure;
export interface VmSucceed {
  readonly kind: 'succeed';
}
export type VmxFailure =
  /** No current VMCS to hold an error number. */
  | { readonly kind: 'fail-invalid' }
  /** The error number is in the current VMCS's VM-instruction error field. */
  | { readonly kind: 'fail-valid'; readonly error: VmInstructionError; readonly message: string };

export const SUCCEED: VmSucceed = { kind: 'succeed' };
export const FAIL_INVALID: VmxFailure = { kind: 'fail-invalid' };
export const failValid = (error: VmInstructionError): VmxFailure => ({
  kind: 'fail-valid',
  error,
  message: VM_INSTRUCTION_ERRORS[error],
});

/** CF, PF, AF, ZF, SF, OF as the status says: VMsucceed clears all, VMfailInvalid sets CF, VMfailValid sets ZF. */
export function applyStatus(state: CpuState, status: VmxStatus): void {
  const cleared = state.rflags & ~0x8d5n;
  const set =
    status.kind === 'succeed' ? 0n : status.kind === 'fail-invalid' ? 1n << BigInt(RFLAGS.CF) : 1n << BigInt(RFLAGS.ZF);
  state.rflags = cleared | set;
}
