/**
 * Why each exception is raised: every rule (src/isa/reasons) with an instruction that breaks it, and the sentence that a person reads. docs/exception-reasons.md is made of this table.
 */
import * as assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { PAGEWALK_SVM, PAGEWALK_X64, PAGEWALK_X64_LA57, type CpuidModel } from '../../src/hw/cpu/cpuid-model';
import type { FaultEvent } from '../../src/hw/state/event';
import type { SvmInstructions } from '../../src/hw/cpu/core';
import type { Intercepts } from '../../src/hw/state/intercepts';
import { vectorName } from '../../src/isa/exceptions';
import { because, explainReason, RULES, type RuleName } from '../../src/isa/reasons/index';
import type { MachineOptions, StartKind } from '../../src/vmm/options';
import { descriptor, gate, IDT, Machine, SEG, SLOT, TSS, type Mode } from '../hw/system/machine';
import { Guest } from './support/guest';

interface Example {
  readonly rule: RuleName;
  readonly source: string;
  readonly exception: string;
  readonly sentence: string;
}
const examples: Example[] = [];

const METHODS: readonly { readonly name: string; readonly options: Partial<MachineOptions> }[] = [
  { name: 'ept', options: { mmu: 'ept' } },
  { name: 'npt', options: { mmu: 'npt', cpu: 'pagewalk-svm' } },
  { name: 'classic shadow', options: { mmu: 'shadow', shadow: 'classic', hostBase: 0x4000_0000n } },
  { name: 'modern shadow', options: { mmu: 'shadow', shadow: 'modern', hostBase: 0x4000_0000n } },
  { name: 'software', options: { mmu: 'software' } },
];

/** What an instruction alone raises, on a core in `mode`. */
interface Setup {
  readonly model?: CpuidModel;
  readonly cpl3?: true;
  readonly prepare?: (m: Machine) => void;
  /** Delivers vector n instead of running the source. */
  readonly deliver?: number;
}
function check(rule: RuleName, mode: Mode, source: string, sentence: string, setup: Setup = {}): void {
  it(`${rule}: ${source}`, () => {
    const m = new Machine(mode, undefined, setup.model ?? PAGEWALK_X64);
    if (setup.cpl3) m.setLevel(3);
    setup.prepare?.(m);
    let event: FaultEvent | undefined;
    if (setup.deliver === undefined) {
      m.run(source);
      event = m.core.event?.kind === 'fault' ? m.core.event : undefined;
    } else {
      const d = m.deliverEvent({ kind: 'fault', vector: setup.deliver, why: because('opcode-ud') });
      event = !d.ok && d.event.kind === 'fault' ? d.event : undefined;
    }
    assert.ok(event, 'an exception is raised');
    assert.equal(explainReason(event.why).why, sentence);
    assert.equal(event.why.rule, rule);
    examples.push({ rule, source, exception: vectorName(event.vector), sentence });
  });
}

const rax = (m: Machine, v: bigint): void => m.state.set(0, v);
const rcx = (m: Machine, v: bigint): void => m.state.set(1, v);
const cr4 = (m: Machine, bits: bigint): void => m.state.set(SLOT.CR4, m.state.get(SLOT.CR4) | bits);
const cr0 = (m: Machine, bits: bigint): void => m.state.set(SLOT.CR0, m.state.get(SLOT.CR0) | bits);
const push = (m: Machine, size: number, ...values: bigint[]): void =>
  values.forEach((v, i) => m.write(Number(m.state.get(4)) + i * size, size, v));
const wrmsr = (m: Machine, msr: number, value: bigint): void => {
  rcx(m, BigInt(msr));
  rax(m, value & 0xffff_ffffn);
  m.state.set(2, value >> 32n);
};
const NOT_CANONICAL = 0x8000_0000_0000n;

