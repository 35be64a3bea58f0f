import * as assert from 'node:assert/strict';
import { because } from '../../../src/isa/reasons/index';
import { MSR } from '../../../src/isa/msrs';
import { VMX_EXIT } from '../../../src/isa/exits';
import { EXIT_CTL, INTR_TYPE, PIN, PROC, SECONDARY } from '../../../src/isa/vmcs-controls';
import type { VmcsFieldName } from '../../../src/isa/vmcs-fields';
import { FIELD } from '../../../src/isa/vmcs-fields';
import { hpa } from '../../../src/base/address';
import { SLOT } from '../../../src/hw/state/layout';
import { interruptionOfFault } from '../../../src/hw/state/interruption';
import { VMX_ABORT } from '../../../src/hw/vmx/entry';
import { applyStatus } from '../../../src/hw/vmx/status';
import {
  AREA,
  BASE,
  CAPABILITIES,
  EPT_ROOT,
  LONG_EFER,
  VMCS_A,
  VMCS_B,
  VMXON_REGION,
  frame,
  machine,
  succeed,
  type Machine,
} from './support';

const or = (m: Machine, name: VmcsFieldName, mask: number): void =>
  m.vmcs.set(name, m.vmcs.get(name) | BigInt(mask >>> 0));
const error = (m: Machine): number => m.vmcs.read32(FIELD.VM_INSTRUCTION_ERROR);

function entered(change: (m: Machine) => void = () => undefined): Machine {
  const m = machine();
  change(m);
  const result = m.vmx.vmlaunch();
  assert.ok(
    result.ok,
    JSON.stringify(result, (_, v: unknown) => (typeof v === 'bigint' ? v.toString(16) : v)),
  );
  return m;
}

