import * as assert from 'node:assert/strict';
import { CR0, CR4, EFER, RFLAGS } from '../../../src/isa/flags';
import { ENTRY_CTL, EXIT_CTL, PIN, PROC, SECONDARY } from '../../../src/isa/vmcs-controls';
import type { VmcsFieldName } from '../../../src/isa/vmcs-fields';
import { FIELD } from '../../../src/isa/vmcs-fields';
import { unmetChecks } from '../../../src/hw/vmx/checks';
import type { UnmetCheck } from '../../../src/hw/vmx/rule';
import type { Vmcs } from '../../../src/hw/vmx/vmcs';
import { AREA, CAPABILITIES, PDPT, VMCS_A, VMCS_B, machine, setRealModeGuest } from './support';

const bit = (n: number): bigint => 1n << BigInt(n);
type Change = (v: Vmcs) => void;

const set =
  (name: VmcsFieldName, value: bigint): Change =>
  (v) =>
    v.set(name, value);
const flip =
  (name: VmcsFieldName, mask: number | bigint): Change =>
  (v) =>
    v.set(name, v.get(name) ^ (typeof mask === 'number' ? BigInt(mask >>> 0) : mask));
const or =
  (name: VmcsFieldName, mask: number | bigint): Change =>
  (v) =>
    v.set(name, v.get(name) | (typeof mask === 'number' ? BigInt(mask >>> 0) : mask));
const all =
  (...changes: Change[]): Change =>
  (v) =>
    changes.forEach((c) => c(v));

function unmet(change: Change): UnmetCheck[] {
  const { vmcs, memory } = machine();
  change(vmcs);
  return unmetChecks(vmcs, { capabilities: CAPABILITIES, memory, rootLongMode: true });
}

/** The change breaks exactly one check: of `area` and `section`, naming `field` first. */
function breaks(
  name: string,
  change: Change,
  area: UnmetCheck['area'],
  field: VmcsFieldName,
  section: string,
  qualification = 0,
): void {
  it(name, () => {
    const found = unmet(change);
    assert.deepEqual(
      found.map((u) => [u.area, u.fields[0], u.section, u.qualification]),
      [[area, field, section, qualification]],
      found.map((u) => u.message).join('\n'),
    );
  });
}
function allows(name: string, change: Change): void {
  it(name, () => assert.deepEqual(unmet(change), []));
}

const noUnrestricted = flip('SECONDARY_VM_EXEC_CONTROL', SECONDARY.UNRESTRICTED_GUEST);
const inject = (info: number): Change => set('VM_ENTRY_INTR_INFO_FIELD', BigInt((info | 0x8000_0000) >>> 0));
const NMI = inject(0x202);
const GENERAL_PROTECTION = inject(0xb0d);
const loadPat = or('VM_ENTRY_CONTROLS', ENTRY_CTL.LOAD_IA32_PAT);
const ifSet = or('GUEST_RFLAGS', bit(RFLAGS.IF));
/** 32-bit protected mode with paging: not IA-32e mode. */
const protected32 = all(
  flip('VM_ENTRY_CONTROLS', ENTRY_CTL.IA32E_MODE),
  set('GUEST_IA32_EFER', 0n),
  set('GUEST_CS_AR_BYTES', 0xc09bn),
  flip('GUEST_CR4', bit(CR4.PAE)),
);
const pae = all(protected32, flip('GUEST_CR4', bit(CR4.PAE)), set('GUEST_CR3', PDPT));
const v86 = all(protected32, or('GUEST_RFLAGS', bit(RFLAGS.VM)), (v) => {
  for (const r of ['ES', 'CS', 'SS', 'DS', 'FS', 'GS'] as const) {
    v.set(`GUEST_${r}_SELECTOR`, 0x1234n);
    v.set(`GUEST_${r}_BASE`, 0x12340n);
    v.set(`GUEST_${r}_LIMIT`, 0xffffn);
    v.set(`GUEST_${r}_AR_BYTES`, 0xf3n);
  }
});

