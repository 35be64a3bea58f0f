/** Control registers, debug registers, XCR0, PKRU, INVPCID and MSRs: every rule, with an instruction that breaks it. */
import { PAGEWALK_SVM, PAGEWALK_X64, PAGEWALK_X64_LA57 } from '../../../src/hw/cpu/cpuid-model';
import { SEG, SLOT, type Machine } from '../../hw/system/machine';
import { NOT_CANONICAL, check, cr4, rax, rcx, wrmsr } from '../support/exception-reasons';

export function registers(): void {
  const to = (value: bigint, prepare?: (m: Machine) => void) => ({
    prepare: (m: Machine) => {
      prepare?.(m);
      rax(m, value);
    },
  });
  const lme = (m: Machine): void => m.state.set(SLOT.EFER, 0x100n);
  check(
    'cr0-upper',
    'long',
    'mov cr0, rax',
    'CR0 bits 63:32 must be zero; the value is 0x100000001',
    to(0x1_0000_0001n),
  );
  check('cr0-pg-pe', 'protected', 'mov cr0, eax', 'CR0.PG cannot be 1 while CR0.PE = 0', to(0x8000_0010n));
  check('cr0-nw-cd', 'protected', 'mov cr0, eax', 'CR0.NW cannot be 1 while CR0.CD = 0', to(0x2000_0011n));
  check(
    'cr0-pg-pae',
    'protected',
    'mov cr0, eax',
    'CR0.PG cannot be set with EFER.LME = 1 while CR4.PAE = 0',
    to(0x8000_0011n, lme),
  );
  check(
    'cr0-pg-cs-l',
    'protected',
    'mov cr0, eax',
    'CR0.PG cannot be set with EFER.LME = 1 while CS.L = 1',
    to(0x8000_0011n, (m) => {
      lme(m);
      cr4(m, 0x20n);
      m.state.set32(SLOT.RIGHTS + SEG.CS, 0xa09b | (1 << 14));
    }),
  );
  check(
    'cr0-pg-tss',
    'protected',
    'mov cr0, eax',
    'CR0.PG cannot be set with EFER.LME = 1 while TR holds a 16-bit TSS',
    to(0x8000_0011n, (m) => {
      lme(m);
      cr4(m, 0x20n);
      m.state.set32(SLOT.RIGHTS + SEG.TR, 0x83);
    }),
  );
  check('cr0-pg-long', 'long', 'mov cr0, rax', 'CR0.PG cannot be cleared in 64-bit mode', to(0x11n));
  check(
    'cr0-pg-pcide',
    'compat',
    'mov cr0, eax',
    'CR0.PG cannot be cleared while CR4.PCIDE = 1',
    to(0x11n, (m) => cr4(m, 1n << 17n)),
  );
  check(
    'pdpte',
    'protected',
    'mov cr0, eax',
    'PDPTE 1 (0x1007) is present with reserved bits set: bit 1, bit 2',
    to(0x8000_0011n, (m) => {
      cr4(m, 0x20n);
      m.state.set(SLOT.CR3, 0x9000n);
      m.write(0x9008, 8, 0x1007n);
    }),
  );
  check(
    'cr3-reserved',
    'long',
    'mov cr3, rax',
    `CR3 0x8000000000000 has bits above MAXPHYADDR ${PAGEWALK_X64.physicalBits}`,
    to(1n << 51n),
  );
  check(
    'cr4-reserved',
    'long',
    'mov cr4, rax',
    'CR4 bits that this CPU model does not have: LA57, bit 40',
    to((1n << 40n) | 0x1020n),
  );
  check('cr4-pae', 'long', 'mov cr4, rax', 'CR4.PAE cannot change while EFER.LMA = 1', to(0n));
  check('cr4-la57', 'long', 'mov cr4, rax', 'CR4.LA57 cannot change while EFER.LMA = 1', {
    model: PAGEWALK_X64_LA57,
    ...to(0x1020n),
  });
  check('cr4-pcide-mode', 'protected', 'mov cr4, eax', 'CR4.PCIDE cannot be set outside IA-32e mode', to(1n << 17n));
  check(
    'cr4-pcide-cr3',
    'long',
    'mov cr4, rax',
    'CR4.PCIDE cannot be set while CR3 bits 11:0 are not zero; CR3 is 0x9018',
    to((1n << 17n) | 0x20n, (m) => m.state.set(SLOT.CR3, 0x9018n)),
  );
  check('cr8-reserved', 'long', 'mov cr8, rax', 'CR8 holds 4 bits; the value is 0x10', to(0x10n));
  check('debug-upper', 'long', 'mov dr7, rax', 'DR7 bits 63:32 must be zero; the value is 0x100000000', to(1n << 32n));
  const xsave = (m: Machine): void => cr4(m, 1n << 18n);
  check('xcr-index', 'long', 'xgetbv', 'there is no XCR5; ECX must be 0', {
    prepare: (m) => {
      xsave(m);
      rcx(m, 5n);
    },
  });
  check(
    'xcr0-value',
    'long',
    'xsetbv',
    'XCR0 cannot be 0x6: bit 0 (x87) must be set, and of the others this CPU model supports only bit 1 (SSE)',
    to(6n, (m) => {
      xsave(m);
      m.state.set(2, 0n);
    }),
  );
  const pke = (m: Machine): void => cr4(m, 1n << 22n);
  check('pkru-ecx', 'long', 'rdpkru', 'ECX is 0x2; it must be 0', {
    prepare: (m) => {
      pke(m);
      rcx(m, 2n);
    },
  });
  check('pkru-edx', 'long', 'wrpkru', 'EDX is 0x3; it must be 0', {
    prepare: (m) => {
      pke(m);
      m.state.set(2, 3n);
    },
  });
  check('invpcid-type', 'long', 'invpcid rax, [0x4000]', 'the type 4 is above 3', to(4n));
  check(
    'invpcid-reserved',
    'long',
    'invpcid rax, [0x4000]',
    'bits 63:12 of the descriptor must be zero; it begins with 0x1000',
    to(0n, (m) => m.write(0x4000, 8, 0x1000n)),
  );
  check(
    'invpcid-pcide',
    'long',
    'invpcid rax, [0x4000]',
    'PCID 5 is not zero while CR4.PCIDE = 0',
    to(1n, (m) => m.write(0x4000, 8, 5n)),
  );
  check('table-base', 'long', 'lgdt [0x4000]', 'the base 0x800000000000 is not canonical', {
    prepare: (m) => m.write(0x4002, 8, NOT_CANONICAL),
  });
  check('sysenter-cs', 'protected', 'sysenter', 'IA32_SYSENTER_CS bits 15:2 are zero');
  check('sysenter-mode', 'real', 'sysenter', 'CR0.PE = 0: the CPU is in real mode');
  check('sysret-rip', 'long', 'o64 sysret', 'RCX 0x800000000000 is not a canonical return address', {
    prepare: (m) => rcx(m, NOT_CANONICAL),
  });
  check(
    'segment-base',
    'long',
    'wrfsbase rax',
    'the base 0x800000000000 is not canonical',
    to(NOT_CANONICAL, (m) => cr4(m, 1n << 16n)),
  );
  check('msr-unknown', 'long', 'rdmsr', 'MSR 0x12345 does not exist on this CPU model', {
    prepare: (m) => rcx(m, 0x12345n),
  });
  check('msr-read-only', 'long', 'wrmsr', 'MTRRCAP is read-only', { prepare: (m) => wrmsr(m, 0xfe, 0n) });
  check('msr-value', 'long', 'wrmsr', 'MCG_CTL does not take the value 0x2', { prepare: (m) => wrmsr(m, 0x17b, 2n) });
  const refused = (msr: number, value: bigint, sentence: string, model = PAGEWALK_X64): void =>
    check('msr-reserved', 'long', 'wrmsr', sentence, { model, prepare: (m) => wrmsr(m, msr, value) });
  refused(0x2ff, 0x306n, 'MTRR_DEF_TYPE 0x306 has reserved bits set: bits 9:8');
  refused(0x200, 0xf06n, 'MTRR_PHYSBASE0 0xf06 has reserved bits set: bits 11:8');
  refused(0xc000_0084, 1n << 32n, 'SFMASK 0x100000000 has reserved bits set: bit 32');
  refused(0xc000_0103, 1n << 33n, 'TSC_AUX 0x200000000 has reserved bits set: bit 33');
  refused(0x3a, 0x10n, 'FEATURE_CONTROL 0x10 has reserved bits set: bit 4');
  refused(0x1d9, 0x4cn, 'DEBUGCTL 0x4c has reserved bits set: bits 3:2, bit 6');
  refused(0xc001_0117, 0x10n, 'VM_HSAVE_PA 0x10 has reserved bits set: bit 4', PAGEWALK_SVM);
  check(
    'msr-memory-type',
    'long',
    'wrmsr',
    'MTRR_DEF_TYPE bits 7:0 hold 2, which is not a memory type (UC 0, WC 1, WT 4, WP 5, WB 6)',
    { prepare: (m) => wrmsr(m, 0x2ff, 2n) },
  );
  check(
    'msr-memory-type',
    'long',
    'wrmsr',
    'MTRR_FIX64K_00000 bits 15:8 hold 7, which is not a memory type (UC 0, WC 1, WT 4, WP 5, WB 6)',
    { prepare: (m) => wrmsr(m, 0x250, 0x706n) },
  );
  check('msr-canonical', 'long', 'wrmsr', 'LSTAR takes a canonical address; 0x800000000000 is not one', {
    prepare: (m) => wrmsr(m, 0xc000_0082, NOT_CANONICAL),
  });
  check('msr-pat', 'long', 'wrmsr', 'PAT 0x20300 has no memory type in PA1, PA2', {
    prepare: (m) => wrmsr(m, 0x277, 0x2_0300n),
  });
  check('efer-reserved', 'long', 'wrmsr', 'EFER bits that this CPU model does not have: bit 20', {
    prepare: (m) => wrmsr(m, 0xc000_0080, 0x10_0d00n),
  });
  check('efer-lme', 'long', 'wrmsr', 'EFER.LME cannot change while CR0.PG = 1', {
    prepare: (m) => wrmsr(m, 0xc000_0080, 0xc00n),
  });
  check('feature-control-locked', 'long', 'wrmsr', 'IA32_FEATURE_CONTROL is locked until reset (bit 0 is set)', {
    prepare: (m) => {
      m.state.set(SLOT.FEATURE_CONTROL, 5n);
      wrmsr(m, 0x3a, 5n);
    },
  });
}
