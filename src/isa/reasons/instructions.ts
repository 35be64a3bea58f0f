import { hex } from '../../base/hex';
import { rule } from './rule';

/** x87 status and MXCSR flags, bit 0 first (SDM vol. 1, 8.1.3 and 10.2.3). */
const FP_EXCEPTIONS = [
  'invalid operation',
  'denormal operand',
  'division by zero',
  'overflow',
  'underflow',
  'precision',
] as const;
const floatExceptions = (flags: number): string =>
  FP_EXCEPTIONS.filter((_, n) => ((flags >> n) & 1) === 1).join(', ') || 'none';

/**
 * Instructions that do not exist or are unavailable here, and instructions that cannot execute in the current state.
 */
export const INSTRUCTION_RULES = {
  'opcode-invalid': rule('SDM vol. 3, 6.15', (bits: number) => {
    return `these bytes are not an instruction in ${bits}-bit code`;
  }),
  'lock-prefix': rule('SDM vol. 2, LOCK', () => {
    return 'a LOCK prefix is not allowed with this instruction, or not without a memory destination';
  }),
  'opcode-ud': rule('SDM vol. 2, UD', () => 'the instruction is defined to raise #UD'),
  'opcode-not-in-model': rule('SDM vol. 2, CPUID', () => 'this CPU model does not have the instruction'),
  'feature-absent': rule('SDM vol. 2, CPUID', (feature: string) => `this CPU model does not have ${feature}`),
  'mode-paragraph': rule('SDM vol. 3, 20.1.3', () => 'it does not exist in real and virtual-8086 mode'),
  'mode-not-64-bit': rule('SDM vol. 2', () => 'it exists only in 64-bit mode'),
  'mode-long-amd': rule('APM vol. 3', () => "AMD's processors do not have it in long mode"),
  'load-cs': rule('SDM vol. 2, MOV', () => 'CS cannot be loaded by MOV'),
  'control-register': rule('SDM vol. 2, MOV CR', (index: number) => `CR${index} does not exist`),
  'debug-register': rule('SDM vol. 2, MOV DR', (index: number) => `DR${index} does not exist`),
  'debug-register-alias': rule('SDM vol. 3, 17.2.2', (index: number) => {
    return `DR${index} is not an alias of DR${index + 2} while CR4.DE = 1`;
  }),
  'cpl-undefined': rule('SDM vol. 2', (cpl: number) => `CPL is ${cpl}; above CPL 0 it is not defined`),
  /** `flag`: in CR4 or EFER. */
  'not-enabled': rule('SDM vol. 3, 2.5', (flag: string) => `${flag} = 0: the operating system has not enabled it`),
  'control-off': rule('SDM vol. 3, 24.6.2', (control: string) => {
    return `the VM-execution control "${control}" is 0: the guest does not have the instruction`;
  }),
  'vmx-off': rule('SDM vol. 3, 23.7', () => 'the CPU is not in VMX operation'),
  'vmx-not-offered': rule(
    'arch/x86/kvm/vmx/vmx.c, handle_vmx_instruction',
    () => 'KVM does not offer VMX to this guest',
  ),
  'not-emulated': rule('arch/x86/kvm/x86.c, handle_emulation_failure', () => {
    return 'KVM had to emulate the instruction and cannot';
  }),
  'svm-off': rule('APM vol. 2, 15.4', () => 'EFER.SVME = 0, or the guest is not offered SVM'),
  'vmmcall-alone': rule('APM vol. 3, VMMCALL', () => 'no hypervisor intercepts it'),
  'smm-only': rule('SDM vol. 2, RSM', () => 'the CPU is not in system-management mode'),
  'no-security-device': rule('APM vol. 3, SKINIT', () => 'this CPU model has no SKINIT (CPUID 8000_0001 ECX)'),

  'divide-zero': rule('SDM vol. 2, DIV', () => 'the divisor is zero'),
  'divide-overflow': rule('SDM vol. 2, DIV', (bits: number) => `the quotient does not fit in ${bits} bits`),
  'bound-range': rule('SDM vol. 2, BOUND', (index: bigint, lower: bigint, upper: bigint) => {
    return `the index ${index} is outside the bounds ${lower} to ${upper}`;
  }),

  'fpu-emulated': rule('SDM vol. 3, 2.5', () => 'CR0.EM = 1: there is no x87 unit to use'),
  'fpu-switched': rule('SDM vol. 3, 2.5', () => 'CR0.TS = 1: the registers may hold the state of another task'),
  'wait-switched': rule('SDM vol. 3, 2.5', () => 'CR0.TS = 1 and CR0.MP = 1: WAIT traps as x87 instructions do'),
  'sse-emulated': rule('SDM vol. 3, 13.1.2', () => 'CR0.EM = 1'),
  'sse-not-enabled': rule('SDM vol. 3, 13.1.2', () => 'CR4.OSFXSR = 0: the operating system has not enabled SSE'),
  'float-pending': rule('SDM vol. 3, 6.15', (flags: number) => {
    return `an x87 exception is pending and unmasked: ${floatExceptions(flags)}`;
  }),
  'simd-exception': rule('SDM vol. 3, 6.15', (flags: number) => {
    return `an unmasked SIMD floating-point exception: ${floatExceptions(flags)}`;
  }),
  'simd-exception-undefined': rule('SDM vol. 3, 13.1.2', (flags: number) => {
    return `an unmasked SIMD floating-point exception (${floatExceptions(flags)}) while CR4.OSXMMEXCPT = 0`;
  }),
  mxcsr: rule('SDM vol. 1, 10.2.3', (value: number) => `MXCSR ${hex(value)} sets reserved bits above bit 15`),
  'xsave-header': rule('SDM vol. 1, 13.8.1', (present: bigint, compaction: bigint, xcr0: bigint) => {
    return compaction !== 0n
      ? `XCOMP_BV in the XSAVE header is ${hex(compaction)}; this CPU model supports only the standard form`
      : (present & ~xcr0) !== 0n
        ? `XSTATE_BV ${hex(present)} in the XSAVE header has components that XCR0 ${hex(xcr0)} does not enable`
        : 'bytes 23:8 of the XSAVE header are not zero';
  }),

  'software-interrupt': rule('SDM vol. 2, INT n', (vector: number) => `the program asks for vector ${hex(vector)}`),
  'breakpoint-instruction': rule('SDM vol. 2, INT3', () => 'a breakpoint instruction'),
  'overflow-instruction': rule('SDM vol. 2, INTO', () => 'RFLAGS.OF = 1'),
  'debug-instruction': rule('SDM vol. 2, INT1', () => 'the program asks for a debug exception'),
} as const;
