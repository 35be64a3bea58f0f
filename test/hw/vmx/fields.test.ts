import * as assert from 'node:assert/strict';
import { MSR } from '../../../src/isa/msrs';
import { describeBits } from '../../../src/isa/bit-layout';
import { decodeQualification, qualificationKind } from '../../../src/isa/exit-qualification';
import { VMX_EXIT } from '../../../src/isa/exits';
import {
  FIELD,
  VMCS_FIELDS,
  fieldOf,
  vmcsField,
  vmcsFieldByName,
  type VmcsFieldName,
} from '../../../src/isa/vmcs-fields';
import { decodeField, fieldLayout } from '../../../src/isa/vmcs-layouts';
import { supportedEncodings, supportedFields } from '../../../src/hw/vmx/fields';
import { fieldOffset } from '../../../src/hw/vmx/vmcs';
import { CAPABILITIES, machine } from './support';

const says = (name: VmcsFieldName, value: bigint): string => describeBits(decodeField(fieldOf(name), value));
const qualifies = (reason: number, q: bigint, vector?: number): string =>
  describeBits(decodeQualification(reason, q, vector));

describe('VMCS fields', () => {
  it('encodings say width and area (24.11.2)', () => {
    const seen = (name: VmcsFieldName): unknown[] => {
      const f = fieldOf(name);
      return [f.encoding, f.width, f.area];
    };
    assert.deepEqual(seen('VIRTUAL_PROCESSOR_ID'), [0x0000, 16, 'control']);
    assert.deepEqual(seen('GUEST_TR_SELECTOR'), [0x080e, 16, 'guest']);
    assert.deepEqual(seen('EPT_POINTER'), [0x201a, 64, 'control']);
    assert.deepEqual(seen('GUEST_PHYSICAL_ADDRESS'), [0x2400, 64, 'exit']);
    assert.deepEqual(seen('VM_EXIT_REASON'), [0x4402, 32, 'exit']);
    assert.deepEqual(seen('HOST_IA32_SYSENTER_CS'), [0x4c00, 32, 'host']);
    assert.deepEqual(seen('EXIT_QUALIFICATION'), [0x6400, 'natural', 'exit']);
    assert.deepEqual(seen('HOST_RIP'), [0x6c16, 'natural', 'host']);
  });

  it('encodings and names are unique, and each leads back to its field', () => {
    assert.equal(new Set(VMCS_FIELDS.map((f) => f.encoding)).size, VMCS_FIELDS.length);
    assert.equal(new Set(VMCS_FIELDS.map((f) => f.title)).size, VMCS_FIELDS.length);
    for (const f of VMCS_FIELDS) {
      assert.equal(vmcsField(f.encoding), f);
      assert.equal(vmcsFieldByName(f.name), f);
      assert.equal(FIELD[f.name], f.encoding);
      assert.equal(vmcsField(f.encoding + 1), f.width === 64 ? f : undefined);
    }
  });

  it('each has 8 bytes of the region to itself', () => {
    const offsets = VMCS_FIELDS.map((f) => fieldOffset(f.encoding)).sort((a, b) => a - b);
    assert.ok(offsets.every((o, i) => o >= 64 && o + 8 <= 4096 && (i === 0 || o - (offsets[i - 1] as number) >= 8)));
  });

  it('round trip at their widths, high halves apart', () => {
    const { vmcs } = machine();
    const all = 0xfedc_ba98_7654_3210n;
    const masks = { 16: 0xffffn, 32: 0xffff_ffffn, 64: (1n << 64n) - 1n, natural: (1n << 64n) - 1n };
    for (const f of VMCS_FIELDS) vmcs.write(f.encoding, all ^ BigInt(f.encoding));
    for (const f of VMCS_FIELDS) {
      const expected = (all ^ BigInt(f.encoding)) & masks[f.width];
      assert.equal(vmcs.read(f.encoding), expected, f.name);
      assert.equal(vmcs.read32(f.encoding), Number(expected & 0xffff_ffffn), f.name);
    }
    vmcs.write(FIELD.TSC_OFFSET + 1, 0x1_1234_5678n);
    assert.equal(
      vmcs.read(FIELD.TSC_OFFSET),
      0x1234_5678_0000_0000n | ((all ^ BigInt(FIELD.TSC_OFFSET)) & 0xffff_ffffn),
    );
    assert.equal(vmcs.read(FIELD.TSC_OFFSET + 1), 0x1234_5678n);
  });

  it('exist where the processor has the control that uses them', () => {
    const names = new Set(supportedFields(CAPABILITIES).map((f) => f.name));
    for (const there of [
      'EPT_POINTER',
      'VIRTUAL_PROCESSOR_ID',
      'MSR_BITMAP',
      'GUEST_PDPTR0',
      'VMX_PREEMPTION_TIMER_VALUE',
      'GUEST_IA32_EFER',
      'PML_ADDRESS',
    ] as const)
      assert.ok(names.has(there), there);
    for (const absent of [
      'TPR_THRESHOLD',
      'VIRTUAL_APIC_PAGE_ADDR',
      'GUEST_IA32_PERF_GLOBAL_CTRL',
      'TSC_MULTIPLIER',
    ] as const)
      assert.ok(!names.has(absent), absent);
    const encodings = supportedEncodings(CAPABILITIES);
    assert.ok(encodings.has(0x201b) && !encodings.has(0x4003) && !encodings.has(0x401c));
  });

  it('decode by the manual’s names', () => {
    assert.equal(says('PIN_BASED_VM_EXEC_CONTROL', 0x3fn), 'External-interrupt exiting, NMI exiting, Virtual NMIs');
    assert.equal(says('SECONDARY_VM_EXEC_CONTROL', 0xa2n), 'Enable EPT, Enable VPID, Unrestricted guest');
    assert.equal(
      says('EPT_POINTER', 0x1_0000_605en),
      'Memory type=WB, Page-walk length less one=4 levels, Enable accessed and dirty flags, Frame of the root table=0x100006',
    );
    assert.equal(
      says('VM_EXIT_INTR_INFO', 0x8000_0b0en),
      'Vector=#PF, Type=hardware exception, Error code valid, Valid',
    );
    assert.equal(
      says('GUEST_CS_AR_BYTES', 0xa09bn),
      'Type=0xb, S (code or data), P (present), L (64-bit code), G (granularity)',
    );
    assert.equal(says('GUEST_ACTIVITY_STATE', 1n), 'State=HLT');
    assert.equal(says('VM_EXIT_REASON', 0x8000_0021n), 'Basic exit reason=INVALID_STATE, VM-entry failure');
    assert.equal(
      says('GUEST_IA32_PAT', 0x0007_0406_0007_0406n),
      'PA0=WB, PA1=WT, PA2=UC-, PA3=UC, PA4=WB, PA5=WT, PA6=UC-, PA7=UC',
    );
    assert.deepEqual(decodeField(fieldOf('GUEST_RIP'), 5n), []);
  });

  it('layouts cover no bit twice and stay within the field', () => {
    for (const f of VMCS_FIELDS) {
      const layout = fieldLayout(f.name) ?? [];
      let seen = 0n;
      for (const part of layout) {
        const mask = ((1n << BigInt(part.hi - part.lo + 1)) - 1n) << BigInt(part.lo);
        assert.equal(seen & mask, 0n, `${f.name} ${part.name}`);
        assert.ok(part.hi < (typeof f.width === 'number' ? f.width : 64), `${f.name} ${part.name}`);
        seen |= mask;
      }
    }
  });
});