describe('VMX instructions', () => {
  it('VMXON wants an aligned region with the revision, once', () => {
    const { vmx, memory } = machine();
    succeed(vmx.vmxoff());
    assert.deepEqual(vmx.vmxon(VMXON_REGION + 8n), { kind: 'fail-invalid' });
    assert.deepEqual(vmx.vmxon(AREA), { kind: 'fail-invalid' });
    assert.deepEqual(vmx.vmxon(1n << 46n), { kind: 'fail-invalid' });
    memory.write32(AREA, CAPABILITIES.revision);
    succeed(vmx.vmxon(AREA));
    assert.equal(vmx.operation, 'root');
    assert.deepEqual(vmx.vmxon(AREA), { kind: 'fail-invalid' });
    succeed(vmx.vmptrld(VMCS_A));
    assert.deepEqual(vmx.vmxon(AREA), {
      kind: 'fail-valid',
      error: 15,
      message: 'VMXON executed in VMX root operation',
    });
  });

  it('without a current VMCS everything fails as invalid', () => {
    const { vmx } = machine();
    succeed(vmx.vmclear(VMCS_A));
    assert.equal(vmx.vmptrst(), 0xffff_ffff_ffff_ffffn);
    const invalid = { kind: 'fail-invalid' };
    assert.deepEqual(vmx.vmread(FIELD.GUEST_RIP), invalid);
    assert.deepEqual(vmx.vmwrite(FIELD.GUEST_RIP, 0n), invalid);
    assert.deepEqual(vmx.vmlaunch(), { ok: false, kind: 'vmfail', status: invalid, unmet: [] });
    assert.deepEqual(vmx.vmptrld(AREA), invalid);
  });

  const errors: readonly (readonly [string, number, (m: Machine) => unknown])[] = [
    ['VMCLEAR misaligned', 2, ({ vmx }) => vmx.vmclear(VMCS_B + 1n)],
    ['VMCLEAR of no memory', 2, ({ vmx }) => vmx.vmclear(BASE + 0x100_0000n)],
    ['VMCLEAR of the VMXON region', 3, ({ vmx }) => vmx.vmclear(VMXON_REGION)],
    ['VMPTRLD beyond the width', 9, ({ vmx }) => vmx.vmptrld(1n << 46n)],
    ['VMPTRLD of the VMXON region', 10, ({ vmx }) => vmx.vmptrld(VMXON_REGION)],
    ['VMPTRLD of another revision', 11, ({ vmx }) => vmx.vmptrld(AREA)],
    ['VMREAD of no field', 12, ({ vmx }) => vmx.vmread(0x7000)],
    ['VMREAD of a field not supported', 12, ({ vmx }) => vmx.vmread(FIELD.TPR_THRESHOLD)],
    ['VMWRITE of the high half of a 32-bit field', 12, ({ vmx }) => vmx.vmwrite(FIELD.EXCEPTION_BITMAP + 1, 0n)],
    ['VMWRITE of exit information', 13, ({ vmx }) => vmx.vmwrite(FIELD.EXIT_QUALIFICATION, 0n)],
    ['INVEPT type 0', 28, ({ vmx }) => vmx.invept(0, 0n)],
    ['INVEPT of an EPTP no entry would take', 28, ({ vmx }) => vmx.invept(1, 0n)],
    ['INVVPID type 4', 28, ({ vmx }) => vmx.invvpid(4, 1n, 0n)],
    ['INVVPID of VPID 0', 28, ({ vmx }) => vmx.invvpid(1, 0n, 0n)],
    ['INVVPID with reserved bits', 28, ({ vmx }) => vmx.invvpid(2, 0x1_0000n, 0n)],
    ['INVVPID of a non-canonical address', 28, ({ vmx }) => vmx.invvpid(0, 1n, 1n << 47n)],
    ['VMRESUME of a clear VMCS', 5, ({ vmx }) => statusOf(vmx.vmresume())],
    [
      'VM entry under blocking by MOV SS',
      26,
      ({ vmx, state }) => (state.set(SLOT.INTERRUPTIBILITY, 2n), statusOf(vmx.vmlaunch())),
    ],
    [
      'VM entry with an invalid control field',
      7,
      (m) => (m.vmcs.set('CR3_TARGET_COUNT', 5n), statusOf(m.vmx.vmlaunch())),
    ],
    [
      'VM entry with an invalid host-state field',
      8,
      (m) => (m.vmcs.set('HOST_CR3', 1n << 60n), statusOf(m.vmx.vmlaunch())),
    ],
  ];
  const statusOf = (r: ReturnType<Machine['vmx']['enter']>): unknown => (!r.ok && r.kind === 'vmfail' ? r.status : r);
  for (const [name, number, act] of errors) {
    it(`error ${number}: ${name}`, () => {
      const m = machine();
      const status = act(m) as { kind: string; error: number };
      assert.deepEqual([status.kind, status.error, error(m)], ['fail-valid', number, number]);
      assert.equal(m.vmx.operation, 'root');
      assert.equal(m.vmx.vmptrst(), VMCS_A);
    });
  }

  it('error 4: VMLAUNCH of a launched VMCS; VMCLEAR makes it clear again', () => {
    const m = entered();
    m.vmx.exit({ reason: VMX_EXIT.HLT, qualification: 0n });
    assert.deepEqual(statusOf(m.vmx.vmlaunch()), {
      kind: 'fail-valid',
      error: 4,
      message: 'VMLAUNCH with non-clear VMCS',
    });
    assert.ok(m.vmx.vmresume().ok);
    m.vmx.exit({ reason: VMX_EXIT.HLT, qualification: 0n });
    succeed(m.vmx.vmclear(VMCS_A));
    succeed(m.vmx.vmptrld(VMCS_A));
    assert.ok(m.vmx.vmlaunch().ok);
  });

  it('VMREAD and VMWRITE reach the VMCS in memory; two VMCSs are apart', () => {
    const { vmx, memory } = machine();
    succeed(vmx.vmwrite(FIELD.TSC_OFFSET, 0x1122_3344_5566_7788n));
    succeed(vmx.vmwrite(FIELD.TSC_OFFSET + 1, 0xaabb_ccddn));
    assert.deepEqual(vmx.vmread(FIELD.TSC_OFFSET), { kind: 'succeed', value: 0xaabb_ccdd_5566_7788n });
    memory.write32(VMCS_B, CAPABILITIES.revision);
    succeed(vmx.vmptrld(VMCS_B));
    assert.deepEqual(vmx.vmread(FIELD.TSC_OFFSET), { kind: 'succeed', value: 0n });
    succeed(vmx.vmptrld(VMCS_A));
    assert.deepEqual(vmx.vmread(FIELD.TSC_OFFSET + 1), { kind: 'succeed', value: 0xaabb_ccddn });
  });

  it('INVEPT and INVVPID ask the translation caches', () => {
    const { vmx, invalidations } = machine();
    succeed(vmx.invept(1, EPT_ROOT | 0x1en));
    succeed(vmx.invept(2, 0n));
    succeed(vmx.invvpid(0, 7n, 0x4000n));
    succeed(vmx.invvpid(3, 7n, 1n << 47n));
    succeed(vmx.invvpid(2, 0n, 0n));
    assert.deepEqual(invalidations, [
      'invept single 10000601e',
      'invept all 0',
      'invvpid address 7 4000',
      'invvpid retain-globals 7 800000000000',
      'invvpid all 0 0',
    ]);
  });

  it('status as flags: VMsucceed clears all six, VMfailInvalid sets CF, VMfailValid ZF (30.2)', () => {
    const { state, vmx } = machine();
    state.rflags = 0xad7n;
    applyStatus(state, { kind: 'succeed' });
    assert.equal(state.rflags, 0x202n);
    applyStatus(state, { kind: 'fail-invalid' });
    assert.equal(state.rflags, 0x203n);
    applyStatus(state, vmx.fail(12));
    assert.equal(state.rflags, 0x242n);
  });
});

