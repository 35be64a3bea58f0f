/** Selectors, descriptors, gates and task segments: every rule, with an instruction or a delivery that breaks it. */
import { IDT, SEG, SLOT, TSS, descriptor, gate } from '../../hw/system/machine';
import { NOT_CANONICAL, check, push, rax } from '../support/exception-reasons';

export function selectors(): void {
  check('selector-null', 'protected', 'mov ss, ax', 'the SS selector 0x0 is null');
  check('selector-limit', 'long', 'iretq', 'the CS selector 0x16c indexes beyond the LDT limit 0x37', {
    prepare: (m) => {
      m.state.setSegment(SEG.LDTR, { selector: 0x50, base: 0n, limit: 0x37, rights: 0x82 });
      push(m, 8, 0x8000n, 0x16cn, 2n, 0x7000n, 0n);
    },
  });
  check('selector-limit', 'long', 'iretq', 'the CS selector 0x168 indexes beyond the GDT limit 0x37', {
    prepare: (m) => {
      m.state.set32(SLOT.GDTR_LIMIT, 0x37);
      push(m, 8, 0x8000n, 0x168n, 2n, 0x7000n, 0n);
    },
  });
  check(
    'selector-without-ldt',
    'protected',
    'mov ds, ax',
    'the DS selector 0xc is in the LDT, and LDTR holds no segment',
    {
      prepare: (m) => {
        rax(m, 0xcn);
        m.state.setSegment(SEG.LDTR, { selector: 0, base: 0n, limit: 0, rights: 0x10000 });
      },
    },
  );
  check(
    'selector-in-ldt',
    'protected',
    'ltr ax',
    'the TSS selector 0xc is in the LDT: descriptors of TSSs and LDTs are in the GDT',
    { prepare: (m) => rax(m, 0xcn) },
  );
  check(
    'descriptor-type',
    'protected',
    'ltr ax',
    'the TSS selector 0x10 names a data segment; it must name an available TSS',
    { prepare: (m) => rax(m, 0x10n) },
  );
  check('descriptor-type', 'long', 'gate 6 to a data segment', 'gate 6 leads to a data segment', {
    prepare: (m) => m.write(IDT + 6 * 16, 8, gate(0x8e, 0x10, 0x4000)),
    deliver: 6,
  });
  check(
    'descriptor-privilege',
    'protected',
    'mov ds, ax',
    'the DS selector 0x13 names a segment of DPL 0, with RPL 3 at CPL 0: neither CPL nor RPL may be above the DPL',
    { prepare: (m) => rax(m, 0x13n) },
  );
  check(
    'descriptor-absent',
    'protected',
    'mov ds, ax',
    'the DS selector 0x40 names a data segment that is not present (P = 0)',
    {
      prepare: (m) => {
        m.entry(0x40, descriptor(0x13));
        rax(m, 0x40n);
      },
    },
  );
  check(
    'code-l-and-d',
    'long',
    'retfq',
    'the CS selector 0x40 names a code segment with both L and D set, which no mode has',
    {
      prepare: (m) => {
        m.entry(0x40, descriptor(0x9b, 0, undefined, 0xe));
        push(m, 8, 0x8000n, 0x40n);
      },
    },
  );
  check('code-not-64-bit', 'long', 'gate 6 to 32-bit code', 'gate 6 leads to code that is not 64-bit (L = 0)', {
    prepare: (m) => {
      m.entry(0x40, descriptor(0x9b));
      m.write(IDT + 6 * 16, 8, gate(0x8e, 0x40, 0x4000));
    },
    deliver: 6,
  });
  check(
    'descriptor-second-half',
    'long',
    'lldt ax',
    'the second quadword of the descriptor that the LDT selector 0x40 names is not that of a system descriptor: bits 44:40 are not zero',
    {
      prepare: (m) => {
        m.entry(0x40, descriptor(0x82, 0, 0xff, 0)).entry(0x48, 0x100n << 32n);
        rax(m, 0x40n);
      },
    },
  );
  check(
    'descriptor-base',
    'long',
    'lldt ax',
    'the LDT selector 0x40 names a segment whose base 0x800000000000 is not canonical',
    {
      prepare: (m) => {
        m.entry(0x40, descriptor(0x82, 0, 0xff, 0)).entry(0x48, 0x8000n);
        rax(m, 0x40n);
      },
    },
  );
  check(
    'gate-dpl',
    'protected',
    'call 0x40:0',
    'the selector 0x40 names a call gate of DPL 0: CPL 3 and RPL 0 must not be above it',
    { cpl3: true, prepare: (m) => m.entry(0x40, gate(0x8c, 8, 0x4000)) },
  );
  check(
    'tss-limit',
    'protected',
    'call 0x43:0',
    'the TSS limit 0x3 is below the 4 bytes at offset 0x4 that hold the new stack',
    {
      cpl3: true,
      prepare: (m) => {
        m.entry(0x40, gate(0xec, 8, 0x4000));
        m.state.set32(SLOT.LIMIT + SEG.TR, 3);
      },
    },
  );
  check('tss-too-small', 'protected', 'jmp 0x40:0', 'the TSS 0x40 has the limit 0x10; at least 0x67 is needed', {
    prepare: (m) => m.entry(0x40, descriptor(0x89, 0x5000, 0x10, 0)),
  });
  check('tss-stack', 'long', 'gate 6 with IST1', 'IST1 in the TSS is 0x800000000000, which is not canonical', {
    prepare: (m) => {
      m.write(IDT + 6 * 16, 8, gate(0x8e, 8, 0x4000, 1));
      m.write(TSS + 36, 8, NOT_CANONICAL);
    },
    deliver: 6,
  });
  check(
    'return-outward',
    'protected',
    'retf',
    'the CS selector 0x8 has RPL 0: a return from CPL 3 cannot go to a more privileged level',
    { cpl3: true, prepare: (m) => push(m, 4, 0x8000n, 8n) },
  );
  check(
    'iret-nested-task',
    'long',
    'iretq',
    'RFLAGS.NT = 1 asks for a return to another task, which IA-32e mode does not have',
    { prepare: (m) => void (m.state.rflags |= 1n << 14n) },
  );
  check('v86-ip', 'protected', 'iretd', 'EIP 0x10000 is beyond 0xffff, the limit of a segment in virtual-8086 mode', {
    prepare: (m) => push(m, 4, 0x1_0000n, 0n, 0x2_0002n, 0n, 0n, 0n, 0n, 0n, 0n),
  });
  check('gate-limit', 'long', 'vector 6', 'gate 6 ends at offset 0x6f of the IDT, beyond its limit 0x5f', {
    prepare: (m) => m.state.set32(SLOT.IDTR_LIMIT, 0x5f),
    deliver: 6,
  });
  check(
    'ivt-limit',
    'real',
    'vector 6',
    'entry 6 of the interrupt vector table ends at offset 0x1b, beyond the limit 0x17',
    { prepare: (m) => m.state.set32(SLOT.IDTR_LIMIT, 0x17), deliver: 6 },
  );
  check('gate-type', 'long', 'vector 6', 'gate 6 is empty, not an interrupt or trap gate of 64-bit mode', {
    deliver: 6,
  });
  check('gate-absent', 'long', 'vector 6', 'gate 6 is not present (P = 0)', {
    prepare: (m) => m.write(IDT + 6 * 16, 8, gate(0x0e, 8, 0x4000)),
    deliver: 6,
  });
  check(
    'gate-from-v86',
    'v86',
    'vector 6',
    'gate 6 leads to code that runs at level 3: a handler that interrupts virtual-8086 mode runs at level 0 and is not conforming',
    { prepare: (m) => m.write(IDT + 6 * 8, 8, gate(0x8e, 0x38, 0x4000)), deliver: 6 },
  );
  check('gate-software', 'long', 'int 6', 'gate 6 has DPL 0: software at CPL 3 may not use it', {
    cpl3: true,
    prepare: (m) => m.write(IDT + 6 * 16, 8, gate(0x8e, 8, 0x4000)),
    delivered: true,
  });
}
