/** Paging, events that come of other events, and what KVM refuses in the processor's place: guests that come to a triple fault. */
import { METHODS, guest } from '../support/exception-reasons';

export function events(): void {
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
  guest('double-fault', '#DF', `ud2`, '#GP was raised while #GP was being delivered');
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
}
