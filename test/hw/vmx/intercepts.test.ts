import * as assert from 'node:assert/strict';
import { CR0 } from '../../../src/isa/flags';
import { VMX_EXIT } from '../../../src/isa/exits';
import { PROC, SECONDARY } from '../../../src/isa/vmcs-controls';
import type { VmcsFieldName } from '../../../src/isa/vmcs-fields';
import type { VmExit } from '../../../src/hw/state/event';
import type { InterceptContext } from '../../../src/hw/state/intercepts';
import { SLOT } from '../../../src/hw/state/layout';
import type { VmxIntercepts } from '../../../src/hw/vmx/intercepts';
import type { EptFault } from '../../../src/hw/vmx/ept-exit';
import { eptFaultExit } from '../../../src/hw/vmx/ept-exit';
import { IO_A, IO_B, MSR_MAP, machine } from './support';

const bit = (n: number): bigint => 1n << BigInt(n);

interface Fixture {
  readonly intercepts: VmxIntercepts;
  readonly context: InterceptContext;
  /** Sets a bit of a byte in memory. */
  readonly poke: (address: bigint, value: number) => void;
}
/** The intercepts of a guest whose VMCS has these fields beside those of the fixture; primary and secondary controls are added to it. */
function intercepts(proc: number, secondary = 0, fields: Partial<Record<VmcsFieldName, bigint>> = {}): Fixture {
  const { vmx, vmcs, state, memory } = machine();
  const base = vmcs.get('CPU_BASED_VM_EXEC_CONTROL') & ~BigInt(PROC.HLT_EXITING);
  vmcs.set('CPU_BASED_VM_EXEC_CONTROL', base | BigInt(proc >>> 0));
  vmcs.set('SECONDARY_VM_EXEC_CONTROL', vmcs.get('SECONDARY_VM_EXEC_CONTROL') | BigInt(secondary));
  for (const [name, value] of Object.entries(fields)) vmcs.set(name as VmcsFieldName, value);
  vmx.controls.decode(vmcs);
  const context: InterceptContext = { state, insn: { length: 3 } };
  return { intercepts: vmx.intercepts, context, poke: (a, v) => (memory.u8[memory.offsetOf(a)] = v) };
}
const exit = (reason: number, qualification: bigint, more: Partial<VmExit> = {}): VmExit => ({
  reason,
  qualification,
  instructionLength: 3,
  ...more,
});