describe('exit qualifications', () => {
  it('decode by reason', () => {
    assert.equal(
      qualifies(VMX_EXIT.EPT_VIOLATION, 0x181n),
      'Data read, Guest linear address valid, Access=to the translation of the linear address',
    );
    assert.equal(
      qualifies(VMX_EXIT.EPT_VIOLATION, 0x8bn),
      'Data read, Data write, EPT entries readable, Guest linear address valid, Access=to a guest paging-structure entry',
    );
    assert.equal(qualifies(VMX_EXIT.EPT_VIOLATION, 0x1n), 'Data read');
    assert.equal(
      qualifies(VMX_EXIT.IO_INSTRUCTION, 0x3f8_0040n),
      'Size=1 byte, Direction=OUT, Operand encoding=immediate, Port=0x3f8',
    );
    assert.equal(
      qualifies(VMX_EXIT.CR_ACCESS, 0x203n),
      'Control register=CR3, Access type=MOV to CR, General register=rdx',
    );
    assert.equal(
      qualifies(VMX_EXIT.CR_ACCESS, 0x1_0030n),
      'Control register=CR0, Access type=LMSW, LMSW source data=0x1',
    );
    assert.equal(
      qualifies(VMX_EXIT.DR_ACCESS, 0x117n),
      'Debug register=DR7, Direction=MOV from DR, General register=rcx',
    );
    assert.equal(qualifies(VMX_EXIT.TASK_SWITCH, 0xc000_0028n), 'TSS selector=0x28, Source=task gate in the IDT');
    assert.equal(qualifies(VMX_EXIT.EXCEPTION_NMI, 0x4001n, 1), 'B0, BS');
    assert.equal(qualifies(0x8000_0000 + VMX_EXIT.INVALID_STATE, 4n), 'Failure=VMCS link pointer');
  });
  it('are plain values for the rest', () => {
    assert.equal(qualificationKind(VMX_EXIT.EXCEPTION_NMI, 14), 'linear-address');
    assert.equal(qualificationKind(VMX_EXIT.INVLPG), 'linear-address');
    assert.equal(qualificationKind(VMX_EXIT.GDTR_IDTR), 'displacement');
    assert.equal(qualificationKind(VMX_EXIT.MSR_LOAD_FAIL), 'entry-number');
    assert.equal(qualificationKind(VMX_EXIT.CPUID), 'none');
    assert.equal(qualificationKind(VMX_EXIT.EPT_MISCONFIG), 'none');
  });
});

