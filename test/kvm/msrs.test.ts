/**
 * MSRs as KVM answers them: kvm_get_msr_common, kvm_set_msr_common, vmx_get_msr, vmx_set_msr, svm_get_msr and svm_set_msr of Linux (arch/x86/kvm/msrs.c, vmx/vmx.c,
 * svm/svm.c); the rules of MTRRs and machine check are SDM vol. 3, 11.11.2 and 15.3.
 */
import assert from 'node:assert/strict';
import { Guest } from '../vmm/support/guest';
import { drain } from '../../src/trace/step';
import { RIGHTS, SEG } from '../../src/hw/state/layout';
import { handleCpuid } from '../../src/kvm/exits/instructions';
import { kvmGetMsr, kvmSetMsr } from '../../src/kvm/x86/msrs';
import type { Vcpu } from '../../src/kvm/vcpu';
import type { MachineOptions } from '../../src/vmm/options';

const METHODS = {
  ept: { mmu: 'ept' },
  npt: { mmu: 'npt', cpu: 'pagewalk-svm' },
} as const satisfies Readonly<Record<string, Partial<MachineOptions>>>;
type Method = keyof typeof METHODS;
const BOTH: readonly Method[] = ['ept', 'npt'];
const ALL = 0xffff_ffff_ffff_ffffn;

function vcpu(method: Method): Vcpu {
  return new Guest('hlt', 'flat64', METHODS[method]).machine.vcpu;
}

type Answer = bigint | '#GP';

/** RDMSR's answer under each method. */
function reads(msr: number, ept: Answer, npt: Answer = ept): void {
  const about = `RDMSR ${msr.toString(16)} under EPT, NPT`;
  assert.deepEqual([kvmGetMsr(V.ept, msr) ?? '#GP', kvmGetMsr(V.npt, msr) ?? '#GP'], [ept, npt], about);
}
/** WRMSR: what RDMSR says afterwards, or that the write is refused. */
function writes(msr: number, value: bigint, ept: Answer, npt: Answer = ept): void {
  for (const [method, expected] of [
    ['ept', ept],
    ['npt', npt],
  ] as const) {
    const about = `WRMSR ${msr.toString(16)}, 0x${value.toString(16)} under ${method}`;
    assert.equal(kvmSetMsr(V[method], msr, value) === true, expected !== '#GP', about);
    if (expected !== '#GP') assert.equal(kvmGetMsr(V[method], msr), expected, about);
  }
}
let V: Readonly<Record<Method, Vcpu>>;

