import * as assert from 'node:assert/strict';
import fc from 'fast-check';
import { EXIT_CTL } from '../../../src/isa/vmcs-controls';
import type { VmcsFieldName } from '../../../src/isa/vmcs-fields';
import { VMCS_FIELDS } from '../../../src/isa/vmcs-fields';
import { SLOT } from '../../../src/hw/state/layout';
import { loadGuestState, loadHostState, saveGuestState } from '../../../src/hw/vmx/transfer';
import { machine, type Machine } from './support';

/** Fields that VM entry loads and VM exit saves, whatever their values. */
const MOVED: readonly VmcsFieldName[] = VMCS_FIELDS.map((f) => f.name).filter(
  (n) =>
    /^GUEST_(ES|CS|SS|DS|FS|GS|LDTR|TR)_(SELECTOR|BASE|LIMIT|AR_BYTES)$/.test(n) ||
    /^GUEST_([GI]DTR_(BASE|LIMIT)|SYSENTER_\w+|CR3|CR4|RSP|RIP|ACTIVITY_STATE|INTERRUPTIBILITY_INFO|IA32_PAT|IA32_EFER)$/.test(
      n,
    ),
);
const width = (name: VmcsFieldName): 16 | 32 | 64 => {
  const f = VMCS_FIELDS.find((x) => x.name === name);
  return f === undefined || f.width === 'natural' ? 64 : f.width;
};
const anyState = fc.tuple(...MOVED.map((name) => fc.bigInt({ min: 0n, max: (1n << BigInt(width(name))) - 1n })));
const RUNS = { seed: 0x5057, numRuns: 200 };

function withAllControls(): Machine {
  const m = machine();
  const all = EXIT_CTL.SAVE_IA32_EFER | EXIT_CTL.SAVE_IA32_PAT | EXIT_CTL.SAVE_DEBUG_CONTROLS | EXIT_CTL.LOAD_IA32_PAT;
  m.vmcs.set('VM_EXIT_CONTROLS', m.vmcs.get('VM_EXIT_CONTROLS') | BigInt(all));
  m.vmcs.set('VM_ENTRY_CONTROLS', m.vmcs.get('VM_ENTRY_CONTROLS') | 0xc004n);
  m.vmx.controls.decode(m.vmcs);
  return m;
}

describe('state transfer', () => {
  it('what VM entry loads, VM exit saves', () => {
    const { state, vmcs, vmx } = withAllControls();
    fc.assert(
      fc.property(anyState, (values) => {
        MOVED.forEach((name, i) => vmcs.set(name, values[i] as bigint));
        loadGuestState(state, vmcs, vmx.controls, undefined);
        for (const name of MOVED) vmcs.set(name, 0n);
        saveGuestState(state, vmcs, vmx.controls, state.rflags, 0n);
        MOVED.forEach((name, i) => assert.equal(vmcs.get(name), values[i], name));
      }),
      RUNS,
    );
  });

  it('RFLAGS keeps every defined flag, arithmetic ones too', () => {
    const { state, vmcs, vmx } = withAllControls();
    const defined = 0x3f_7fd5n;
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: 0x3f_ffffn }), (flags) => {
        vmcs.set('GUEST_RFLAGS', (flags & defined) | 2n);
        loadGuestState(state, vmcs, vmx.controls, undefined);
        assert.equal(state.rflags, (flags & defined) | 2n);
      }),
      RUNS,
    );
  });

  it('CR0: ET, NW, CD and reserved bits stay the processor’s in both directions', () => {
    const { state, vmcs, vmx } = withAllControls();
    fc.assert(
      fc.property(
        fc.bigInt({ min: 0n, max: 0xffff_ffffn }),
        fc.bigInt({ min: 0n, max: 0xffff_ffffn }),
        (processor, field) => {
          const kept = 0x7ffa_ffd0n;
          state.set(SLOT.CR0, processor);
          vmcs.set('GUEST_CR0', field);
          loadGuestState(state, vmcs, vmx.controls, undefined);
          assert.equal(state.get(SLOT.CR0), (field & ~kept) | (processor & kept));
          vmcs.set('HOST_CR0', processor);
          loadHostState(state, vmcs, vmx.controls);
          assert.equal(state.get(SLOT.CR0), processor);
        },
      ),
      RUNS,
    );
  });

  it('DR7 moves only with the debug controls, its fixed bits fixed', () => {
    const { state, vmcs, vmx } = withAllControls();
    vmcs.set('GUEST_DR7', 0xffff_ffffn);
    loadGuestState(state, vmcs, vmx.controls, undefined);
    assert.equal(state.get(SLOT.DR7), 0xffff_2fffn);
    loadHostState(state, vmcs, vmx.controls);
    assert.equal(state.get(SLOT.DR7), 0x400n);
    vmx.controls.entry &= ~4;
    loadGuestState(state, vmcs, vmx.controls, undefined);
    assert.equal(state.get(SLOT.DR7), 0x400n);
  });

  it('CPL is the DPL of SS, even of an unusable one', () => {
    const { state, vmcs, vmx } = withAllControls();
    vmcs.set('GUEST_SS_AR_BYTES', 0x1_0060n);
    loadGuestState(state, vmcs, vmx.controls, undefined);
    assert.equal(state.cpl, 3);
    saveGuestState(state, vmcs, vmx.controls, state.rflags, 0n);
    assert.equal(vmcs.get('GUEST_SS_AR_BYTES'), 0x1_0060n);
  });

  it('PDPTEs with EPT and PAE paging come from their fields and go back there', () => {
    const { state, vmcs, vmx } = withAllControls();
    vmx.controls.entry &= ~0x200;
    vmcs.set('GUEST_IA32_EFER', 0n);
    [0x1001n, 0x2001n, 0n, 0x4001n].forEach((p, i) => vmcs.set(`GUEST_PDPTR${i as 0 | 1 | 2 | 3}`, p));
    loadGuestState(state, vmcs, vmx.controls, undefined);
    assert.deepEqual(
      [0, 1, 2, 3].map((i) => state.get(SLOT.PDPTE0 + i)),
      [0x1001n, 0x2001n, 0n, 0x4001n],
    );
    state.set(SLOT.PDPTE0 + 2, 0x3001n);
    saveGuestState(state, vmcs, vmx.controls, 2n, 0n);
    assert.equal(vmcs.get('GUEST_PDPTR2'), 0x3001n);
  });

  it('a null host selector leaves an unusable segment, but CS and TR', () => {
    const { state, vmcs, vmx } = withAllControls();
    vmcs.set('HOST_FS_SELECTOR', 0n);
    vmcs.set('HOST_FS_BASE', 0xffff_8880_0000_0000n);
    loadHostState(state, vmcs, vmx.controls);
    assert.deepEqual(state.segment(4), {
      selector: 0,
      base: 0xffff_8880_0000_0000n,
      limit: 0xffff_ffff,
      rights: 0x1_0000,
    });
    assert.deepEqual(state.segment(7), { selector: 0x18, base: 0n, limit: 0x67, rights: 0x8b });
    assert.deepEqual(state.segment(6), { selector: 0, base: 0n, limit: 0, rights: 0x1_0000 });
    assert.deepEqual([state.get(SLOT.GDTR_LIMIT), state.get(SLOT.IDTR_LIMIT)], [0xffffn, 0xffffn]);
  });
});