describe('VMX capabilities', () => {
  const controls = [
    [MSR.VMX_TRUE_PINBASED_CTLS, MSR.VMX_PINBASED_CTLS],
    [MSR.VMX_TRUE_PROCBASED_CTLS, MSR.VMX_PROCBASED_CTLS],
    [MSR.VMX_TRUE_EXIT_CTLS, MSR.VMX_EXIT_CTLS],
    [MSR.VMX_TRUE_ENTRY_CTLS, MSR.VMX_ENTRY_CTLS],
  ] as const;
  it('what must be 1 may be 1, and the TRUE MSRs relax the others (A.2)', () => {
    for (const [precise, old] of controls) {
      const t = CAPABILITIES.msr(precise) as bigint;
      const o = CAPABILITIES.msr(old) as bigint;
      assert.equal(t & 0xffff_ffffn & ~(t >> 32n), 0n);
      assert.equal(t >> 32n, o >> 32n);
      assert.equal(t & 0xffff_ffffn & ~o, 0n);
    }
    assert.equal((CAPABILITIES.msr(MSR.VMX_PROCBASED_CTLS) as bigint) & 0xffff_ffffn, 0x0401_e172n);
    assert.equal((CAPABILITIES.msr(MSR.VMX_TRUE_PROCBASED_CTLS) as bigint) & 0xffff_ffffn, 0x0400_6172n);
    assert.equal((CAPABILITIES.msr(MSR.VMX_TRUE_EXIT_CTLS) as bigint) & 0xffff_ffffn, 0x0003_6dfbn);
    assert.equal((CAPABILITIES.msr(MSR.VMX_TRUE_ENTRY_CTLS) as bigint) & 0xffff_ffffn, 0x0000_11fbn);
  });
  it('VMX_BASIC: revision, 4 KiB, write-back, INS/OUTS information, TRUE MSRs (A.1)', () => {
    const basic = CAPABILITIES.msr(MSR.VMX_BASIC) as bigint;
    assert.equal(basic & 0xffff_ffffn, BigInt(CAPABILITIES.revision));
    assert.equal(basic >> 32n, 0x00d8_1000n);
  });
  it('VMX_EPT_VPID_CAP as Linux’s capability masks name it', () => {
    assert.equal(CAPABILITIES.eptVpid, 0xf01_0633_4141n);
  });
  it('VMCS_ENUM holds the highest index', () => {
    assert.equal(CAPABILITIES.msr(MSR.VMX_VMCS_ENUM), BigInt(25 << 1));
  });
  it('no other MSR', () => assert.equal(CAPABILITIES.msr(0x491), undefined));
});