describe('VM entry and VM exit', () => {
  it('guest state in, then host state', () => {
    const m = entered();
    const { state, vmx, vmcs } = m;
    assert.ok(vmx.inNonRoot && vmcs.launched);
    assert.deepEqual([state.rip, state.get(4), state.get(SLOT.CR3), state.cpl], [0x1000n, 0x8000n, 0x4000n, 0]);
    state.rip = 0x1003n;
    assert.equal(vmx.exit({ reason: VMX_EXIT.CPUID, qualification: 0n, instructionLength: 2 }), 0);
    assert.equal(vmx.operation, 'root');
    assert.deepEqual(
      [state.rip, state.get(4), state.get(SLOT.CR3), state.rflags],
      [0xffff_8000_0000_1234n, 0xffff_8000_0000_8000n, 0x9000n, 2n],
    );
    assert.equal(vmcs.get('GUEST_RIP'), 0x1003n);
    assert.deepEqual(state.segment(1), { selector: 8, base: 0n, limit: 0xffff_ffff, rights: 0xa09b });
    assert.deepEqual(state.segment(0), { selector: 0x10, base: 0n, limit: 0xffff_ffff, rights: 0xc093 });
    assert.deepEqual(
      [vmcs.read32(FIELD.VM_EXIT_REASON), vmcs.read32(FIELD.VM_EXIT_INSTRUCTION_LEN)],
      [VMX_EXIT.CPUID, 2],
    );
  });

  it('the exit-information fields, and IDT vectoring', () => {
    const { vmx, vmcs } = entered((m) => m.vmcs.set('VM_EXIT_INSTRUCTION_LEN', 9n));
    vmx.exit(
      {
        reason: VMX_EXIT.EPT_VIOLATION,
        qualification: 0x182n,
        guestLinearAddress: 0x7008n,
        guestPhysicalAddress: 0x5008n,
      },
      interruptionOfFault({ kind: 'fault', why: because('injected'), vector: 14, errorCode: 6 }, 0),
    );
    const seen = [
      'EXIT_QUALIFICATION',
      'GUEST_LINEAR_ADDRESS',
      'GUEST_PHYSICAL_ADDRESS',
      'IDT_VECTORING_INFO_FIELD',
      'IDT_VECTORING_ERROR_CODE',
      'VM_EXIT_INTR_INFO',
      'VM_EXIT_INSTRUCTION_LEN',
    ] as const;
    assert.deepEqual(
      seen.map((f) => vmcs.get(f)),
      [0x182n, 0x7008n, 0x5008n, 0x8000_0b0en, 6n, 0n, 0n],
    );
  });

  it('an exit in the delivery of INT n records the instruction’s length', () => {
    const { vmx, vmcs } = entered();
    vmx.exit(
      { reason: VMX_EXIT.EPT_VIOLATION, qualification: 1n },
      interruptionOfFault({ kind: 'fault', why: because('injected'), vector: 0x80, software: 'int' }, 2),
    );
    assert.deepEqual([vmcs.get('IDT_VECTORING_INFO_FIELD'), vmcs.get('VM_EXIT_INSTRUCTION_LEN')], [0x8000_0480n, 2n]);
  });

  it('RF is saved as 1 for an intercepted fault, unchanged for other exits (27.3.3)', () => {
    const saved = (info: number | undefined): bigint => {
      const { vmx, vmcs } = entered();
      vmx.exit({
        reason: info === undefined ? VMX_EXIT.HLT : VMX_EXIT.EXCEPTION_NMI,
        qualification: 0n,
        ...(info === undefined ? {} : { interruptionInfo: info }),
      });
      return vmcs.get('GUEST_RFLAGS') & 0x1_0000n;
    };
    assert.deepEqual(
      [saved(0x8000_0b0e), saved(0x8000_0603), saved(0x8000_0301), saved(0x8000_0202), saved(undefined)],
      [0x1_0000n, 0n, 0n, 0n, 0n],
    );
  });

  it('an injected event is returned, its valid bit cleared by the next exit', () => {
    const m = machine();
    m.vmcs.set('VM_ENTRY_INTR_INFO_FIELD', 0x8000_0b0dn);
    m.vmcs.set('VM_ENTRY_EXCEPTION_ERROR_CODE', 0x18n);
    m.vmcs.set('GUEST_INTERRUPTIBILITY_INFO', 2n);
    const result = m.vmx.vmlaunch();
    assert.deepEqual(result, {
      ok: true,
      inject: { type: INTR_TYPE.HARD_EXCEPTION, vector: 13, errorCode: 0x18 },
      pendingDebug: 0n,
    });
    assert.equal(m.state.get(SLOT.INTERRUPTIBILITY), 0n, 'no blocking by MOV SS after injection');
    m.vmx.exit({ reason: VMX_EXIT.HLT, qualification: 0n });
    assert.equal(m.vmcs.get('VM_ENTRY_INTR_INFO_FIELD'), 0xb0dn);
    assert.deepEqual(m.vmx.vmresume(), { ok: true, inject: undefined, pendingDebug: 0n });
  });

  it('a software interrupt is injected with its length', () => {
    const m = machine();
    m.vmcs.set('VM_ENTRY_INTR_INFO_FIELD', 0x8000_0480n);
    m.vmcs.set('VM_ENTRY_INSTRUCTION_LEN', 2n);
    const result = m.vmx.vmlaunch();
    assert.deepEqual(result.ok && result.inject, { type: INTR_TYPE.SOFT_INTR, vector: 0x80, instructionLength: 2 });
  });

  it('an injected NMI blocks NMIs and ends HLT', () => {
    const m = machine();
    m.vmcs.set('VM_ENTRY_INTR_INFO_FIELD', 0x8000_0202n);
    m.vmcs.set('GUEST_ACTIVITY_STATE', 1n);
    assert.ok(m.vmx.vmlaunch().ok);
    assert.deepEqual([m.state.get(SLOT.INTERRUPTIBILITY), m.state.get(SLOT.ACTIVITY)], [8n, 0n]);
    m.vmx.exit({ reason: VMX_EXIT.HLT, qualification: 0n });
    assert.equal(m.vmcs.get('GUEST_INTERRUPTIBILITY_INFO'), 8n);
    assert.equal(m.state.get(SLOT.INTERRUPTIBILITY), 8n, 'without virtual NMIs the blocking is the processor’s');
  });

  it('with virtual NMIs the guest’s blocking stays the guest’s; an NMI exit blocks NMIs', () => {
    const virtual = (m: Machine): void => {
      or(m, 'PIN_BASED_VM_EXEC_CONTROL', PIN.NMI_EXITING | PIN.VIRTUAL_NMIS);
      m.vmcs.set('GUEST_INTERRUPTIBILITY_INFO', 8n);
    };
    const m = entered(virtual);
    m.vmx.exit({ reason: VMX_EXIT.HLT, qualification: 0n });
    assert.equal(m.state.get(SLOT.INTERRUPTIBILITY), 0n);
    const n = entered(virtual);
    n.state.set(SLOT.PENDING_NMI, 1n);
    const exit = n.vmx.boundaryExit(false);
    assert.deepEqual(exit, { reason: VMX_EXIT.EXCEPTION_NMI, qualification: 0n, interruptionInfo: 0x8000_0202 });
    n.vmx.exit(exit);
    assert.deepEqual([n.state.get(SLOT.INTERRUPTIBILITY), n.state.get(SLOT.PENDING_NMI)], [8n, 0n]);
  });

  it('failed entry: reason with bit 31, its qualification, host state, guest state untouched, still clear (26.8)', () => {
    const m = machine();
    m.vmcs.set('VMCS_LINK_POINTER', AREA);
    m.vmcs.set('VM_ENTRY_INTR_INFO_FIELD', 0x8000_0202n);
    const result = m.vmx.vmlaunch();
    assert.ok(!result.ok && result.kind === 'entry-failure');
    assert.deepEqual(result.exit, { reason: VMX_EXIT.INVALID_STATE, qualification: 4n });
    assert.deepEqual(
      result.unmet.map((u) => u.fields[0]),
      ['VMCS_LINK_POINTER'],
    );
    assert.deepEqual([m.vmcs.get('VM_EXIT_REASON'), m.vmcs.get('EXIT_QUALIFICATION')], [0x8000_0021n, 4n]);
    assert.deepEqual([m.state.rip, m.vmcs.get('GUEST_RIP')], [0xffff_8000_0000_1234n, 0x1000n]);
    assert.ok(!m.vmcs.launched && m.vmx.operation === 'root');
    assert.equal(m.vmcs.get('VM_ENTRY_INTR_INFO_FIELD'), 0x8000_0202n, 'a failed entry keeps the event');
  });

  for (const [name, field, value, outcome] of [
    ['control', 'CR3_TARGET_COUNT', 5n, 7],
    ['host-state', 'HOST_CR3', 1n << 60n, 8],
    ['guest-state', 'GUEST_CR3', 1n << 60n, VMX_EXIT.INVALID_STATE],
  ] as const) {
    it(`a ${name} field made invalid between two entries is found`, () => {
      const { vmx } = entered();
      vmx.exit({ reason: VMX_EXIT.HLT, qualification: 0n });
      assert.ok(vmx.vmresume().ok);
      vmx.exit({ reason: VMX_EXIT.HLT, qualification: 0n });
      succeed(vmx.vmwrite(FIELD[field], value));
      const r = vmx.vmresume();
      assert.ok(!r.ok);
      assert.equal(
        r.kind === 'entry-failure' ? r.exit.reason : r.status.kind === 'fail-valid' ? r.status.error : 0,
        outcome,
      );
      assert.deepEqual(
        r.unmet.map((u) => u.fields[0]),
        [field],
      );
    });
  }

  it('EFER without "load IA32_EFER": LMA follows the control, LME only with paging; exits store LMA in the control', () => {
    const m = machine();
    m.vmcs.set('VM_ENTRY_CONTROLS', 0x11ffn & ~0x200n);
    m.vmcs.set('GUEST_CR0', 0x30n);
    m.vmcs.set('GUEST_CR4', 0x2000n);
    m.vmcs.set('GUEST_CS_AR_BYTES', 0xc09bn);
    assert.ok(m.vmx.vmlaunch().ok);
    assert.equal(m.state.get(SLOT.EFER), LONG_EFER & ~0x400n);
    m.state.set(SLOT.EFER, LONG_EFER);
    m.vmx.exit({ reason: VMX_EXIT.HLT, qualification: 0n });
    assert.equal(m.vmcs.get('VM_ENTRY_CONTROLS') & 0x200n, 0x200n);
  });

  it('TSC offset applies in non-root operation only', () => {
    const m = entered((x) => {
      or(x, 'CPU_BASED_VM_EXEC_CONTROL', PROC.USE_TSC_OFFSETTING);
      x.vmcs.set('TSC_OFFSET', -100n);
      x.state.set(SLOT.TSC_OFFSET, 40n);
    });
    assert.equal(BigInt.asIntN(64, m.state.get(SLOT.TSC_OFFSET)), -60n);
    m.vmx.exit({ reason: VMX_EXIT.HLT, qualification: 0n });
    assert.equal(m.state.get(SLOT.TSC_OFFSET), 40n);
  });

  describe('MSR areas', () => {
    const entry = (m: Machine, i: number, index: number, value: bigint): void => {
      m.memory.write64(hpa(AREA + BigInt(16 * i)), BigInt(index));
      m.memory.write64(hpa(AREA + BigInt(16 * i + 8)), value);
    };
    it('are stored and loaded in order', () => {
      const m = entered((x) => {
        for (const i of [MSR.STAR, MSR.LSTAR, MSR.CSTAR]) x.msrs.set(i, 0n);
        entry(x, 0, MSR.STAR, 1n);
        entry(x, 1, MSR.LSTAR, 2n);
        entry(x, 2, MSR.CSTAR, 0n);
        x.vmcs.set('VM_ENTRY_MSR_LOAD_ADDR', AREA);
        x.vmcs.set('VM_ENTRY_MSR_LOAD_COUNT', 2n);
        x.vmcs.set('VM_EXIT_MSR_STORE_ADDR', AREA + 32n);
        x.vmcs.set('VM_EXIT_MSR_STORE_COUNT', 1n);
      });
      assert.deepEqual([m.msrs.get(MSR.STAR), m.msrs.get(MSR.LSTAR)], [1n, 2n]);
      m.msrs.set(MSR.CSTAR, 3n);
      assert.equal(m.vmx.exit({ reason: VMX_EXIT.HLT, qualification: 0n }), 0);
      assert.equal(m.memory.read64(hpa(AREA + 40n)), 3n);
    });
    for (const [name, index, count, bad] of [
      ['FS base', MSR.FS_BASE, 1, 1],
      ['an x2APIC register', 0x808, 1, 1],
      ['an MSR that is not there', 0x9999, 1, 1],
      ['more entries than VMX_MISC allows', MSR.STAR, 0xffff_ffff, 513],
    ] as const) {
      it(`loading ${name} fails the entry with exit 34 and the entry’s number`, () => {
        const m = machine();
        m.msrs.set(MSR.STAR, 0n);
        for (let i = 0; i < Math.min(count, 513); i++) entry(m, i, index, 0n);
        m.vmcs.set('VM_ENTRY_MSR_LOAD_ADDR', AREA);
        m.vmcs.set('VM_ENTRY_MSR_LOAD_COUNT', BigInt(count));
        const result = m.vmx.vmlaunch();
        assert.ok(!result.ok && result.kind === 'entry-failure');
        assert.deepEqual(result.exit, { reason: VMX_EXIT.MSR_LOAD_FAIL, qualification: BigInt(bad) });
        assert.deepEqual([m.vmcs.get('VM_EXIT_REASON'), m.vmcs.launched], [0x8000_0022n, false]);
      });
    }
    it('failing at an exit is a VMX abort', () => {
      const m = entered((x) => x.vmcs.set('VM_EXIT_MSR_LOAD_COUNT', 1n));
      assert.equal(m.vmx.exit({ reason: VMX_EXIT.HLT, qualification: 0n }), VMX_ABORT.LOAD_HOST_MSR);
      assert.deepEqual([m.vmcs.abortIndicator, m.state.get(SLOT.ACTIVITY)], [4, 2n]);
    });
  });
});