describe('MSRs under KVM', () => {
  beforeEach(() => {
    V = { ept: vcpu('ept'), npt: vcpu('npt') };
  });

  it('what no CPUID bit announces is answered all the same', () => {
    const zero = [0x0, 0x1, 0x17, 0x2a, 0x34, 0x3b, 0xc1, 0x186, 0x199, 0x1d9, 0x1db, 0x1dc, 0x1dd, 0x1de, 0x1fc];
    const energy = [0x606, 0x611, 0x619, 0x639, 0x641];
    const amd = [
      0xc001_0000, 0xc001_0010, 0xc001_0015, 0xc001_001f, 0xc001_0055, 0xc001_0058, 0xc001_0112, 0xc001_0113,
    ];
    const more = [0xc001_0117, 0xc001_1022, 0xc001_1023, 0xc001_102a, 0xc001_102c];
    for (const msr of [...zero, ...energy, ...amd, ...more]) reads(msr, 0n);
    reads(0x2c, 1n << 24n);
    reads(0xcd, 3n);
    reads(0xce, 0x8000_0000n);
    reads(0x11e, 0xbe70_2111n);
    reads(0x198, 0x400_0000_03e8n);
    reads(0x8b, 0x1_0000_0000n, 0x100_0065n);
    reads(0xc001_001b, 0x2000_0000n);
    // each extension's own
    reads(0x3a, 0n, '#GP');
    for (const msr of [0xc001_0114, 0xc001_1021, 0xc001_1029]) reads(msr, '#GP', 0n);
  });
  it('what belongs to a feature that is not offered is refused', () => {
    for (const msr of [0x48, 0x49, 0xe7, 0x10a, 0x10b, 0x122, 0x1a2, 0x345, 0x480, 0x610, 0xd90, 0xda0, 0x4000_0000])
      reads(msr, '#GP');
    for (const msr of [0xc000_0104, 0xc001_0063, 0xc001_0115, 0xc001_011f, 0xc001_0140, 0xc001_1020]) reads(msr, '#GP');
    // for writing only: loading microcode
    for (const msr of [0x79, 0xc001_0020]) {
      reads(msr, '#GP');
      for (const method of BOTH) assert.equal(kvmSetMsr(V[method], msr, 0x1000n), true);
    }
  });
  it('writes are kept, dropped or refused as KVM does', () => {
    for (const msr of [0xc001_001f, 0xc001_102a, 0xc001_1022, 0xc001_1023, 0xc001_102c, 0xc1, 0xc001_0003])
      writes(msr, ALL, 0n);
    for (const msr of [
      0x17, 0xcd, 0xce, 0x198, 0x199, 0x1db, 0x606, 0xc001_0010, 0xc001_0055, 0xc001_0112, 0xfe, 0x179,
    ])
      writes(msr, 0n, '#GP');
    writes(0x8b, 5n, 0x1_0000_0000n, 0x100_0065n);
    writes(0xc001_0058, 0n, 0n);
    writes(0xc001_0058, 1n, '#GP');
    writes(0x1fc, 0x1234n, 0x1234n);
    writes(0x1d9, 3n, 0n);
    writes(0x1d9, 4n, '#GP', 0n);
    // HWCR: three bits are dropped, two are kept, the others refused
    writes(0xc001_0015, 0x104_0148n, 0x104_0000n);
    writes(0xc001_0015, 1n, '#GP');
    // MISC_ENABLE: BTS and PEBS are unavailable or not for good, EMON stays
    writes(0x1a0, 0x4_0085_0089n, 0x4_0085_0009n);
    writes(0x1a0, 0x1801n, '#GP');
    writes(0xc000_0103, 0x1_0000_0007n, '#GP', 7n);
    writes(0xc001_1029, 2n, '#GP', 2n);
    writes(0xc001_1029, 4n, '#GP');
    // IA32_FEATURE_CONTROL: the lock alone, until reset
    writes(0x3a, 5n, '#GP');
    writes(0x3a, 1n, 1n, '#GP');
    writes(0x3a, 0n, '#GP');
    // SYSENTER's addresses are made canonical, LSTAR's is refused
    writes(0x175, 0x8000_0000_0000n, 0xffff_8000_0000_0000n);
    writes(0xc000_0082, 0x8000_0000_0000n, '#GP');
  });
  it('MTRRs: eight variable ranges, eleven fixed ones; types 2, 3 and 7 and reserved bits are refused', () => {
    reads(0xfe, 0x508n);
    const fixed = [0x250, 0x258, 0x259, 0x268, 0x269, 0x26a, 0x26b, 0x26c, 0x26d, 0x26e, 0x26f];
    for (const msr of fixed) {
      writes(msr, 0x0001_0405_0600_0106n, 0x0001_0405_0600_0106n);
      for (const type of [2n, 3n, 7n, 8n]) writes(msr, type << 56n, '#GP');
    }
    for (let n = 0; n < 8; n++) {
      writes(0x200 + 2 * n, 0x1234_5006n, 0x1234_5006n);
      writes(0x201 + 2 * n, 0x3fff_f000_0800n, 0x3fff_f000_0800n);
      for (const wrong of [0x7n, 0x106n, 1n << 52n]) writes(0x200 + 2 * n, wrong, '#GP');
      for (const wrong of [0x400n, 1n, 1n << 52n]) writes(0x201 + 2 * n, wrong, '#GP');
    }
    // MAXPHYADDR is 46 and 48
    writes(0x200, 1n << 46n, '#GP', 1n << 46n);
    for (const msr of [0x210, 0x251, 0x25a, 0x267, 0x270]) reads(msr, '#GP');
    writes(0x2ff, 0xc06n, 0xc06n);
    for (const wrong of [0x1000n, 0x100n, 7n]) writes(0x2ff, wrong, '#GP');
    writes(0x277, 0x0007_0406_0007_0106n, 0x0007_0406_0007_0106n);
    for (const wrong of [2n, 3n, 8n, 0xffn]) writes(0x277, wrong << 40n, '#GP');
  });
  it('machine check: ten banks, STATUS is cleared only, and set on AMD with HWCR.McStatusWrEn', () => {
    reads(0x179, 0x100_010an);
    reads(0x17a, 0n);
    reads(0x17b, ALL);
    writes(0x17a, 4n, 4n);
    writes(0x17b, 0n, 0n);
    writes(0x17b, 1n, '#GP');
    for (let bank = 0; bank < 10; bank++) {
      const ctl = 0x400 + 4 * bank;
      reads(ctl, ALL);
      writes(ctl, ALL & ~0x401n, ALL & ~0x401n);
      writes(ctl, ALL & ~2n, '#GP');
      writes(ctl + 1, 0n, 0n);
      writes(ctl + 1, 1n, '#GP');
      for (const register of [2, 3]) writes(ctl + register, 0xdead_0000_0000_beefn, 0xdead_0000_0000_beefn);
    }
    for (const msr of [0x280, 0x428, 0x47f]) {
      reads(msr, '#GP');
      writes(msr, 0n, '#GP');
    }
    writes(0xc001_0015, 1n << 18n, 1n << 18n);
    writes(0x401, 0xbadn, '#GP', 0xbadn);
  });
  it('VM_CR: nothing unlocks what disabled SVM', () => {
    writes(0xc001_0114, 0x20n, '#GP');
    writes(0xc001_0114, 0x18n, '#GP', 0x18n);
    writes(0xc001_0114, 7n, '#GP', 0x1fn);
  });
  it('x2APIC: reserved numbers, registers for one direction, and reserved bits are #GP(0)', () => {
    const rw = [0x80f, 0x808, 0x828, 0x832, 0x833, 0x834, 0x835, 0x836, 0x837, 0x838, 0x83e, 0x830];
    const ro = [0x802, 0x803, 0x80a, 0x80d, 0x839, ...Array.from({ length: 24 }, (_, i) => 0x810 + i)];
    const wo = [0x80b, 0x83f];
    // outside x2APIC mode there is none of them
    for (let msr = 0x800; msr < 0x900; msr++) reads(msr, '#GP');
    for (const method of BOTH) assert.equal(kvmSetMsr(V[method], 0x1b, 0xfee0_0d00n), true);
    for (let msr = 0x800; msr < 0x900; msr++) {
      for (const method of BOTH) {
        const about = `${msr.toString(16)} under ${method}`;
        const readable = rw.includes(msr) || ro.includes(msr);
        const value = kvmGetMsr(V[method], msr);
        assert.equal(value !== undefined, readable, `RDMSR ${about}`);
        const writable = rw.includes(msr) || wo.includes(msr);
        assert.equal(kvmSetMsr(V[method], msr, 0n) === true, writable, `WRMSR ${about}`);
        if (msr !== 0x830) assert.notEqual(kvmSetMsr(V[method], msr, 1n << 32n), true, `WRMSR ${about}, bit 32`);
      }
    }
    for (const [msr, reserved] of [
      [0x808, 0x100n],
      [0x80b, 1n],
      [0x80f, 0x400n],
      [0x828, 1n],
      [0x830, 0x2000n],
      [0x830, 0x10_0000n],
      [0x832, 0x100n],
      [0x835, 0x800n],
      [0x83e, 4n],
      [0x83f, 0x100n],
    ] as const)
      for (const method of BOTH)
        assert.notEqual(kvmSetMsr(V[method], msr, reserved), true, `WRMSR ${msr.toString(16)} ${reserved}`);
  });
  it('CPUID faulting: once on, CPUID above CPL 0 is #GP(0)', () => {
    writes(0x140, 2n, '#GP');
    for (const method of BOTH) {
      const { machine } = new Guest('hlt', 'flat64', METHODS[method]);
      const v = machine.vcpu;
      const answered = (): boolean => {
        const before = v.regs.rip;
        drain(handleCpuid(machine.vcpu));
        return v.regs.rip !== before;
      };
      assert.equal(kvmSetMsr(v, 0x140, 1n), true);
      const ss = v.regs.segment(SEG.SS);
      v.regs.setSegment(SEG.SS, { ...ss, rights: ss.rights | (3 << RIGHTS.DPL_SHIFT) });
      assert.deepEqual([v.regs.cpl, answered(), v.events.runnable(v.regs, v.lapic)], [3, false, true], method);
    }
  });
  it('KVM’s own clocks are answered without CPUID, as long as the VMM does not have it enforced', () => {
    for (const msr of [0x11, 0x12, 0x4b56_4d00, 0x4b56_4d01, 0x4b56_4d03, 0x4b56_4d04]) reads(msr, 0n);
    reads(0x4b56_4d05, 1n);
    writes(0x4b56_4d05, 0n, 0n);
    writes(0x4b56_4d05, 2n, '#GP');
    writes(0x4b56_4d03, 0x30_0003n, '#GP');
    writes(0x4b56_4d04, 0x30_0003n, '#GP');
    for (const method of BOTH) {
      const guest = new Guest('hlt', 'flat64', METHODS[method]);
      const v = guest.machine.vcpu;
      assert.equal(kvmSetMsr(v, 0x10, 1000n), true);
      for (const [msr, value] of [
        [0x4b56_4d00, 0x30_0000n],
        [0x4b56_4d01, 0x30_0041n],
        [0x4b56_4d03, 0x30_0081n],
      ] as const)
        assert.equal(kvmSetMsr(v, msr, value), true);
      // version, then zeroes: time begins with the machine
      assert.deepEqual([guest.qword(0x30_0000n), guest.qword(0x30_0080n), guest.qword(0x30_0088n)], [2n, 0n, 2n]);
      const time = [0n, 8n, 16n, 24n].map((at) => guest.qword(0x30_0040n + at));
      assert.deepEqual(time, [2n, 1000n, v.hostTsc, 0x1_8000_0000n], method);
      // its TSC jumps, and the structure follows
      assert.equal(kvmSetMsr(v, 0x10, 5000n), true);
      assert.deepEqual([guest.qword(0x30_0040n), guest.qword(0x30_0048n)], [4n, 5000n]);
    }
  });
  it('all of it is saved and restored', () => {
    const guest = new Guest('hlt', 'flat64');
    const v = guest.machine.vcpu;
    guest.machine.run(1);
    const set: readonly (readonly [number, bigint])[] = [
      [0x200, 0x1006n],
      [0x26f, 0x0606_0606_0606_0606n],
      [0x2ff, 0xc06n],
      [0x402, 0x1234n],
      [0x17b, 0n],
      [0x1fc, 7n],
      [0xc001_0015, 1n << 24n],
      [0x277, 0x0606_0606_0606_0606n],
    ];
    for (const [msr, value] of set) assert.equal(kvmSetMsr(v, msr, value), true);
    const state = guest.machine.save();
    for (const [msr] of set) assert.equal(kvmSetMsr(v, msr, 0n), true);
    guest.machine.restore(state);
    for (const [msr, value] of set) assert.equal(kvmGetMsr(v, msr), value, msr.toString(16));
  });
  it('a guest’s RDMSR of NB_CFG answers 0; of what KVM does not know, #GP', () => {
    for (const method of BOTH) {
      const guest = new Guest(
        `mov ecx, 0xc001001f
         mov eax, -1
         rdmsr
         or edx, eax
         mov r8d, edx
         hlt`,
        'flat64',
        METHODS[method],
      );
      assert.equal(guest.halt()[8], 0n, method);
    }
  });
});