describe('VM-entry checks', () => {
  describe('what may be entered', () => {
    allows('a 64-bit guest', () => undefined);
    allows('a 64-bit guest without unrestricted guest', noUnrestricted);
    allows('a real-mode guest with unrestricted guest', setRealModeGuest);
    allows('32-bit protected mode', protected32);
    allows('PAE paging with absent PDPTEs', pae);
    allows('virtual-8086 mode', v86);
    allows('an NMI injected', NMI);
    allows('#GP injected with its error code', GENERAL_PROTECTION);
    allows('an external interrupt injected into HLT', all(inject(0x030), ifSet, set('GUEST_ACTIVITY_STATE', 1n)));
    allows('blocking by STI', all(ifSet, set('GUEST_INTERRUPTIBILITY_INFO', 1n)));
  });

  describe('VM-execution controls (26.2.1.1)', () => {
    const S = '26.2.1.1';
    breaks('pin default1 bit', flip('PIN_BASED_VM_EXEC_CONTROL', 1 << 1), 'control', 'PIN_BASED_VM_EXEC_CONTROL', S);
    breaks(
      'pin unsupported bit',
      or('PIN_BASED_VM_EXEC_CONTROL', PIN.POSTED_INTR),
      'control',
      'PIN_BASED_VM_EXEC_CONTROL',
      S,
    );
    breaks(
      'primary default1 bit',
      flip('CPU_BASED_VM_EXEC_CONTROL', 1 << 26),
      'control',
      'CPU_BASED_VM_EXEC_CONTROL',
      S,
    );
    breaks(
      'TPR shadow is not offered',
      or('CPU_BASED_VM_EXEC_CONTROL', PROC.TPR_SHADOW),
      'control',
      'CPU_BASED_VM_EXEC_CONTROL',
      S,
    );
    breaks(
      'secondary unsupported bit',
      or('SECONDARY_VM_EXEC_CONTROL', SECONDARY.EPT_VIOLATION_VE),
      'control',
      'SECONDARY_VM_EXEC_CONTROL',
      S,
    );
    breaks(
      'PML buffer misaligned',
      all(or('SECONDARY_VM_EXEC_CONTROL', SECONDARY.ENABLE_PML), set('PML_ADDRESS', 8n)),
      'control',
      'PML_ADDRESS',
      S,
    );
    breaks('five CR3 targets', set('CR3_TARGET_COUNT', 5n), 'control', 'CR3_TARGET_COUNT', S);
    const io = or('CPU_BASED_VM_EXEC_CONTROL', PROC.USE_IO_BITMAPS);
    breaks('I/O bitmap A misaligned', all(io, set('IO_BITMAP_A', 8n)), 'control', 'IO_BITMAP_A', S);
    breaks('I/O bitmap B beyond the width', all(io, set('IO_BITMAP_B', bit(46))), 'control', 'IO_BITMAP_B', S);
    breaks(
      'MSR bitmap misaligned',
      all(or('CPU_BASED_VM_EXEC_CONTROL', PROC.USE_MSR_BITMAPS), set('MSR_BITMAP', 0x800n)),
      'control',
      'MSR_BITMAP',
      S,
    );
    breaks(
      'virtual NMIs alone',
      or('PIN_BASED_VM_EXEC_CONTROL', PIN.VIRTUAL_NMIS),
      'control',
      'PIN_BASED_VM_EXEC_CONTROL',
      S,
    );
    breaks(
      'NMI window alone',
      or('CPU_BASED_VM_EXEC_CONTROL', PROC.NMI_WINDOW_EXITING),
      'control',
      'CPU_BASED_VM_EXEC_CONTROL',
      S,
    );
    breaks('VPID 0', or('SECONDARY_VM_EXEC_CONTROL', SECONDARY.ENABLE_VPID), 'control', 'VIRTUAL_PROCESSOR_ID', S);
    breaks('EPTP memory type 1', set('EPT_POINTER', 0x19n), 'control', 'EPT_POINTER', S);
    breaks('EPTP walk length 5', set('EPT_POINTER', 0x26n), 'control', 'EPT_POINTER', S);
    breaks('EPTP bit 7', or('EPT_POINTER', 0x80n), 'control', 'EPT_POINTER', S);
    breaks('EPTP beyond the width', or('EPT_POINTER', bit(46)), 'control', 'EPT_POINTER', S);
    breaks(
      'unrestricted guest alone',
      flip('SECONDARY_VM_EXEC_CONTROL', SECONDARY.ENABLE_EPT),
      'control',
      'SECONDARY_VM_EXEC_CONTROL',
      S,
    );
  });

  describe('VM-exit and VM-entry controls (26.2.1.2, 26.2.1.3)', () => {
    const X = '26.2.1.2';
    const E = '26.2.1.3';
    breaks('exit unsupported bit', or('VM_EXIT_CONTROLS', EXIT_CTL.CLEAR_BNDCFGS), 'control', 'VM_EXIT_CONTROLS', X);
    breaks(
      'timer saved but not activated',
      or('VM_EXIT_CONTROLS', EXIT_CTL.SAVE_VMX_PREEMPTION_TIMER),
      'control',
      'VM_EXIT_CONTROLS',
      X,
    );
    breaks(
      'MSR-store area misaligned',
      all(set('VM_EXIT_MSR_STORE_COUNT', 1n), set('VM_EXIT_MSR_STORE_ADDR', AREA | 8n)),
      'control',
      'VM_EXIT_MSR_STORE_ADDR',
      X,
    );
    breaks(
      'MSR-load area ends beyond the width',
      all(set('VM_EXIT_MSR_LOAD_COUNT', 2n), set('VM_EXIT_MSR_LOAD_ADDR', bit(46) - 16n)),
      'control',
      'VM_EXIT_MSR_LOAD_ADDR',
      X,
    );
    breaks('entry unsupported bit', or('VM_ENTRY_CONTROLS', ENTRY_CTL.SMM), 'control', 'VM_ENTRY_CONTROLS', E);
    breaks('reserved event type', inject(0x120), 'control', 'VM_ENTRY_INTR_INFO_FIELD', E);
    breaks('NMI with vector 3', inject(0x203), 'control', 'VM_ENTRY_INTR_INFO_FIELD', E);
    breaks('exception 32', inject(0x320), 'control', 'VM_ENTRY_INTR_INFO_FIELD', E);
    breaks('other event with a vector', inject(0x701), 'control', 'VM_ENTRY_INTR_INFO_FIELD', E);
    breaks('#GP without error code', inject(0x30d), 'control', 'VM_ENTRY_INTR_INFO_FIELD', E);
    breaks('#UD with error code', inject(0xb06), 'control', 'VM_ENTRY_INTR_INFO_FIELD', E);
    breaks(
      '#GP with error code in real mode',
      all(setRealModeGuest, GENERAL_PROTECTION),
      'control',
      'VM_ENTRY_INTR_INFO_FIELD',
      E,
    );
    breaks('reserved bit 12', inject(0x1202), 'control', 'VM_ENTRY_INTR_INFO_FIELD', E);
    breaks(
      'error code above 16 bits',
      all(GENERAL_PROTECTION, set('VM_ENTRY_EXCEPTION_ERROR_CODE', 0x1_0000n)),
      'control',
      'VM_ENTRY_EXCEPTION_ERROR_CODE',
      E,
    );
    breaks('INT n of 0 bytes', inject(0x480), 'control', 'VM_ENTRY_INSTRUCTION_LEN', E);
    breaks(
      'INT3 of 16 bytes',
      all(inject(0x603), set('VM_ENTRY_INSTRUCTION_LEN', 16n)),
      'control',
      'VM_ENTRY_INSTRUCTION_LEN',
      E,
    );
    breaks(
      'MSR-load area misaligned',
      all(set('VM_ENTRY_MSR_LOAD_COUNT', 1n), set('VM_ENTRY_MSR_LOAD_ADDR', 4n)),
      'control',
      'VM_ENTRY_MSR_LOAD_ADDR',
      E,
    );
  });

  describe('host state (26.2.2 to 26.2.4)', () => {
    breaks('CR0.NE', flip('HOST_CR0', bit(CR0.NE)), 'host', 'HOST_CR0', '26.2.2');
    breaks('CR4.VMXE', flip('HOST_CR4', bit(CR4.VMXE)), 'host', 'HOST_CR4', '26.2.2');
    breaks('CR4 unsupported bit', or('HOST_CR4', bit(CR4.LA57)), 'host', 'HOST_CR4', '26.2.2');
    breaks('CR3', set('HOST_CR3', bit(46)), 'host', 'HOST_CR3', '26.2.2');
    breaks('SYSENTER_ESP', set('HOST_IA32_SYSENTER_ESP', bit(47)), 'host', 'HOST_IA32_SYSENTER_ESP', '26.2.2');
    breaks('SYSENTER_EIP', set('HOST_IA32_SYSENTER_EIP', bit(63)), 'host', 'HOST_IA32_SYSENTER_EIP', '26.2.2');
    breaks(
      'PAT type 2',
      all(or('VM_EXIT_CONTROLS', EXIT_CTL.LOAD_IA32_PAT), set('HOST_IA32_PAT', 0x0200n)),
      'host',
      'HOST_IA32_PAT',
      '26.2.2',
    );
    breaks('EFER reserved bit', or('HOST_IA32_EFER', bit(EFER.SVME)), 'host', 'HOST_IA32_EFER', '26.2.2');
    breaks('EFER.LMA', flip('HOST_IA32_EFER', bit(EFER.LMA)), 'host', 'HOST_IA32_EFER', '26.2.2');
    for (const r of ['ES', 'CS', 'SS', 'DS', 'FS', 'GS', 'TR'] as const) {
      breaks(`${r} with RPL 3`, or(`HOST_${r}_SELECTOR`, 3), 'host', `HOST_${r}_SELECTOR`, '26.2.3');
    }
    breaks('null CS', set('HOST_CS_SELECTOR', 0n), 'host', 'HOST_CS_SELECTOR', '26.2.3');
    breaks('null TR', set('HOST_TR_SELECTOR', 0n), 'host', 'HOST_TR_SELECTOR', '26.2.3');
    for (const r of ['FS', 'GS', 'GDTR', 'IDTR', 'TR'] as const)
      breaks(`${r} base`, set(`HOST_${r}_BASE`, bit(47)), 'host', `HOST_${r}_BASE`, '26.2.3');
    breaks('CR4.PAE', flip('HOST_CR4', bit(CR4.PAE)), 'host', 'HOST_CR4', '26.2.4');
    breaks('RIP', set('HOST_RIP', bit(47)), 'host', 'HOST_RIP', '26.2.4');
    it('address-space size against the CPU, the guest and EFER', () => {
      const found = unmet(flip('VM_EXIT_CONTROLS', EXIT_CTL.HOST_ADDR_SPACE_SIZE));
      assert.deepEqual(
        found.map((u) => u.fields[0]),
        ['HOST_IA32_EFER', 'VM_EXIT_CONTROLS', 'VM_ENTRY_CONTROLS', 'HOST_RIP'],
      );
    });
  });

  describe('guest control registers and MSRs (26.3.1.1)', () => {
    const S = '26.3.1.1';
    breaks('CR0.NE', flip('GUEST_CR0', bit(CR0.NE)), 'guest', 'GUEST_CR0', S);
    breaks(
      'CR0.PE without unrestricted guest',
      all(noUnrestricted, protected32, flip('GUEST_CR0', bit(CR0.PG))),
      'guest',
      'GUEST_CR0',
      S,
    );
    breaks('PG without PE', all(protected32, flip('GUEST_CR0', bit(CR0.PE))), 'guest', 'GUEST_CR0', S);
    breaks('CR4.VMXE', flip('GUEST_CR4', bit(CR4.VMXE)), 'guest', 'GUEST_CR4', S);
    breaks('DEBUGCTL', set('GUEST_IA32_DEBUGCTL', 4n), 'guest', 'GUEST_IA32_DEBUGCTL', S);
    breaks('long mode without PAE', flip('GUEST_CR4', bit(CR4.PAE)), 'guest', 'VM_ENTRY_CONTROLS', S);
    breaks('PCIDE outside long mode', all(protected32, or('GUEST_CR4', bit(CR4.PCIDE))), 'guest', 'GUEST_CR4', S);
    breaks('CR3', set('GUEST_CR3', bit(46)), 'guest', 'GUEST_CR3', S);
    breaks('DR7', or('GUEST_DR7', bit(32)), 'guest', 'GUEST_DR7', S);
    breaks('SYSENTER_ESP', set('GUEST_SYSENTER_ESP', bit(47)), 'guest', 'GUEST_SYSENTER_ESP', S);
    breaks('SYSENTER_EIP', set('GUEST_SYSENTER_EIP', bit(47)), 'guest', 'GUEST_SYSENTER_EIP', S);
    breaks('PAT', all(loadPat, set('GUEST_IA32_PAT', 8n)), 'guest', 'GUEST_IA32_PAT', S);
    breaks('EFER reserved bit', or('GUEST_IA32_EFER', bit(1)), 'guest', 'GUEST_IA32_EFER', S);
    breaks('EFER.LMA', flip('GUEST_IA32_EFER', bit(EFER.LMA)), 'guest', 'GUEST_IA32_EFER', S);
    breaks('EFER.LME with paging', flip('GUEST_IA32_EFER', bit(EFER.LME)), 'guest', 'GUEST_IA32_EFER', S);
  });

  describe('guest segment registers (26.3.1.2)', () => {
    const S = '26.3.1.2';
    const user = ['CS', 'SS', 'DS', 'ES', 'FS', 'GS'] as const;
    breaks('TR in the LDT', or('GUEST_TR_SELECTOR', 4), 'guest', 'GUEST_TR_SELECTOR', S);
    const ldt = set('GUEST_LDTR_AR_BYTES', 0x82n);
    breaks('LDTR in the LDT', all(ldt, set('GUEST_LDTR_SELECTOR', 4n)), 'guest', 'GUEST_LDTR_SELECTOR', S);
    breaks('RPL of SS and CS', all(noUnrestricted, flip('GUEST_CS_SELECTOR', 1)), 'guest', 'GUEST_SS_SELECTOR', S);
    for (const r of ['TR', 'FS', 'GS'] as const)
      breaks(`${r} base`, set(`GUEST_${r}_BASE`, bit(47)), 'guest', `GUEST_${r}_BASE`, S);
    breaks('LDTR base', all(ldt, set('GUEST_LDTR_BASE', bit(47))), 'guest', 'GUEST_LDTR_BASE', S);
    for (const r of ['CS', 'SS', 'DS', 'ES'] as const)
      breaks(`${r} base`, set(`GUEST_${r}_BASE`, bit(32)), 'guest', `GUEST_${r}_BASE`, S);
    for (const r of user) {
      breaks(`${r} base in virtual-8086 mode`, all(v86, set(`GUEST_${r}_BASE`, 0n)), 'guest', `GUEST_${r}_BASE`, S);
      breaks(
        `${r} limit in virtual-8086 mode`,
        all(v86, set(`GUEST_${r}_LIMIT`, 0xfffen)),
        'guest',
        `GUEST_${r}_LIMIT`,
        S,
      );
      breaks(
        `${r} rights in virtual-8086 mode`,
        all(v86, set(`GUEST_${r}_AR_BYTES`, 0x93n)),
        'guest',
        `GUEST_${r}_AR_BYTES`,
        S,
      );
      breaks(`${r} not present`, flip(`GUEST_${r}_AR_BYTES`, 0x80), 'guest', `GUEST_${r}_AR_BYTES`, S);
      breaks(`${r} a system segment`, flip(`GUEST_${r}_AR_BYTES`, 0x10), 'guest', `GUEST_${r}_AR_BYTES`, S);
      breaks(`${r} reserved bit 8`, or(`GUEST_${r}_AR_BYTES`, 0x100), 'guest', `GUEST_${r}_AR_BYTES`, S);
      breaks(`${r} bytes of a large limit`, flip(`GUEST_${r}_AR_BYTES`, 0x8000), 'guest', `GUEST_${r}_AR_BYTES`, S);
      breaks(`${r} pages of a ragged limit`, set(`GUEST_${r}_LIMIT`, 0xf_0000n), 'guest', `GUEST_${r}_AR_BYTES`, S);
    }
    breaks('CS without its accessed bit', flip('GUEST_CS_AR_BYTES', 1), 'guest', 'GUEST_CS_AR_BYTES', S);
    breaks(
      'CS as data without unrestricted guest',
      all(noUnrestricted, set('GUEST_CS_AR_BYTES', 0xa093n)),
      'guest',
      'GUEST_CS_AR_BYTES',
      S,
    );
    breaks('SS read-only', set('GUEST_SS_AR_BYTES', 0xc091n), 'guest', 'GUEST_SS_AR_BYTES', S);
    breaks('DS execute-only', set('GUEST_DS_AR_BYTES', 0xc099n), 'guest', 'GUEST_DS_AR_BYTES', S);
    breaks('FS without its accessed bit', flip('GUEST_FS_AR_BYTES', 1), 'guest', 'GUEST_FS_AR_BYTES', S);
    breaks('CS at CPL 3 over SS at 0', or('GUEST_CS_AR_BYTES', 0x60), 'guest', 'GUEST_CS_AR_BYTES', S);
    breaks('conforming CS above SS', set('GUEST_CS_AR_BYTES', 0xa0ffn), 'guest', 'GUEST_CS_AR_BYTES', S);
    breaks(
      'DPL and RPL of SS',
      all(noUnrestricted, or('GUEST_SS_SELECTOR', 3), or('GUEST_CS_SELECTOR', 3)),
      'guest',
      'GUEST_SS_AR_BYTES',
      S,
    );
    breaks(
      'DPL of SS in real mode',
      all(setRealModeGuest, or('GUEST_SS_AR_BYTES', 0x60), or('GUEST_CS_AR_BYTES', 0x60)),
      'guest',
      'GUEST_SS_AR_BYTES',
      S,
    );
    breaks('RPL of ES above its DPL', all(noUnrestricted, or('GUEST_ES_SELECTOR', 3)), 'guest', 'GUEST_ES_AR_BYTES', S);
    breaks('CS with L and D', or('GUEST_CS_AR_BYTES', 0x4000), 'guest', 'GUEST_CS_AR_BYTES', S);
    breaks('TR available', set('GUEST_TR_AR_BYTES', 0x89n), 'guest', 'GUEST_TR_AR_BYTES', S);
    breaks('16-bit TR in long mode', set('GUEST_TR_AR_BYTES', 0x83n), 'guest', 'GUEST_TR_AR_BYTES', S);
    allows('16-bit TR outside long mode', all(protected32, set('GUEST_TR_AR_BYTES', 0x83n)));
    breaks('TR unusable', or('GUEST_TR_AR_BYTES', 0x1_0000), 'guest', 'GUEST_TR_AR_BYTES', S);
    breaks('TR not present', flip('GUEST_TR_AR_BYTES', 0x80), 'guest', 'GUEST_TR_AR_BYTES', S);
    breaks('LDTR type', set('GUEST_LDTR_AR_BYTES', 0x83n), 'guest', 'GUEST_LDTR_AR_BYTES', S);
    breaks(
      'LDTR large limit in bytes',
      all(ldt, set('GUEST_LDTR_LIMIT', 0xf000_0000n)),
      'guest',
      'GUEST_LDTR_AR_BYTES',
      S,
    );
    allows('unusable data segments', (v) =>
      (['DS', 'ES', 'FS', 'GS', 'SS'] as const).forEach((r) => v.set(`GUEST_${r}_AR_BYTES`, 0x1_0000n)),
    );
  });

  describe('guest descriptor tables, RIP and RFLAGS (26.3.1.3, 26.3.1.4)', () => {
    breaks('GDTR base', set('GUEST_GDTR_BASE', bit(47)), 'guest', 'GUEST_GDTR_BASE', '26.3.1.3');
    breaks('IDTR base', set('GUEST_IDTR_BASE', bit(47)), 'guest', 'GUEST_IDTR_BASE', '26.3.1.3');
    breaks('GDTR limit', set('GUEST_GDTR_LIMIT', 0x1_0000n), 'guest', 'GUEST_GDTR_LIMIT', '26.3.1.3');
    breaks('IDTR limit', set('GUEST_IDTR_LIMIT', 0x1_0000n), 'guest', 'GUEST_IDTR_LIMIT', '26.3.1.3');
    breaks('RIP bit 48', set('GUEST_RIP', bit(48)), 'guest', 'GUEST_RIP', '26.3.1.4');
    allows('RIP bit 47 alone: only bits above the width must be identical', set('GUEST_RIP', bit(47)));
    breaks(
      'RIP in compatibility mode',
      all(set('GUEST_CS_AR_BYTES', 0xc09bn), set('GUEST_RIP', bit(32))),
      'guest',
      'GUEST_RIP',
      '26.3.1.4',
    );
    for (const n of [1, 3, 5, 15, 22, 63])
      breaks(`RFLAGS bit ${n}`, flip('GUEST_RFLAGS', bit(n)), 'guest', 'GUEST_RFLAGS', '26.3.1.4');
    breaks('external interrupt with IF = 0', inject(0x030), 'guest', 'GUEST_RFLAGS', '26.3.1.4');
    it('RFLAGS.VM in long mode', () => {
      assert.ok(
        unmet(or('GUEST_RFLAGS', bit(RFLAGS.VM))).some(
          (u) => u.fields[0] === 'GUEST_RFLAGS' && u.section === '26.3.1.4',
        ),
      );
    });
  });

  describe('guest non-register state and PDPTEs (26.3.1.5, 26.3.1.6)', () => {
    const S = '26.3.1.5';
    breaks('activity 4', set('GUEST_ACTIVITY_STATE', 4n), 'guest', 'GUEST_ACTIVITY_STATE', S);
    breaks('wait-for-SIPI is not offered', set('GUEST_ACTIVITY_STATE', 3n), 'guest', 'GUEST_ACTIVITY_STATE', S);
    breaks(
      'HLT at CPL 3',
      all(set('GUEST_ACTIVITY_STATE', 1n), or('GUEST_SS_AR_BYTES', 0x60), or('GUEST_CS_AR_BYTES', 0x60)),
      'guest',
      'GUEST_ACTIVITY_STATE',
      S,
    );
    breaks(
      'HLT under blocking by MOV SS',
      all(set('GUEST_ACTIVITY_STATE', 1n), set('GUEST_INTERRUPTIBILITY_INFO', 2n)),
      'guest',
      'GUEST_ACTIVITY_STATE',
      S,
    );
    breaks(
      '#GP into HLT',
      all(GENERAL_PROTECTION, set('GUEST_ACTIVITY_STATE', 1n)),
      'guest',
      'GUEST_ACTIVITY_STATE',
      S,
    );
    breaks(
      'external interrupt into shutdown',
      all(inject(0x30), ifSet, set('GUEST_ACTIVITY_STATE', 2n)),
      'guest',
      'GUEST_ACTIVITY_STATE',
      S,
    );
    breaks(
      'interruptibility bit 5',
      set('GUEST_INTERRUPTIBILITY_INFO', 0x20n),
      'guest',
      'GUEST_INTERRUPTIBILITY_INFO',
      S,
    );
    breaks('blocking by SMI', set('GUEST_INTERRUPTIBILITY_INFO', 4n), 'guest', 'GUEST_INTERRUPTIBILITY_INFO', S);
    breaks(
      'STI and MOV SS',
      all(ifSet, set('GUEST_INTERRUPTIBILITY_INFO', 3n)),
      'guest',
      'GUEST_INTERRUPTIBILITY_INFO',
      S,
    );
    breaks('STI with IF = 0', set('GUEST_INTERRUPTIBILITY_INFO', 1n), 'guest', 'GUEST_INTERRUPTIBILITY_INFO', S);
    breaks(
      'external interrupt under STI',
      all(inject(0x30), ifSet, set('GUEST_INTERRUPTIBILITY_INFO', 1n)),
      'guest',
      'GUEST_INTERRUPTIBILITY_INFO',
      S,
    );
    breaks(
      'NMI under MOV SS',
      all(NMI, set('GUEST_INTERRUPTIBILITY_INFO', 2n)),
      'guest',
      'GUEST_INTERRUPTIBILITY_INFO',
      S,
      3,
    );
    const virtualNmis = or('PIN_BASED_VM_EXEC_CONTROL', PIN.NMI_EXITING | PIN.VIRTUAL_NMIS);
    breaks(
      'NMI under virtual-NMI blocking',
      all(NMI, virtualNmis, set('GUEST_INTERRUPTIBILITY_INFO', 8n)),
      'guest',
      'GUEST_INTERRUPTIBILITY_INFO',
      S,
      3,
    );
    allows('NMI under NMI blocking without virtual NMIs', all(NMI, set('GUEST_INTERRUPTIBILITY_INFO', 8n)));
    breaks(
      'pending debug bit 4',
      set('GUEST_PENDING_DBG_EXCEPTIONS', 0x10n),
      'guest',
      'GUEST_PENDING_DBG_EXCEPTIONS',
      S,
    );
    breaks(
      'pending single step without TF',
      all(set('GUEST_INTERRUPTIBILITY_INFO', 2n), set('GUEST_PENDING_DBG_EXCEPTIONS', 0x4000n)),
      'guest',
      'GUEST_PENDING_DBG_EXCEPTIONS',
      S,
    );
    breaks(
      'TF in HLT without pending single step',
      all(or('GUEST_RFLAGS', bit(RFLAGS.TF)), set('GUEST_ACTIVITY_STATE', 1n)),
      'guest',
      'GUEST_PENDING_DBG_EXCEPTIONS',
      S,
    );
    breaks('link pointer to no VMCS', set('VMCS_LINK_POINTER', AREA), 'guest', 'VMCS_LINK_POINTER', S, 4);
    breaks('link pointer to the VMCS itself', set('VMCS_LINK_POINTER', VMCS_A), 'guest', 'VMCS_LINK_POINTER', S, 4);
    allows('link pointer to another VMCS', set('VMCS_LINK_POINTER', VMCS_B));
    breaks('link pointer misaligned', set('VMCS_LINK_POINTER', 8n), 'guest', 'VMCS_LINK_POINTER', S, 4);
    breaks(
      'PDPTE field with a reserved bit',
      all(pae, set('GUEST_PDPTR2', 3n)),
      'guest',
      'GUEST_PDPTR0',
      '26.3.1.6',
      2,
    );
    it('PDPTEs in memory without EPT', () => {
      const { vmcs, memory } = machine();
      all(pae, set('SECONDARY_VM_EXEC_CONTROL', 0n))(vmcs);
      memory.write64(PDPT, 0x21n);
      const found = unmetChecks(vmcs, { capabilities: CAPABILITIES, memory, rootLongMode: true });
      assert.deepEqual(
        found.map((u) => [u.fields[0], u.qualification]),
        [['GUEST_PDPTR0', 2]],
      );
    });
  });

  it('names every unmet check, not the first alone', () => {
    const found = unmet(
      all(set('CR3_TARGET_COUNT', 9n), set('HOST_CR3', bit(60)), set('GUEST_RFLAGS', 0n), set('VMCS_LINK_POINTER', 1n)),
    );
    assert.deepEqual(
      found.map((u) => [u.area, u.fields[0]]),
      [
        ['control', 'CR3_TARGET_COUNT'],
        ['host', 'HOST_CR3'],
        ['guest', 'GUEST_RFLAGS'],
        ['guest', 'VMCS_LINK_POINTER'],
      ],
    );
  });

  it('changes nothing in the VMCS', () => {
    const { vmcs, memory } = machine();
    const before = memory.read(vmcs.address, 4096);
    vmcs.write(FIELD.GUEST_CR0, vmcs.read(FIELD.GUEST_CR0));
    unmetChecks(vmcs, { capabilities: CAPABILITIES, memory, rootLongMode: false });
    assert.deepEqual(memory.read(vmcs.address, 4096), before);
  });
});
