import type { InstructionDoc, InstructionTable } from './doc';
import { CPL0, doc, exit } from './doc';

const TABLES = 'descriptor-table exiting';
const UMIP = '#GP where CPL is above 0 and CR4.UMIP is set';
const ENCRYPT = '#UD where the processor has no such instruction';
const storeTable = (name: string, what: string): InstructionDoc =>
  doc(name, `Stores ${what}: limit in 2 bytes, then the base.`, {
    exceptions: [UMIP],
    exits: [exit('GDTR_IDTR', TABLES)],
  });
const loadTable = (name: string, what: string): InstructionDoc =>
  doc(name, `Loads ${what} from memory: limit in 2 bytes, then the base.`, {
    exceptions: [CPL0, '#GP where the base is not canonical'],
    exits: [exit('GDTR_IDTR', TABLES)],
  });
const base = (title: string, does: string): InstructionDoc =>
  doc(title, does, {
    exceptions: ['#UD outside 64-bit mode or where CR4.FSGSBASE is 0', '#GP where a base to write is not canonical'],
  });

/** System registers, tables, caches, TLB. */
export const SYSTEM: InstructionTable = {
  lgdt: loadTable('Load GDTR', 'the global descriptor table’s register'),
  lidt: loadTable('Load IDTR', 'the interrupt descriptor table’s register'),
  sgdt: storeTable('Store GDTR', 'the global descriptor table’s register'),
  sidt: storeTable('Store IDTR', 'the interrupt descriptor table’s register'),
  lldt: doc('Load LDTR', 'Loads the local descriptor table named by a selector of the GDT.', {
    exceptions: [CPL0, '#GP or #NP for the selector'],
    exits: [exit('LDTR_TR', TABLES)],
  }),
  sldt: doc('Store LDTR', 'Stores the selector of the local descriptor table.', {
    exceptions: [UMIP],
    exits: [exit('LDTR_TR', TABLES)],
  }),
  ltr: doc(
    'Load task register',
    'Loads the task register and marks the TSS descriptor busy, which writes to the GDT.',
    { exceptions: [CPL0, '#GP or #NP for the selector'], exits: [exit('LDTR_TR', TABLES)] },
  ),
  str: doc('Store task register', 'Stores the task register’s selector.', {
    exceptions: [UMIP],
    exits: [exit('LDTR_TR', TABLES)],
  }),
  lmsw: doc('Load machine status word', 'Writes CR0 bits 3:0. PE can be set by it and not cleared.', {
    exceptions: [CPL0],
    exits: [exit('CR_ACCESS', 'it would change a CR0 bit that the hypervisor owns')],
  }),
  smsw: doc(
    'Store machine status word',
    'Stores the low part of CR0 (in a guest: bits that the hypervisor owns read from the shadow).',
    { exceptions: [UMIP] },
  ),
  clts: doc('Clear task-switched flag', 'Clears CR0.TS.', {
    operation: 'CR0.TS ← 0',
    exceptions: [CPL0],
    exits: [exit('CR_ACCESS', 'the hypervisor owns CR0.TS and its shadow has it set')],
  }),
  lar: doc(
    'Load access rights',
    'Loads the access-rights bytes of a selector’s descriptor; ZF says whether it may be seen.',
  ),
  lsl: doc(
    'Load segment limit',
    'Loads the limit, in bytes, of a selector’s descriptor; ZF says whether it may be seen.',
  ),
  verr: doc('Verify for reading', 'ZF says whether the segment may be read from here.'),
  verw: doc('Verify for writing', 'ZF says whether the segment may be written from here.'),
  arpl: doc(
    'Adjust RPL',
    'Raises the RPL of a selector to that of another; ZF says whether it changed. Not in 64-bit mode.',
  ),
  invlpg: doc(
    'Invalidate TLB entry',
    'Drops the translations of the page that holds the address, for the current PCID and global ones. The address is not accessed.',
    {
      exceptions: [CPL0],
      exits: [exit('INVLPG', 'INVLPG exiting; shadow paging needs it, EPT does not')],
    },
  ),
  invpcid: doc(
    'Invalidate by PCID',
    'Drops translations by type: 0 one address of one PCID, 1 one PCID, 2 everything with globals, 3 everything without.',
    {
      exceptions: [CPL0, '#GP for a type above 3, a reserved bit, or an address that is not canonical'],
      exits: [exit('INVPCID', 'INVPCID enabled and INVLPG exiting')],
    },
  ),
  invd: doc('Invalidate caches', 'Drops the caches without writing them back.', {
    exceptions: [CPL0],
    exits: [exit('INVD')],
  }),
  wbinvd: doc('Write back and invalidate caches', 'Writes the caches back to memory and drops them.', {
    exceptions: [CPL0],
    exits: [exit('WBINVD', 'WBINVD exiting')],
  }),
  clflush: doc('Flush cache line', 'Writes the line back and drops it from every cache.'),
  clflushopt: doc('Flush cache line, weakly ordered', 'As `clflush` with fewer orderings; `sfence` orders it.'),
  clwb: doc('Write cache line back', 'Writes the line back and may keep it.'),
  hlt: doc('Halt', 'Stops until an interrupt, NMI or reset. With IF clear only an NMI or reset ends it.', {
    exceptions: [CPL0],
    exits: [exit('HLT', 'HLT exiting')],
  }),
  cpuid: doc('Identify processor', 'Answers leaf EAX, subleaf ECX, in EAX EBX ECX EDX. Serializes.', {
    operation: 'eax, ebx, ecx, edx ← leaf (eax, ecx)',
    exits: [exit('CPUID')],
  }),
  rdmsr: doc('Read MSR', 'Reads the model-specific register ECX.', {
    operation: 'edx:eax ← MSR[ecx]',
    exceptions: [CPL0, '#GP for an MSR that is not there'],
    exits: [exit('MSR_READ', 'no MSR bitmaps, or the MSR’s bit is set')],
  }),
  wrmsr: doc('Write MSR', 'Writes the model-specific register ECX.', {
    operation: 'MSR[ecx] ← edx:eax',
    exceptions: [CPL0, '#GP for an MSR that is not there or a reserved bit'],
    exits: [exit('MSR_WRITE', 'no MSR bitmaps, or the MSR’s bit is set')],
  }),
  rdtsc: doc('Read time-stamp counter', 'Reads the counter; in a guest the TSC offset is added.', {
    operation: 'edx:eax ← TSC',
    exceptions: ['#GP where CPL is above 0 and CR4.TSD is set'],
    exits: [exit('RDTSC', 'RDTSC exiting')],
  }),
  rdtscp: doc('Read time-stamp counter and processor', 'As `rdtsc`, after earlier loads, with IA32_TSC_AUX in ECX.', {
    exceptions: ['#GP where CPL is above 0 and CR4.TSD is set', ENCRYPT],
    exits: [exit('RDTSCP', 'RDTSC exiting')],
  }),
  rdpmc: doc('Read performance counter', 'Reads the counter that ECX names.', {
    exceptions: ['#GP where CPL is above 0 and CR4.PCE is clear'],
    exits: [exit('RDPMC', 'RDPMC exiting')],
  }),
  rdpid: doc('Read processor ID', 'Reads IA32_TSC_AUX.'),
  rdrand: doc('Random number', 'Gives a random number; CF says that there was one.', {
    exits: [exit('RDRAND', 'RDRAND exiting')],
  }),
  rdseed: doc('Random seed', 'Gives a seed from the entropy source; CF says that there was one.', {
    exits: [exit('RDSEED', 'RDSEED exiting')],
  }),
  monitor: doc('Arm monitor', 'Arms address monitoring for the line at RAX; `mwait` waits for a store to it.', {
    exceptions: [CPL0],
    exits: [exit('MONITOR_INSTRUCTION', 'MONITOR exiting')],
  }),
  mwait: doc('Wait for monitored store', 'Waits until the armed line is written or an interrupt comes.', {
    exceptions: [CPL0],
    exits: [exit('MWAIT_INSTRUCTION', 'MWAIT exiting')],
  }),
  xgetbv: doc('Read extended control register', 'Reads XCR ECX.', {
    operation: 'edx:eax ← XCR[ecx]',
    exceptions: ['#UD where CR4.OSXSAVE is 0', '#GP for a register that is not there'],
  }),
  xsetbv: doc('Write extended control register', 'Writes XCR ECX.', {
    operation: 'XCR[ecx] ← edx:eax',
    exceptions: [CPL0, '#UD where CR4.OSXSAVE is 0', '#GP for values that make no sense'],
    exits: [exit('XSETBV')],
  }),
  rdpkru: doc('Read protection keys', 'Reads PKRU; ECX must be 0.', {
    operation: 'eax ← PKRU; edx ← 0',
    exceptions: ['#UD where CR4.PKE is 0', '#GP where ECX is not 0'],
  }),
  wrpkru: doc('Write protection keys', 'Writes PKRU; ECX and EDX must be 0.', {
    operation: 'PKRU ← eax',
    exceptions: ['#UD where CR4.PKE is 0', '#GP where ECX or EDX is not 0'],
  }),
  swapgs: doc('Swap GS base', 'Exchanges the base of GS with IA32_KERNEL_GS_BASE.', {
    operation: 'GS.base ↔ KERNEL_GS_BASE',
    exceptions: [CPL0, '#UD outside 64-bit mode'],
  }),
  rdfsbase: base('Read FS base', 'Reads the base address of FS.'),
  rdgsbase: base('Read GS base', 'Reads the base address of GS.'),
  wrfsbase: base('Write FS base', 'Writes the base address of FS.'),
  wrgsbase: base('Write GS base', 'Writes the base address of GS.'),
  rsm: doc('Resume from system management', 'Leaves system-management mode.', {
    exceptions: ['#UD outside system-management mode'],
  }),
  mfence: doc('Memory fence', 'All loads and stores before it are seen before any after it.'),
  lfence: doc('Load fence', 'All loads before it are done before any instruction after it starts.'),
  sfence: doc('Store fence', 'All stores before it are seen before any after it.'),
  fxsave: doc('Save x87 and SSE state', 'Stores 512 bytes of x87, MMX and SSE state at a multiple of 16.', {
    exceptions: ['#GP where the address is not a multiple of 16', '#NM where CR0.TS or CR0.EM is set'],
  }),
  fxrstor: doc('Restore x87 and SSE state', 'Loads what `fxsave` stored.', {
    exceptions: [
      '#GP where the address is not a multiple of 16 or MXCSR has a reserved bit',
      '#NM where CR0.TS or CR0.EM is set',
    ],
  }),
  xsave: doc('Save extended state', 'Stores the state components named by EDX:EAX ∧ XCR0.', {
    exceptions: [
      '#UD where CR4.OSXSAVE is 0',
      '#NM where CR0.TS is set',
      '#GP where the address is not a multiple of 64',
    ],
  }),
  xrstor: doc('Restore extended state', 'Loads the state components named by EDX:EAX ∧ XCR0.', {
    exceptions: [
      '#UD where CR4.OSXSAVE is 0',
      '#NM where CR0.TS is set',
      '#GP where the address is not a multiple of 64 or the header is wrong',
    ],
  }),
  xsaves: doc('Save supervisor state', 'As `xsave`, compacted and with the components of IA32_XSS.', {
    exceptions: [CPL0],
    exits: [exit('XSAVES', 'a component’s bit in the XSS-exiting bitmap')],
  }),
  xrstors: doc('Restore supervisor state', 'Loads what `xsaves` stored.', {
    exceptions: [CPL0],
    exits: [exit('XRSTORS', 'a component’s bit in the XSS-exiting bitmap')],
  }),
  clc: doc('Clear carry', 'Clears CF.', 'CF ← 0'),
  stc: doc('Set carry', 'Sets CF.', 'CF ← 1'),
  cmc: doc('Complement carry', 'Inverts CF.', 'CF ← ¬CF'),
  cld: doc('Clear direction', 'String instructions step up.', 'DF ← 0'),
  std: doc('Set direction', 'String instructions step down.', 'DF ← 1'),
  cli: doc('Clear interrupt flag', 'Holds maskable interrupts off.', {
    operation: 'IF ← 0',
    exceptions: ['#GP where CPL is above IOPL'],
  }),
  sti: doc('Set interrupt flag', 'Allows maskable interrupts, from after the next instruction on.', {
    operation: 'IF ← 1',
    exceptions: ['#GP where CPL is above IOPL'],
    exits: [exit('INTERRUPT_WINDOW', 'interrupt-window exiting: after the instruction that follows')],
  }),
  clac: doc('Clear AC', 'Forbids supervisor code to touch user pages under SMAP.', {
    operation: 'AC ← 0',
    exceptions: ['#UD where CPL is above 0'],
  }),
  stac: doc('Set AC', 'Allows supervisor code to touch user pages under SMAP.', {
    operation: 'AC ← 1',
    exceptions: ['#UD where CPL is above 0'],
  }),
};