describe('why an exception is raised', () => {
  describe('memory', () => {
    const fs = (access: number, limit: number) => ({
      prepare: (m: Machine) => {
        m.entry(0x40, descriptor(access, 0x400, limit, 4));
        m.load(SEG.FS, 0x40);
      },
    });
    check('segment-limit', 'protected', 'mov ax, [fs:0x4a]', 'FS limit 15 is below offset 0x4a', fs(0x93, 15));
    check(
      'segment-limit',
      'protected',
      'mov eax, [fs:0xd]',
      'FS limit 15 is below the end of 4 bytes at offset 0xd',
      fs(0x93, 15),
    );
    check(
      'segment-limit-down',
      'protected',
      'mov eax, [fs:0xffe]',
      'FS expands down: 4 bytes at offset 0xffe are not all above its limit 0xfff',
      fs(0x97, 0xfff),
    );
    check(
      'segment-null',
      'protected',
      'mov eax, [es:0]',
      'ES holds the null selector 0, through which no memory can be accessed',
      {
        prepare: (m) => m.state.setSegment(SEG.ES, { selector: 0, base: 0n, limit: 0, rights: 0x10000 }),
      },
    );
    check(
      'segment-write',
      'protected',
      'mov [fs:0], al',
      'FS holds a read-only data segment, which cannot be written',
      fs(0x91, 0xff),
    );
    check(
      'segment-read',
      'protected',
      'mov al, [fs:0]',
      'FS holds an execute-only code segment, which cannot be read',
      fs(0x99, 0xff),
    );
    check(
      'address-canonical',
      'long',
      'lgdt [rax]',
      'the address 0x800000000000 is not canonical: bits 63:47 are not all the same',
      { prepare: (m) => rax(m, NOT_CANONICAL) },
    );
    check('target-limit', 'real', 'jmp eax', 'the target 0x10000 is beyond the CS limit 0xffff', {
      prepare: (m) => rax(m, 0x1_0000n),
    });
    check(
      'target-canonical',
      'long',
      'jmp rax',
      'the target 0x800000000000 is not canonical: bits 63:47 are not all the same',
      { prepare: (m) => rax(m, NOT_CANONICAL) },
    );
    check(
      'alignment',
      'protected',
      'mov eax, [0x4001]',
      '4 bytes at 0x4001 are not aligned, and CR0.AM and RFLAGS.AC check alignment at CPL 3',
      {
        cpl3: true,
        prepare: (m) => {
          cr0(m, 1n << 18n);
          m.state.rflags |= 1n << 18n;
        },
      },
    );
    check('operand-alignment', 'long', 'movaps xmm0, [0x4008]', 'the operand at 0x4008 must be aligned to 16 bytes', {
      prepare: (m) => cr4(m, 0x200n),
    });
    check('operand-alignment', 'long', 'cmpxchg16b [0x4008]', 'the operand at 0x4008 must be aligned to 16 bytes');
    check('operand-alignment', 'long', 'fxsave [0x4008]', 'the operand at 0x4008 must be aligned to 16 bytes');
    check('instruction-length', 'long', 'times 15 db 0x66\nnop', 'the instruction is longer than 15 bytes');
  });

  describe('selectors, descriptors and gates', () => {
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
    it('gate-software: int 6', () => {
      const m = new Machine('long', undefined, PAGEWALK_X64).setLevel(3);
      m.write(IDT + 6 * 16, 8, gate(0x8e, 8, 0x4000));
      m.run('int 6');
      const int = m.core.event;
      assert.ok(int?.kind === 'fault');
      const d = m.deliverEvent(int);
      assert.ok(!d.ok && d.event.kind === 'fault');
      const sentence = explainReason(d.event.why).why;
      assert.equal(sentence, 'gate 6 has DPL 0: software at CPL 3 may not use it');
      examples.push({ rule: d.event.why.rule, source: 'int 6', exception: '#GP', sentence });
    });
  });

  describe('privileges', () => {
    check('cpl', 'long', 'hlt', 'CPL is 3; only CPL 0 may execute it', { cpl3: true });
    check('iopl', 'long', 'cli', 'CPL 3 is above IOPL 0', { cpl3: true });
    check('v86-iopl', 'v86', 'int 0x21', 'IOPL is 0; virtual-8086 mode needs 3', {
      prepare: (m) => void (m.state.rflags = 0x2_0002n),
    });
    check(
      'virtual-interrupt',
      'v86',
      'sti',
      'RFLAGS.VIP = 1: a virtual interrupt waits, and the program may not enable them',
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
  });

  describe('control registers, debug registers and MSRs', () => {
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
    check(
      'debug-upper',
      'long',
      'mov dr7, rax',
      'DR7 bits 63:32 must be zero; the value is 0x100000000',
      to(1n << 32n),
    );
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
      'XCR0 cannot be 0x6: bit 0 (x87) must be set, and of the others this CPU model has bit 1 (SSE) alone',
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
  });

  describe('instructions', () => {
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
    check('mode-not-64-bit', 'protected', 'db 0x0f, 0x05', 'it exists in 64-bit mode alone', {
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
    check('fpu-switched', 'long', 'fld1', 'CR0.TS = 1: the state in the registers may be of another task', {
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
  });

  describe('paging, and what comes of other events, under every method', () => {
    guest('page-not-present', '#PF', `mov rax, 0x80000000\nmov rbx, [rax]`, 'the PDPTE (0x0) is not present');
    const at4M = (entry: bigint, rest: string): string => `
      mov rax, cr3
      mov rbx, 0x000ffffffffff000
      or byte [rax], 4
      mov rax, [rax]
      and rax, rbx
      or byte [rax], 4
      mov rax, [rax]
      and rax, rbx
      mov rcx, 0x${entry.toString(16)}
      mov [rax + 16], rcx
      invlpg [0x400000]
      ${rest}`;
    guest(
      'page-reserved',
      '#PF',
      at4M(0x40_2087n, 'mov al, [0x400000]'),
      'the PDE (0x402087): bit 13 of a 2 MiB PDE is reserved',
    );
    guest(
      'page-write',
      '#PF',
      at4M(0x40_0085n, 'mov rax, cr0\nor eax, 0x10000\nmov cr0, rax\nmov [0x400000], al'),
      'R/W is 0 in the PDE (0x400085) and CR0.WP = 1',
    );
    guest(
      'page-user',
      '#PF',
      `push 0x23\npush 0x7000\npush 2\npush 0x1b\npush user\niretq\nuser: nop`,
      /^U\/S is 0 in the PML4E \(0x[0-9a-f]+\): user accesses are not allowed$/,
    );
    guest(
      'page-execute',
      '#PF',
      at4M(0x8000_0000_0040_0083n, 'mov eax, 0x400000\njmp rax'),
      /^XD is 1 in the PDE \(0x80000000004000[0-9a-f]{2}\): no instructions can be fetched$/,
    );
    const withCr4 = (bit: number): string => `mov rax, cr4\nor rax, ${1 << bit}\nmov cr4, rax\n`;
    guest(
      'page-smep',
      '#PF',
      at4M(0x40_0087n, `${withCr4(20)}mov eax, 0x400000\njmp rax`),
      'the page is a user page (U/S is 1 in all its entries), and CR4.SMEP = 1 forbids supervisor fetches from it',
    );
    guest(
      'page-smap',
      '#PF',
      at4M(0x40_0087n, `${withCr4(21)}mov al, [0x400000]`),
      'the page is a user page (U/S is 1 in all its entries), and CR4.SMAP = 1 forbids supervisor accesses to it without RFLAGS.AC',
    );
    guest(
      'page-key',
      '#PF',
      at4M(0x0800_0000_0040_0087n, `${withCr4(22)}mov eax, 4\nxor ecx, ecx\nxor edx, edx\nwrpkru\nmov al, [0x400000]`),
      'protection key 1: PKRU 0x4 forbids accesses to its pages',
      { methods: METHODS.filter((x) => x.name === 'ept'), options: { cpu: 'pagewalk-x64-la57' } },
    );
    guest('double-fault', '#DF', `ud2`, '#GP came up while #GP was being delivered');
    guest(
      'fetch-limit',
      '#GP',
      `lidt [idtr]\nmov ax, 0xffff\njmp ax\nidtr: dw 0\ndd 0`,
      'the instruction at 0xffff is not inside the CS limit 0xffff',
      { start: 'flat16' },
    );
    // checks that KVM makes in the processor's place where the instruction exits
    guest(
      'efer-lme',
      '#GP',
      'mov ecx, 0xc0000080\nrdmsr\nand eax, ~0x100\nwrmsr',
      'EFER.LME cannot change while CR0.PG = 1',
    );
    const write = (msr: number, low: number, high = 0): string =>
      `mov ecx, 0x${msr.toString(16)}\nmov eax, 0x${low.toString(16)}\nmov edx, 0x${high.toString(16)}\nwrmsr\n`;
    guest('msr-reserved', '#GP', write(0x2ff, 0x306), 'MTRR_DEF_TYPE 0x306 has reserved bits set: bits 9:8');
    guest(
      'msr-reserved',
      '#GP',
      write(0x1b, 0xfee0_0a00, 0x8000_0000),
      /^APIC_BASE 0x80000000fee00a00 has reserved bits set: bit 9, bit 63 above MAXPHYADDR \d+$/,
    );
    const x2apic = write(0x1b, 0xfee0_0d00);
    guest('msr-reserved', '#GP', x2apic + write(0x80f, 0x400), 'MSR 0x80f 0x400 has reserved bits set: bit 10');
    guest('msr-reserved', '#GP', x2apic + write(0x80b, 1), 'MSR 0x80b 0x1 has reserved bits set: bit 0');
    guest('x2apic-none', '#GP', x2apic + write(0x809, 0), 'MSR 0x809 is reserved in x2APIC mode, or can only be read');
    guest('x2apic-off', '#GP', write(0x80f, 0), 'MSR 0x80f is a register of x2APIC mode, and APIC_BASE.EXTD is 0');
    guest(
      'apic-base-extd',
      '#GP',
      write(0x1b, 0xfee0_0500),
      'APIC_BASE.EXTD (bit 10) cannot be 1 while EN (bit 11) is 0',
    );
    guest(
      'apic-base-from-off',
      '#GP',
      write(0x1b, 0xfee0_0100) + x2apic,
      'APIC_BASE: a disabled local APIC goes to xAPIC mode first (EN alone), then to x2APIC mode',
    );
    guest(
      'apic-base-to-xapic',
      '#GP',
      x2apic + write(0x1b, 0xfee0_0900),
      'APIC_BASE.EXTD cannot be cleared while EN stays 1: x2APIC mode is left by disabling the local APIC',
    );
    guest(
      'misc-enable-pmu',
      '#GP',
      'mov ecx, 0x1a0\nrdmsr\nxor eax, 0x800\nwrmsr',
      'MISC_ENABLE bit 11 (BTS, PEBS unavailable) cannot change',
      { methods: METHODS.filter((x) => x.name !== 'software') },
    );
    guest('msr-reserved', '#GP', write(0x4b56_4d03, 4), 'KVM_STEAL_TIME 0x4 has reserved bits set: bit 2', {
      methods: METHODS.filter((x) => x.name !== 'software'),
    });
    guest('msr-unknown', '#GP', 'mov ecx, 0x12345\nrdmsr', 'MSR 0x12345 does not exist on this CPU model', {
      methods: METHODS.filter((x) => x.name !== 'software'),
    });
    guest('cr4-pae', '#GP', 'mov rax, cr4\nand eax, ~0x20\nmov cr4, rax', 'CR4.PAE cannot change while EFER.LMA = 1');
    guest('gate-limit', '#GP', 'ud2', 'gate 6 ends at offset 0x6f of the IDT, beyond its limit 0x0');
    const cr3InHole = 'mov eax, 0xf0000000\nmov cr3, eax';
    guest('cr3-no-memory', '#GP', cr3InHole, 'CR3 0xf0000000 is in no memslot', {
      start: 'flat32',
      methods: METHODS.filter((x) => x.name === 'classic shadow'),
    });
    guest(
      'page-no-memory',
      '#PF',
      cr3InHole,
      'the entry at GPA 0xf0000000 lies where no RAM is, and counts as not present',
      { start: 'flat32', methods: METHODS.filter((x) => x.name === 'modern shadow' || x.name === 'software') },
    );
    guest('vmx-not-offered', '#UD', `vmxoff`, 'KVM does not offer VMX to this guest', {
      methods: METHODS.filter((x) => x.name === 'ept'),
    });
    guest(
      'physical-memory',
      '#GP',
      `mov eax, cr0\nand eax, 0x7fffffff\nmov cr0, eax\nmov eax, cr4\nor eax, 0x20\nmov cr4, eax\nmov eax, 0xf0000000\nmov cr3, eax\nmov eax, cr0\nor eax, 0x80000000\nmov cr0, eax`,
      'no memory slot holds the PDPTEs at GPA 0xf0000000',
      { start: 'flat32', methods: METHODS.filter((x) => x.name === 'modern shadow') },
    );
  });

  describe('the table', () => {
    it('every rule has an example; docs/exception-reasons.md lists them', () => {
      const seen = new Set(examples.map((e) => e.rule));
      assert.deepEqual(
        (Object.keys(RULES) as RuleName[]).filter((r) => !seen.has(r) && !(r in ELSEWHERE)),
        [],
      );
      const shown = document();
      if (process.env['UPDATE_GOLDEN']) writeFileSync(DOCUMENT, shown);
      assert.equal(readFileSync(DOCUMENT, 'utf8'), shown);
    });
  });
});

/** Rules without an example here. */
const ELSEWHERE: Readonly<Partial<Record<RuleName, string>>> = {
  injected: 'what a hypervisor injects without a reason of its own',
  'async-page': 'needs a host that swaps',
  'not-emulated': 'user code in a hole of guest memory',
  'monitor-ecx': 'no CPU model has MONITOR',
};
const DOCUMENT = new URL('../../docs/exception-reasons.md', import.meta.url);

/** One row a rule: its first example. */
function document(): string {
  const rows = (Object.keys(RULES) as RuleName[]).flatMap((rule) => {
    const e = examples.find((x) => x.rule === rule);
    if (!e) return [];
    const cell = (text: string): string => text.replaceAll('|', '\\|').replaceAll('\n', '; ');
    return [`| \`${rule}\` | ${e.exception} | ${cell(e.sentence)} | ${RULES[rule].section} |`];
  });
  return [
    '# Why exceptions are raised',
    '',
    'Every exception of the guest carries the check that failed and what it looked at. The sentences are those of the triple-fault chain, of stops at exceptions, of `explain` in the',
    'Debug Console and of `"reason"` in the report; each stands here with the values of one example. A test makes this page from the instructions that break the rules.',
    '',
    '| check | exception | example | rule |',
    '|---|---|---|---|',
    ...rows,
    '',
  ].join('\n');
}

interface GuestSetup {
  readonly start?: StartKind;
  readonly methods?: typeof METHODS;
  readonly options?: Partial<MachineOptions>;
}
/** What leads a guest to a triple fault, under every method alike. */
function guest(
  rule: RuleName,
  exception: string,
  source: string,
  sentence: string | RegExp,
  setup: GuestSetup = {},
): void {
  it(`${rule}, by ${(setup.methods ?? METHODS).map((m) => m.name).join(', ')}`, () => {
    for (const { name, options } of setup.methods ?? METHODS) {
      const g = new Guest(source, setup.start ?? 'flat64', { ...options, ...setup.options });
      const end = g.end();
      assert.equal(end.kind, 'triple-fault', `${name}: ${end.why}`);
      const { event } =
        g.machine.cpu.chain.latest.find(({ event: e }) => e.kind === 'fault' && e.why.rule === rule) ?? {};
      assert.ok(event?.kind === 'fault', `${name}: ${end.why}`);
      const { why } = explainReason(event.why);
      if (typeof sentence === 'string') assert.equal(why, sentence, name);
      else assert.match(why, sentence, name);
      assert.equal(vectorName(event.vector), exception, name);
      examples.push({ rule, source: source.trim(), exception, sentence: why });
    }
  });
}