describe('VM exits between instructions', () => {
  const reason = (m: Machine, delivered = false): number | undefined => m.vmx.boundaryExit(delivered)?.reason;
  const retire = (m: Machine, n = 1n): void => m.state.set(SLOT.RETIRED, m.state.get(SLOT.RETIRED) + n);

  it('nothing to watch without controls', () => assert.ok(!entered().vmx.watchesBoundaries));

  it('monitor trap flag after one instruction, one delivery, or at once after an injection', () => {
    const mtf = (m: Machine): void => or(m, 'CPU_BASED_VM_EXEC_CONTROL', PROC.MONITOR_TRAP_FLAG);
    const m = entered(mtf);
    assert.equal(reason(m), undefined);
    retire(m);
    assert.equal(reason(m), VMX_EXIT.MONITOR_TRAP_FLAG);
    assert.equal(reason(entered(mtf), true), VMX_EXIT.MONITOR_TRAP_FLAG);
    const injected = entered((x) => (mtf(x), x.vmcs.set('VM_ENTRY_INTR_INFO_FIELD', 0x8000_0306n)));
    assert.equal(reason(injected), VMX_EXIT.MONITOR_TRAP_FLAG);
  });
  it('a pending MTF exit injected as "other event" needs no control', () => {
    const m = entered((x) => x.vmcs.set('VM_ENTRY_INTR_INFO_FIELD', 0x8000_0700n));
    assert.ok(m.vmx.watchesBoundaries);
    assert.equal(reason(m), VMX_EXIT.MONITOR_TRAP_FLAG);
    assert.equal(reason(m), undefined);
  });
  it('the preemption timer counts TSC ticks and is saved', () => {
    const m = entered((x) => {
      or(x, 'PIN_BASED_VM_EXEC_CONTROL', PIN.PREEMPTION_TIMER);
      or(x, 'VM_EXIT_CONTROLS', EXIT_CTL.SAVE_VMX_PREEMPTION_TIMER);
      x.vmcs.set('VMX_PREEMPTION_TIMER_VALUE', 10n);
      x.state.set(SLOT.RETIRED, 1000n);
    });
    retire(m, 7n);
    assert.equal(reason(m), undefined);
    m.vmx.exit({ reason: VMX_EXIT.HLT, qualification: 0n });
    assert.equal(m.vmcs.get('VMX_PREEMPTION_TIMER_VALUE'), 3n);
    assert.ok(m.vmx.vmresume().ok);
    retire(m, 3n);
    assert.equal(reason(m), VMX_EXIT.PREEMPTION_TIMER);
    m.vmx.exit({ reason: VMX_EXIT.PREEMPTION_TIMER, qualification: 0n });
    assert.equal(m.vmcs.get('VMX_PREEMPTION_TIMER_VALUE'), 0n);
  });
  it('interrupt window: IF set, no shadow', () => {
    const m = entered((x) => or(x, 'CPU_BASED_VM_EXEC_CONTROL', PROC.INTR_WINDOW_EXITING));
    assert.equal(reason(m), undefined);
    m.state.rflags = 0x202n;
    m.state.set(SLOT.INTERRUPTIBILITY, 1n);
    assert.equal(reason(m), undefined);
    m.state.set(SLOT.INTERRUPTIBILITY, 0n);
    assert.equal(reason(m), VMX_EXIT.INTERRUPT_WINDOW);
  });
  it('NMI window: no virtual-NMI blocking', () => {
    const m = entered((x) => {
      or(x, 'PIN_BASED_VM_EXEC_CONTROL', PIN.NMI_EXITING | PIN.VIRTUAL_NMIS);
      or(x, 'CPU_BASED_VM_EXEC_CONTROL', PROC.NMI_WINDOW_EXITING);
      x.vmcs.set('GUEST_INTERRUPTIBILITY_INFO', 8n);
    });
    assert.equal(reason(m), undefined);
    m.state.set(SLOT.INTERRUPTIBILITY, 0n);
    assert.equal(reason(m), VMX_EXIT.NMI_WINDOW);
  });
  it('external interrupts exit whatever IF says, acknowledged or left pending', () => {
    const external = (acknowledge: boolean): Machine =>
      entered((x) => {
        or(x, 'PIN_BASED_VM_EXEC_CONTROL', PIN.EXT_INTR);
        if (!acknowledge)
          x.vmcs.set('VM_EXIT_CONTROLS', x.vmcs.get('VM_EXIT_CONTROLS') & ~BigInt(EXIT_CTL.ACK_INTR_ON_EXIT));
        else or(x, 'VM_EXIT_CONTROLS', EXIT_CTL.ACK_INTR_ON_EXIT);
      });
    const m = external(true);
    assert.equal(reason(m), undefined);
    m.state.set(SLOT.PENDING_INTR, 0x130n);
    assert.deepEqual(m.vmx.boundaryExit(false), {
      reason: VMX_EXIT.EXTERNAL_INTERRUPT,
      qualification: 0n,
      interruptionInfo: 0x8000_0030,
    });
    assert.equal(m.state.get(SLOT.PENDING_INTR), 0n);
    const n = external(false);
    n.state.set(SLOT.PENDING_INTR, 0x130n);
    assert.deepEqual(n.vmx.boundaryExit(false), { reason: VMX_EXIT.EXTERNAL_INTERRUPT, qualification: 0n });
    assert.equal(n.state.get(SLOT.PENDING_INTR), 0x130n);
  });
});

describe('VMX snapshots', () => {
  it('restore operation, current VMCS, controls and timers', () => {
    const m = entered((x) => {
      or(x, 'PIN_BASED_VM_EXEC_CONTROL', PIN.PREEMPTION_TIMER);
      or(x, 'SECONDARY_VM_EXEC_CONTROL', SECONDARY.WBINVD_EXITING);
      x.vmcs.set('VMX_PREEMPTION_TIMER_VALUE', 5n);
    });
    const saved = m.vmx.save();
    m.vmx.exit({ reason: VMX_EXIT.HLT, qualification: 0n });
    succeed(m.vmx.vmclear(VMCS_A));
    succeed(m.vmx.vmxoff());
    m.vmx.restore(structuredClone(saved));
    assert.deepEqual(m.vmx.save(), saved);
    assert.ok(m.vmx.inNonRoot);
    assert.equal(m.vmx.vmptrst(), VMCS_A);
    assert.ok(m.vmx.intercepts.instruction({ state: m.state, insn: { length: 2 } }, VMX_EXIT.WBINVD, 0n));
    assert.equal(frame(1n), VMCS_A);
  });
});