describe('VMX intercepts', () => {
  describe('instructions (25.1.2, 25.1.3)', () => {
    const always = [
      'CPUID',
      'INVD',
      'XSETBV',
      'VMCALL',
      'VMCLEAR',
      'VMLAUNCH',
      'VMPTRLD',
      'VMPTRST',
      'VMREAD',
      'VMRESUME',
      'VMWRITE',
      'VMOFF',
      'VMON',
      'INVEPT',
      'INVVPID',
    ] as const;
    for (const name of always) {
      it(`${name} exits always`, () => {
        const f = intercepts(0);
        assert.deepEqual(f.intercepts.instruction(f.context, VMX_EXIT[name], 0n), exit(VMX_EXIT[name], 0n));
      });
    }
    const conditional = [
      ['HLT', PROC.HLT_EXITING, 0],
      ['INVLPG', PROC.INVLPG_EXITING, 0],
      ['INVPCID', PROC.INVLPG_EXITING, 0],
      ['RDPMC', PROC.RDPMC_EXITING, 0],
      ['RDTSC', PROC.RDTSC_EXITING, 0],
      ['RDTSCP', PROC.RDTSC_EXITING, 0],
      ['MWAIT_INSTRUCTION', PROC.MWAIT_EXITING, 0],
      ['MONITOR_INSTRUCTION', PROC.MONITOR_EXITING, 0],
      ['PAUSE_INSTRUCTION', PROC.PAUSE_EXITING, 0],
      ['WBINVD', 0, SECONDARY.WBINVD_EXITING],
    ] as const;
    for (const [name, proc, secondary] of conditional) {
      it(`${name} exits with its control`, () => {
        const off = intercepts(0);
        assert.equal(off.intercepts.instruction(off.context, VMX_EXIT[name], 7n), undefined);
        const on = intercepts(proc, secondary);
        assert.deepEqual(
          on.intercepts.instruction(on.context, VMX_EXIT[name], 7n, 9),
          exit(VMX_EXIT[name], 7n, { instructionInfo: 9 }),
        );
      });
    }
    it('RDTSCP and INVPCID are undefined unless enabled (25.3)', () => {
      assert.ok(intercepts(0).intercepts.isUndefined(VMX_EXIT.RDTSCP));
      assert.ok(!intercepts(0, SECONDARY.ENABLE_RDTSCP).intercepts.isUndefined(VMX_EXIT.RDTSCP));
      assert.ok(intercepts(0).intercepts.isUndefined(VMX_EXIT.INVPCID));
      assert.ok(!intercepts(0).intercepts.isUndefined(VMX_EXIT.RDTSC));
    });
    it('secondary controls count only when activated', () => {
      const { vmx, vmcs, state } = machine();
      vmcs.set('SECONDARY_VM_EXEC_CONTROL', BigInt(SECONDARY.WBINVD_EXITING));
      vmcs.set('CPU_BASED_VM_EXEC_CONTROL', 0x0400_6172n);
      vmx.controls.decode(vmcs);
      assert.equal(vmx.intercepts.instruction({ state, insn: { length: 2 } }, VMX_EXIT.WBINVD, 0n), undefined);
    });
  });

  describe('control registers (25.1.3, 25.3, table 27-3)', () => {
    const masks = {
      CR0_GUEST_HOST_MASK: bit(CR0.PG) | bit(CR0.TS) | bit(CR0.PE),
      CR0_READ_SHADOW: bit(CR0.TS),
    } as const;
    const cr = (f: Fixture, access: Parameters<VmxIntercepts['controlRegister']>[1]): VmExit | undefined =>
      f.intercepts.controlRegister(f.context, access);

    it('MOV to CR0 exits when a host-owned bit differs from the read shadow', () => {
      const f = intercepts(0, 0, masks);
      assert.equal(cr(f, { type: 'write', cr: 0, gpr: 1, value: bit(CR0.TS) | bit(CR0.WP) }), undefined);
      assert.deepEqual(
        cr(f, { type: 'write', cr: 0, gpr: 1, value: bit(CR0.TS) | bit(CR0.PG) }),
        exit(VMX_EXIT.CR_ACCESS, 0x100n),
      );
      assert.deepEqual(cr(f, { type: 'write', cr: 0, gpr: 15, value: 0n }), exit(VMX_EXIT.CR_ACCESS, 0xf00n));
    });
    it('MOV from CR0 mixes register and shadow; MOV to CR0 keeps host-owned bits', () => {
      const f = intercepts(0, 0, masks);
      f.context.state.set(SLOT.CR0, bit(CR0.PE) | bit(CR0.PG) | bit(CR0.WP));
      assert.equal(f.intercepts.readControl(f.context, 0), bit(CR0.TS) | bit(CR0.WP));
      assert.equal(
        f.intercepts.writeControl(f.context, 0, bit(CR0.TS) | bit(CR0.MP)),
        bit(CR0.PE) | bit(CR0.PG) | bit(CR0.MP),
      );
    });
    it('CR4 likewise', () => {
      const f = intercepts(0, 0, { CR4_GUEST_HOST_MASK: 0x2000n, CR4_READ_SHADOW: 0n });
      f.context.state.set(SLOT.CR4, 0x2020n);
      assert.equal(f.intercepts.readControl(f.context, 4), 0x20n);
      assert.equal(f.intercepts.writeControl(f.context, 4, 0x80n), 0x2080n);
      assert.equal(cr(f, { type: 'write', cr: 4, gpr: 0, value: 0xa0n }), undefined);
      assert.deepEqual(cr(f, { type: 'write', cr: 4, gpr: 0, value: 0x2000n }), exit(VMX_EXIT.CR_ACCESS, 4n));
    });
    it('CR3 loads spare the CR3-target values', () => {
      const f = intercepts(PROC.CR3_LOAD_EXITING, 0, {
        CR3_TARGET_COUNT: 2n,
        CR3_TARGET_VALUE0: 0x1000n,
        CR3_TARGET_VALUE1: 0x2000n,
        CR3_TARGET_VALUE2: 0x3000n,
      });
      assert.equal(cr(f, { type: 'write', cr: 3, gpr: 3, value: 0x2000n }), undefined);
      assert.deepEqual(cr(f, { type: 'write', cr: 3, gpr: 3, value: 0x3000n }), exit(VMX_EXIT.CR_ACCESS, 0x303n));
      assert.equal(cr(f, { type: 'read', cr: 3, gpr: 3, value: 0n }), undefined);
    });
    it('CR3 stores, CR8 loads and stores', () => {
      const f = intercepts(PROC.CR3_STORE_EXITING | PROC.CR8_LOAD_EXITING | PROC.CR8_STORE_EXITING);
      assert.deepEqual(cr(f, { type: 'read', cr: 3, gpr: 2, value: 0n }), exit(VMX_EXIT.CR_ACCESS, 0x213n));
      assert.deepEqual(cr(f, { type: 'write', cr: 8, gpr: 0, value: 0n }), exit(VMX_EXIT.CR_ACCESS, 0x8n));
      assert.deepEqual(cr(f, { type: 'read', cr: 8, gpr: 9, value: 0n }), exit(VMX_EXIT.CR_ACCESS, 0x918n));
      assert.equal(cr(f, { type: 'write', cr: 2, gpr: 0, value: 0n }), undefined);
    });
    it('CLTS exits when the host owns TS and the guest sees it set', () => {
      assert.deepEqual(
        cr(intercepts(0, 0, masks), { type: 'clts', cr: 0, gpr: 0, value: 0n }),
        exit(VMX_EXIT.CR_ACCESS, 0x20n),
      );
      assert.equal(
        cr(intercepts(0, 0, { CR0_GUEST_HOST_MASK: bit(CR0.TS) }), { type: 'clts', cr: 0, gpr: 0, value: 0n }),
        undefined,
      );
    });
    it('LMSW: PE only when it would be set, MP EM TS when they differ', () => {
      const f = intercepts(0, 0, masks);
      assert.equal(cr(f, { type: 'lmsw', cr: 0, gpr: 0, value: 0x8n }), undefined);
      assert.deepEqual(cr(f, { type: 'lmsw', cr: 0, gpr: 5, value: 0xfff9n }), exit(VMX_EXIT.CR_ACCESS, 0xfff9_0030n));
      assert.deepEqual(
        cr(f, { type: 'lmsw', cr: 0, gpr: 0, value: 0n, memory: true, linear: 0x1234n }),
        exit(VMX_EXIT.CR_ACCESS, 0x70n, { guestLinearAddress: 0x1234n }),
      );
      const shown = intercepts(0, 0, { CR0_GUEST_HOST_MASK: 1n, CR0_READ_SHADOW: 1n });
      assert.equal(cr(shown, { type: 'lmsw', cr: 0, gpr: 0, value: 0n }), undefined);
    });
  });

  it('MOV DR (table 27-4)', () => {
    const off = intercepts(0);
    assert.equal(off.intercepts.debugRegister(off.context, { write: true, dr: 7, gpr: 0 }), undefined);
    const on = intercepts(PROC.MOV_DR_EXITING);
    assert.deepEqual(
      on.intercepts.debugRegister(on.context, { write: true, dr: 7, gpr: 10 }),
      exit(VMX_EXIT.DR_ACCESS, 0xa07n),
    );
    assert.deepEqual(
      on.intercepts.debugRegister(on.context, { write: false, dr: 6, gpr: 0 }),
      exit(VMX_EXIT.DR_ACCESS, 0x16n),
    );
  });

  describe('I/O (25.1.3, table 27-5)', () => {
    const out = { write: true, port: 0x3f8, size: 1, string: false, rep: false, immediate: false } as const;
    it('goes on without controls, and exits with "unconditional I/O exiting"', () => {
      const off = intercepts(0);
      assert.equal(off.intercepts.io(off.context, out), undefined);
      const on = intercepts(PROC.UNCOND_IO_EXITING);
      assert.deepEqual(on.intercepts.io(on.context, out), exit(VMX_EXIT.IO_INSTRUCTION, 0x3f8_0000n));
      assert.deepEqual(
        on.intercepts.io(on.context, { ...out, write: false, port: 0xe9, size: 4, immediate: true }),
        exit(VMX_EXIT.IO_INSTRUCTION, 0xe9_004bn),
      );
      assert.deepEqual(
        on.intercepts.io(on.context, { ...out, size: 2, string: true, rep: true, linear: 0x5000n, info: 0x1_8080 }),
        exit(VMX_EXIT.IO_INSTRUCTION, 0x3f8_0031n, { instructionInfo: 0x1_8080, guestLinearAddress: 0x5000n }),
      );
    });
    it('bitmaps decide alone: a bit of any port accessed, bitmap B from 0x8000, wrapping', () => {
      const f = intercepts(PROC.UNCOND_IO_EXITING | PROC.USE_IO_BITMAPS, 0, { IO_BITMAP_A: IO_A, IO_BITMAP_B: IO_B });
      f.poke(IO_A + 0x7fn, 0x01);
      f.poke(IO_B, 0x02);
      const exits = (port: number, size: number): boolean =>
        f.intercepts.io(f.context, { ...out, port, size }) !== undefined;
      assert.deepEqual(
        [exits(0x3f8, 1), exits(0x3f7, 1), exits(0x3f5, 4), exits(0x3f4, 4), exits(0x3f9, 1)],
        [true, false, true, false, false],
      );
      assert.deepEqual([exits(0x8001, 1), exits(0x8000, 1), exits(0x7fff, 4)], [true, false, true]);
      assert.deepEqual([exits(0xffff, 1), exits(0xffff, 2)], [false, true]);
    });
  });

  it('MSR bitmaps (24.6.9)', () => {
    const f = intercepts(PROC.USE_MSR_BITMAPS, 0, { MSR_BITMAP: MSR_MAP });
    f.poke(MSR_MAP + 0x1dn, 0x01); // read of 0xe8
    f.poke(MSR_MAP + 0x400n + 0x10n, 0x01); // read of c0000080
    f.poke(MSR_MAP + 0x800n + 0x2n, 0x01); // write of 0x10
    f.poke(MSR_MAP + 0xc00n + 0x10n, 0x04); // write of c0000082
    const exits = (index: number, write: boolean): boolean => f.intercepts.msr(f.context, index, write) !== undefined;
    assert.deepEqual([exits(0xe8, false), exits(0xe8, true), exits(0xe9, false)], [true, false, false]);
    assert.deepEqual(
      [exits(0xc000_0080, false), exits(0xc000_0080, true), exits(0xc000_0082, true), exits(0xc000_0082, false)],
      [true, false, true, false],
    );
    assert.deepEqual([exits(0x10, true), exits(0x10, false)], [true, false]);
    assert.deepEqual(
      [exits(0x2000, false), exits(0xbfff_ffff, true), exits(0xc000_2000, false), exits(0x1fff, false)],
      [true, true, true, false],
    );
    assert.deepEqual(f.intercepts.msr(f.context, 0x10, true), exit(VMX_EXIT.MSR_WRITE, 0n));
    const none = intercepts(0);
    assert.deepEqual(none.intercepts.msr(none.context, 0x10, false), exit(VMX_EXIT.MSR_READ, 0n));
  });

  it('descriptor tables and task switches', () => {
    const off = intercepts(0);
    assert.equal(off.intercepts.descriptorTable(off.context, VMX_EXIT.GDTR_IDTR, 5, 6n), undefined);
    const on = intercepts(0, SECONDARY.DESC);
    assert.deepEqual(
      on.intercepts.descriptorTable(on.context, VMX_EXIT.LDTR_TR, 5, 6n),
      exit(VMX_EXIT.LDTR_TR, 6n, { instructionInfo: 5 }),
    );
    assert.deepEqual(off.intercepts.taskSwitch(off.context, 0x28, 'jmp'), exit(VMX_EXIT.TASK_SWITCH, 0x8000_0028n));
    assert.deepEqual(off.intercepts.taskSwitch(off.context, 0x28, 'idt'), {
      reason: VMX_EXIT.TASK_SWITCH,
      qualification: 0xc000_0028n,
    });
  });

  describe('exceptions (25.2)', () => {
    const PF = bit(14);
    const pf = (fields: Partial<Record<VmcsFieldName, bigint>>, code: number): boolean => {
      const f = intercepts(0, 0, fields);
      return f.intercepts.exception(f.context, 14, code, false, 0x1000n) !== undefined;
    };
    it('by the exception bitmap', () => {
      const f = intercepts(0, 0, { EXCEPTION_BITMAP: bit(13) | bit(3) | bit(1) });
      assert.equal(f.intercepts.exception(f.context, 6, undefined, false, 0n), undefined);
      assert.deepEqual(f.intercepts.exception(f.context, 13, 0x18, false, 0n), {
        reason: VMX_EXIT.EXCEPTION_NMI,
        qualification: 0n,
        interruptionInfo: 0x8000_0b0d,
        interruptionErrorCode: 0x18,
      });
      assert.deepEqual(f.intercepts.exception(f.context, 3, undefined, true, 0n), {
        reason: VMX_EXIT.EXCEPTION_NMI,
        qualification: 0n,
        interruptionInfo: 0x8000_0603,
        interruptionErrorCode: 0,
        instructionLength: 3,
      });
      assert.equal(f.intercepts.exception(f.context, 1, undefined, true, 0n)?.interruptionInfo, 0x8000_0501);
      assert.equal(f.intercepts.exception(f.context, 1, undefined, false, 0x4000n)?.interruptionInfo, 0x8000_0301);
    });
    it('#PF by mask and match of the error code', () => {
      assert.deepEqual(
        [pf({ EXCEPTION_BITMAP: PF }, 0), pf({ EXCEPTION_BITMAP: PF }, 7), pf({}, 7)],
        [true, true, false],
      );
      const user = { PAGE_FAULT_ERROR_CODE_MASK: 5n, PAGE_FAULT_ERROR_CODE_MATCH: 4n };
      assert.deepEqual(
        [pf({ EXCEPTION_BITMAP: PF, ...user }, 6), pf({ EXCEPTION_BITMAP: PF, ...user }, 7)],
        [true, false],
      );
      assert.deepEqual([pf(user, 6), pf(user, 7)], [false, true]);
      assert.ok(!pf({ EXCEPTION_BITMAP: PF, PAGE_FAULT_ERROR_CODE_MATCH: 0xffff_ffffn }, 7), 'KVM’s idiom for never');
    });
    it('carries the linear address of #PF as its qualification', () => {
      const f = intercepts(0, 0, { EXCEPTION_BITMAP: PF });
      assert.deepEqual(f.intercepts.exception(f.context, 14, 2, false, 0xdead_f000n), {
        reason: VMX_EXIT.EXCEPTION_NMI,
        qualification: 0xdead_f000n,
        interruptionInfo: 0x8000_0b0e,
        interruptionErrorCode: 2,
      });
    });
  });
});

