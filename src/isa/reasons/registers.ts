import { hex } from '../../base/hex';
import { CR4, EFER, bitNames } from '../flags';
import { msrName } from '../msrs';
import { rule } from './rule';

/** The bits of `value` within `mask`, by name if the table has them. */
function setBits(value: bigint, mask: bigint, table: Readonly<Record<string, number>>): string {
  const wrong = value & mask;
  const named = bitNames(wrong, table);
  const rest = wrong & ~Object.values(table).reduce((m, n) => m | (1n << BigInt(n)), 0n);
  const other: string[] = [];
  for (let n = 0n; n < 64n; n++) if (((rest >> n) & 1n) === 1n) other.push(`bit ${n}`);
  return [...named, ...other].join(', ');
}
/** Runs of set bits in `wrong`: `bit 9`, `bits 13:12`; bits from `physicalBits` up are listed separately. */
function runsOf(wrong: bigint, physicalBits: number): string {
  const runs: string[] = [];
  for (let n = 0; n < 64; n++) {
    if (((wrong >> BigInt(n)) & 1n) === 0n) continue;
    const first = n;
    const above = physicalBits > 0 && n >= physicalBits;
    while (n < 63 && ((wrong >> BigInt(n + 1)) & 1n) === 1n && (above || n + 1 !== physicalBits)) n++;
    const bits = first === n ? `bit ${n}` : `bits ${n}:${first}`;
    runs.push(above ? `${bits} above MAXPHYADDR ${physicalBits}` : bits);
  }
  return runs.join(', ');
}
const nameOf = (msr: number): string => msrName(msr) ?? `MSR ${hex(msr)}`;

