/** Instructions that do not exist where they stand, arithmetic, x87 and SSE, and those that raise an exception on purpose. */
import type { SvmInstructions } from '../../../src/hw/cpu/core';
import { PAGEWALK_SVM } from '../../../src/hw/cpu/cpuid-model';
import type { Intercepts } from '../../../src/hw/state/intercepts';
import { SLOT, type Machine } from '../../hw/system/machine';
import { check, cr0, cr4, rax, rcx } from '../support/exception-reasons';

export function instructions(): void {
  check('opcode-invalid', 'long', 'db 0x06', 'these bytes are not an instruction in 64-bit code');
  check(
    'lock-prefix',
    'long',
    'db 0xf0, 0x89, 0xc0',
    'a LOCK prefix is not allowed with this instruction, or not without a memory destination',
  );
  check(
    'control-off',
    'long',
    'rdtscp',
    'the VM-execution control "enable RDTSCP" is 0: the guest does not have the instruction',
    {
      prepare: (m) => void (m.core.intercepts = { isUndefined: () => true } as unknown as Intercepts),
    },
  );
  check(
    'vmcb-address',
    'long',
    'vmload',
    'RAX 0x123 is not the address of a VMCB: it must be a multiple of 4 KiB below MAXPHYADDR',
    {
      model: PAGEWALK_SVM,
      prepare: (m) => {
        m.core.svmInstructions = { enabled: true, isVmcb: () => false } as unknown as SvmInstructions;
        rax(m, 0x123n);
      },
    },
  );
  check('opcode-ud', 'long', 'ud2', 'the instruction is defined to raise #UD');
  check('opcode-not-in-model', 'long', 'vaddps ymm0, ymm1, ymm2', 'this CPU model does not have the instruction');
  check('feature-absent', 'long', 'vmrun', 'this CPU model does not have SVM');
  check('mode-paragraph', 'real', 'str ax', 'it does not exist in real and virtual-8086 mode');
  check('mode-not-64-bit', 'protected', 'db 0x0f, 0x05', 'it exists only in 64-bit mode', {
    prepare: (m) => m.state.set(SLOT.EFER, 1n),
  });
  check('mode-long-amd', 'long', 'sysenter', "AMD's processors do not have it in long mode", { model: PAGEWALK_SVM });
  check('load-cs', 'protected', 'db 0x8e, 0xc8', 'CS cannot be loaded by MOV');
  check('control-register', 'long', 'db 0x0f, 0x20, 0xc8', 'CR1 does not exist');
  check('debug-register', 'long', 'db 0x44, 0x0f, 0x21, 0xc0', 'DR8 does not exist');
  check('debug-register-alias', 'long', 'mov rax, dr4', 'DR4 is not an alias of DR6 while CR4.DE = 1', {
    prepare: (m) => cr4(m, 8n),
  });
  check('cpl-undefined', 'long', 'stac', 'CPL is 3; above CPL 0 it is not defined', { cpl3: true });
  check('not-enabled', 'long', 'xgetbv', 'CR4.OSXSAVE = 0: the operating system has not enabled it');
  check('vmx-off', 'long', 'vmxoff', 'the CPU is not in VMX operation');
  check('svm-off', 'long', 'vmrun', 'EFER.SVME = 0, or the guest is not offered SVM', { model: PAGEWALK_SVM });
  check('vmmcall-alone', 'long', 'vmmcall', 'no hypervisor intercepts it');
  check('smm-only', 'long', 'rsm', 'the CPU is not in system-management mode');
  check('no-security-device', 'long', 'skinit', 'this CPU model has no SKINIT (CPUID 8000_0001 ECX)');
  check('divide-zero', 'long', 'div cl', 'the divisor is zero');
  check('divide-overflow', 'long', 'div cl', 'the quotient does not fit in 8 bits', {
    prepare: (m) => {
      rax(m, 0x1000n);
      rcx(m, 1n);
    },
  });
  check('bound-range', 'protected', 'bound eax, [0x4000]', 'the index 9 is outside the bounds 1 to 8', {
    prepare: (m) => {
      rax(m, 9n);
      m.write(0x4000, 4, 1n);
      m.write(0x4004, 4, 8n);
    },
  });
  check('fpu-emulated', 'long', 'fld1', 'CR0.EM = 1: there is no x87 unit to use', { prepare: (m) => cr0(m, 4n) });
  check('fpu-switched', 'long', 'fld1', 'CR0.TS = 1: the registers may hold the state of another task', {
    prepare: (m) => cr0(m, 8n),
  });
  check('wait-switched', 'long', 'wait', 'CR0.TS = 1 and CR0.MP = 1: WAIT traps as x87 instructions do', {
    prepare: (m) => cr0(m, 10n),
  });
  const sse = (m: Machine): void => cr4(m, 0x200n);
  check('sse-emulated', 'long', 'addps xmm0, xmm1', 'CR0.EM = 1', {
    prepare: (m) => {
      sse(m);
      cr0(m, 4n);
    },
  });
  check('sse-not-enabled', 'long', 'addps xmm0, xmm1', 'CR4.OSFXSR = 0: the operating system has not enabled SSE');
  check('float-pending', 'long', 'fld1', 'an x87 exception is pending and unmasked: division by zero', {
    prepare: (m) => {
      m.state.set32(SLOT.FCW, 0x37b);
      m.state.set32(SLOT.FSW, 0x8084);
    },
  });
  const divideByZero = (m: Machine): void => {
    sse(m);
    m.state.set32(SLOT.MXCSR, 0x1f80 & ~(1 << 9));
    m.state.set(SLOT.XMM, 0x3f80_0000n);
    m.state.set(SLOT.XMM + 2, 0n);
  };
  check('simd-exception', 'long', 'divss xmm0, xmm1', 'an unmasked SIMD floating-point exception: division by zero', {
    prepare: (m) => {
      divideByZero(m);
      cr4(m, 0x400n);
    },
  });
  check(
    'simd-exception-undefined',
    'long',
    'divss xmm0, xmm1',
    'an unmasked SIMD floating-point exception (division by zero) while CR4.OSXMMEXCPT = 0',
    { prepare: divideByZero },
  );
  check('mxcsr', 'long', 'ldmxcsr [0x4000]', 'MXCSR 0x10000 sets reserved bits above bit 15', {
    prepare: (m) => {
      sse(m);
      m.write(0x4000, 4, 0x1_0000n);
    },
  });
  check(
    'xsave-header',
    'long',
    'xrstor [0x4000]',
    'XSTATE_BV 0x8 in the XSAVE header has components that XCR0 0x1 does not enable',
    {
      prepare: (m) => {
        cr4(m, 1n << 18n);
        m.state.set(SLOT.XCR0, 1n);
        m.write(0x4200, 8, 8n);
      },
    },
  );
  check('software-interrupt', 'long', 'int 0x30', 'the program asks for vector 0x30');
  check('breakpoint-instruction', 'long', 'int3', 'a breakpoint instruction');
  check('overflow-instruction', 'protected', 'into', 'RFLAGS.OF = 1', {
    prepare: (m) => void (m.state.rflags |= 1n << 11n),
  });
  check('debug-instruction', 'long', 'int1', 'the program asks for a debug exception');
  check('debug', 'long', 'mov rax, dr0', 'an access to a debug register while DR7.GD = 1', {
    prepare: (m) => m.state.set(SLOT.DR7, 0x2400n),
  });
}