describe('EPT violations (table 27-7)', () => {
  const fault: EptFault = {
    misconfiguration: false,
    access: 'read',
    tableWalk: false,
    tableWrite: false,
    gpa: 0x5000n,
    linear: 0x7000n,
    readable: false,
    writable: false,
    executable: false,
    accessedDirty: false,
  };
  const q = (change: Partial<EptFault>): bigint => eptFaultExit({ ...fault, ...change }).qualification;
  it('what was attempted, and what the entries allow', () => {
    assert.deepEqual([q({}), q({ access: 'write' }), q({ access: 'fetch' })], [0x181n, 0x182n, 0x184n]);
    assert.equal(q({ access: 'write', readable: true, executable: true }), 0x1aan);
    assert.equal(q({ access: 'fetch', readable: true, writable: true }), 0x19cn);
  });
  it('on a guest paging-structure entry: a read, and a write where flags are or may be set', () => {
    assert.equal(q({ tableWalk: true, access: 'fetch' }), 0x81n);
    assert.equal(q({ tableWalk: true, tableWrite: true, readable: true }), 0x8bn);
    assert.equal(q({ tableWalk: true, accessedDirty: true }), 0x83n);
  });
  it('without a linear address neither bit 7 nor 8', () => {
    assert.equal(q({ linear: undefined, tableWalk: true }), 0x1n);
    assert.equal(eptFaultExit({ ...fault, linear: undefined }).guestLinearAddress, undefined);
  });
  it('addresses go to their fields; a misconfiguration has the GPA alone', () => {
    assert.deepEqual(eptFaultExit(fault), {
      reason: VMX_EXIT.EPT_VIOLATION,
      qualification: 0x181n,
      guestPhysicalAddress: 0x5000n,
      guestLinearAddress: 0x7000n,
    });
    assert.deepEqual(eptFaultExit({ ...fault, misconfiguration: true }), {
      reason: VMX_EXIT.EPT_MISCONFIG,
      qualification: 0n,
      guestPhysicalAddress: 0x5000n,
    });
  });
});