/** Privilege, control and debug registers, MSRs. */
export const REGISTER_RULES = {
  cpl: rule('SDM vol. 3, 5.9', (cpl: number) => `CPL is ${cpl}; only CPL 0 may execute it`),
  iopl: rule('SDM vol. 1, 3.4.3', (cpl: number, iopl: number) => `CPL ${cpl} is above IOPL ${iopl}`),
  'v86-iopl': rule('SDM vol. 3, 20.2.7', (iopl: number) => `IOPL is ${iopl}; virtual-8086 mode needs 3`),
  'virtual-interrupt': rule('SDM vol. 3, 20.3.3.5', () => {
    return 'RFLAGS.VIP = 1: a virtual interrupt is pending, and the program may not enable interrupts';
  }),
  'virtual-trap': rule('SDM vol. 2, POPF', () => 'TF cannot be set here by a virtual-8086 program with virtual flags'),
  'redirection-map': rule('SDM vol. 3, 20.3.3', (limit: number) => {
    return `the interrupt redirection map is not inside the TSS, whose limit is ${hex(limit)}`;
  }),
  umip: rule('SDM vol. 2, SGDT', (cpl: number) => `CR4.UMIP = 1 reserves it for CPL 0; CPL is ${cpl}`),
  tsd: rule('SDM vol. 2, RDTSC', (cpl: number) => `CR4.TSD = 1 reserves it for CPL 0; CPL is ${cpl}`),
  'cpuid-faulting': rule('SDM vol. 4, IA32_MISC_FEATURES_ENABLES', (cpl: number) => {
    return `CPUID faulting is on, and CPL is ${cpl}`;
  }),
  pce: rule('SDM vol. 2, RDPMC', (cpl: number) => `CR4.PCE = 0 reserves it for CPL 0; CPL is ${cpl}`),
  'no-counter': rule('SDM vol. 2, RDPMC', (index: number) => `there is no performance counter ${hex(index)}`),
  'io-tss': rule('SDM vol. 1, 18.5.2', (port: number, cpl: number) => {
    return `CPL ${cpl} is above IOPL, and TR holds no TSS with an I/O permission bit map for port ${hex(port)}`;
  }),
  'io-map-limit': rule('SDM vol. 1, 18.5.2', (port: number, at: number, limit: number) => {
    return `the permission bits of port ${hex(port)} at offset ${hex(at)} are beyond the TSS limit ${hex(limit)}`;
  }),
  'io-map': rule('SDM vol. 1, 18.5.2', (port: number, size: number) => {
    return `the I/O permission bit map denies port ${hex(port)}${size > 1 ? ` (${size} ports)` : ''}`;
  }),

  'cr0-upper': rule('SDM vol. 3, 2.5', (value: bigint) => `CR0 bits 63:32 must be zero; the value is ${hex(value)}`),
  'cr0-pg-pe': rule('SDM vol. 2, MOV CR', () => 'CR0.PG cannot be 1 while CR0.PE = 0'),
  'cr0-nw-cd': rule('SDM vol. 2, MOV CR', () => 'CR0.NW cannot be 1 while CR0.CD = 0'),
  'cr0-pg-pae': rule('SDM vol. 3, 9.8.5', () => 'CR0.PG cannot be set with EFER.LME = 1 while CR4.PAE = 0'),
  'cr0-pg-cs-l': rule('SDM vol. 3, 9.8.5', () => 'CR0.PG cannot be set with EFER.LME = 1 while CS.L = 1'),
  'cr0-pg-tss': rule('SDM vol. 3, 9.8.5', () => {
    return 'CR0.PG cannot be set with EFER.LME = 1 while TR holds a 16-bit TSS';
  }),
  'cr0-pg-long': rule('SDM vol. 3, 4.1.2', () => 'CR0.PG cannot be cleared in 64-bit mode'),
  'cr0-pg-pcide': rule('SDM vol. 3, 4.1.2', () => 'CR0.PG cannot be cleared while CR4.PCIDE = 1'),
  /** `mask`: the reserved bits. */
  pdpte: rule('SDM vol. 3, 4.4.1', (index: number, entry: bigint, mask: bigint) => {
    return `PDPTE ${index} (${hex(entry)}) is present with reserved bits set: ${setBits(entry, mask, {})}`;
  }),
  'cr3-reserved': rule('SDM vol. 2, MOV CR', (value: bigint, physicalBits: number) => {
    return `CR3 ${hex(value)} has bits above MAXPHYADDR ${physicalBits}`;
  }),
  /** KVM's own check, which no processor makes. */
  'cr3-no-memory': rule('Linux 2.6.20, set_cr3', (value: bigint) => `CR3 ${hex(value)} is in no memslot`),
  'cr4-reserved': rule('SDM vol. 3, 2.5', (value: bigint, reserved: bigint) => {
    return `CR4 bits that this CPU model does not have: ${setBits(value, reserved, CR4)}`;
  }),
  'cr4-pae': rule('SDM vol. 3, 4.1.2', () => 'CR4.PAE cannot change while EFER.LMA = 1'),
  'cr4-la57': rule('SDM vol. 3, 4.1.2', () => 'CR4.LA57 cannot change while EFER.LMA = 1'),
  'cr4-pcide-mode': rule('SDM vol. 3, 4.10.1', () => 'CR4.PCIDE cannot be set outside IA-32e mode'),
  'cr4-pcide-cr3': rule('SDM vol. 3, 4.10.1', (cr3: bigint) => {
    return `CR4.PCIDE cannot be set while CR3 bits 11:0 are not zero; CR3 is ${hex(cr3)}`;
  }),
  'cr8-reserved': rule('SDM vol. 3, 10.8.6', (value: bigint) => `CR8 holds 4 bits; the value is ${hex(value)}`),
  'debug-upper': rule('SDM vol. 3, 17.2.6', (index: number, value: bigint) => {
    return `DR${index} bits 63:32 must be zero; the value is ${hex(value)}`;
  }),
  'xcr-index': rule('SDM vol. 2, XSETBV', (index: number) => `there is no XCR${index}; ECX must be 0`),
  'xcr0-value': rule('SDM vol. 1, 13.3', (value: bigint) => {
    return `XCR0 cannot be ${hex(value)}: bit 0 (x87) must be set, and of the others this CPU model supports only bit 1 (SSE)`;
  }),
  'pkru-ecx': rule('SDM vol. 2, WRPKRU', (ecx: number) => `ECX is ${hex(ecx)}; it must be 0`),
  'pkru-edx': rule('SDM vol. 2, WRPKRU', (edx: number) => `EDX is ${hex(edx)}; it must be 0`),
  'monitor-ecx': rule('SDM vol. 2, MONITOR', (ecx: number) => `ECX is ${hex(ecx)}; this CPU model has no extensions`),
  'invpcid-type': rule('SDM vol. 2, INVPCID', (type: bigint) => `the type ${type} is above 3`),
  'invpcid-reserved': rule('SDM vol. 2, INVPCID', (descriptor: bigint) => {
    return `bits 63:12 of the descriptor must be zero; it begins with ${hex(descriptor)}`;
  }),
  'invpcid-pcide': rule('SDM vol. 2, INVPCID', (pcid: bigint) => {
    return `PCID ${pcid} is not zero while CR4.PCIDE = 0`;
  }),
  'table-base': rule('SDM vol. 2, LGDT', (base: bigint) => `the base ${hex(base)} is not canonical`),
  'sysenter-cs': rule('SDM vol. 2, SYSENTER', () => 'IA32_SYSENTER_CS bits 15:2 are zero'),
  'sysenter-mode': rule('SDM vol. 2, SYSENTER', () => 'CR0.PE = 0: the CPU is in real mode'),
  'sysret-rip': rule('SDM vol. 2, SYSRET', (rip: bigint) => `RCX ${hex(rip)} is not a canonical return address`),
  'segment-base': rule('SDM vol. 2, WRFSBASE', (base: bigint) => `the base ${hex(base)} is not canonical`),
  'vmcb-address': rule('APM vol. 2, 15.5.1', (address: bigint) => {
    return `RAX ${hex(address)} is not the address of a VMCB: it must be a multiple of 4 KiB below MAXPHYADDR`;
  }),

  'msr-unknown': rule('SDM vol. 2, RDMSR', (msr: number) => `${nameOf(msr)} does not exist on this CPU model`),
  'msr-read-only': rule('SDM vol. 4', (msr: number) => `${nameOf(msr)} is read-only`),
  'msr-value': rule(
    'SDM vol. 4',
    (msr: number, value: bigint) => `${nameOf(msr)} does not take the value ${hex(value)}`,
  ),
  /** `mask`: the reserved bits; `physicalBits`: where the address in it ends, 0 for an MSR without an address. */
  'msr-reserved': rule('SDM vol. 4', (msr: number, value: bigint, mask: bigint, physicalBits: number) => {
    return `${nameOf(msr)} ${hex(value)} has reserved bits set: ${runsOf(value & mask, physicalBits)}`;
  }),
  'msr-memory-type': rule('SDM vol. 3, 11.11.2', (msr: number, value: bigint, shift: number) => {
    const type = (value >> BigInt(shift)) & 255n;
    return `${nameOf(msr)} bits ${shift + 7}:${shift} hold ${type}, which is not a memory type (UC 0, WC 1, WT 4, WP 5, WB 6)`;
  }),
  'apic-base-extd': rule('SDM vol. 3, 10.12.5', () => 'APIC_BASE.EXTD (bit 10) cannot be 1 while EN (bit 11) is 0'),
  'apic-base-from-off': rule('SDM vol. 3, 10.12.5', () => {
    return 'APIC_BASE: a disabled local APIC goes to xAPIC mode first (EN alone), then to x2APIC mode';
  }),
  'apic-base-to-xapic': rule('SDM vol. 3, 10.12.5', () => {
    return 'APIC_BASE.EXTD cannot be cleared while EN stays 1: x2APIC mode is left by disabling the local APIC';
  }),
  'misc-enable-pmu': rule('SDM vol. 4, IA32_MISC_ENABLE', (changed: bigint) => {
    return `MISC_ENABLE ${runsOf(changed & 0x1800n, 0)} (BTS, PEBS unavailable) cannot change`;
  }),
  'x2apic-off': rule('SDM vol. 3, 10.12.1.2', (msr: number) => {
    return `${nameOf(msr)} is a register of x2APIC mode, and APIC_BASE.EXTD is 0`;
  }),
  'x2apic-none': rule('SDM vol. 3, 10.12.1.2', (msr: number) => {
    return `${nameOf(msr)} is reserved in x2APIC mode, or can only be read`;
  }),
  'msr-canonical': rule('SDM vol. 2, WRMSR', (msr: number, value: bigint) => {
    return `${nameOf(msr)} takes a canonical address; ${hex(value)} is not one`;
  }),
  'msr-pat': rule('SDM vol. 3, 11.12.2', (value: bigint) => {
    const at = [0, 1, 2, 3, 4, 5, 6, 7].filter(
      (i) => ![0, 1, 4, 5, 6, 7].includes(Number((value >> BigInt(8 * i)) & 255n)),
    );
    return `PAT ${hex(value)} has no memory type in ${at.map((i) => `PA${i}`).join(', ')}`;
  }),
  'efer-reserved': rule('SDM vol. 3, 2.2.1', (value: bigint, reserved: bigint) => {
    return `EFER bits that this CPU model does not have: ${setBits(value, reserved, EFER)}`;
  }),
  'efer-lme': rule('SDM vol. 3, 4.1.2', () => 'EFER.LME cannot change while CR0.PG = 1'),
  'feature-control-locked': rule('SDM vol. 4, IA32_FEATURE_CONTROL', () => {
    return 'IA32_FEATURE_CONTROL is locked until reset (bit 0 is set)';
  }),
} as const;
