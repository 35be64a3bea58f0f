/** Privilege levels, IOPL and the virtual interrupt flag: every rule, with an instruction that breaks it. */
import { SEG, SLOT, TSS } from '../../hw/system/machine';
import { check, cr4, push, rcx } from '../support/exception-reasons';

export function privileges(): void {
  check('cpl', 'long', 'hlt', 'CPL is 3; only CPL 0 may execute it', { cpl3: true });
  check('iopl', 'long', 'cli', 'CPL 3 is above IOPL 0', { cpl3: true });
  check('v86-iopl', 'v86', 'int 0x21', 'IOPL is 0; virtual-8086 mode needs 3', {
    prepare: (m) => void (m.state.rflags = 0x2_0002n),
  });
  check(
    'virtual-interrupt',
    'v86',
    'sti',
    'RFLAGS.VIP = 1: a virtual interrupt is pending, and the program may not enable interrupts',
    {
      prepare: (m) => {
        cr4(m, 1n);
        m.state.rflags = 0x12_0002n;
      },
    },
  );
  check('virtual-trap', 'v86', 'popf', 'TF cannot be set here by a virtual-8086 program with virtual flags', {
    prepare: (m) => {
      cr4(m, 1n);
      m.state.rflags = 0x2_0002n;
      push(m, 2, 0x100n);
    },
  });
  check(
    'redirection-map',
    'v86',
    'int 0x21',
    'the interrupt redirection map is not inside the TSS, whose limit is 0x10',
    {
      prepare: (m) => {
        cr4(m, 1n);
        m.state.set32(SLOT.LIMIT + SEG.TR, 0x10);
      },
    },
  );
  check('umip', 'long', 'sgdt [0x4000]', 'CR4.UMIP = 1 reserves it for CPL 0; CPL is 3', {
    cpl3: true,
    prepare: (m) => cr4(m, 1n << 11n),
  });
  check('tsd', 'long', 'rdtsc', 'CR4.TSD = 1 reserves it for CPL 0; CPL is 3', {
    cpl3: true,
    prepare: (m) => cr4(m, 4n),
  });
  check('cpuid-faulting', 'long', 'cpuid', 'CPUID faulting is on, and CPL is 3', {
    cpl3: true,
    prepare: (m) => m.state.set(SLOT.MISC_FEATURES_ENABLES, 1n),
  });
  check('pce', 'long', 'rdpmc', 'CR4.PCE = 0 reserves it for CPL 0; CPL is 3', { cpl3: true });
  check('no-counter', 'long', 'rdpmc', 'there is no performance counter 0x7', { prepare: (m) => rcx(m, 7n) });
  check(
    'io-tss',
    'long',
    'in al, 0x60',
    'CPL 3 is above IOPL, and TR holds no TSS with an I/O permission bit map for port 0x60',
    { cpl3: true, prepare: (m) => m.state.set32(SLOT.LIMIT + SEG.TR, 0x60) },
  );
  check(
    'io-map-limit',
    'long',
    'in al, 0x60',
    'the permission bits of port 0x60 at offset 0x200b are beyond the TSS limit 0x1fff',
    { cpl3: true, prepare: (m) => m.write(TSS + 0x66, 2, 0x1fffn) },
  );
  check('io-map', 'long', 'in al, 0x60', 'the I/O permission bit map denies port 0x60', {
    cpl3: true,
    prepare: (m) => {
      m.write(TSS + 0x66, 2, 0x68n);
      m.write(TSS + 0x68 + 12, 1, 1n);
    },
  });
}
