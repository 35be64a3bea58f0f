import * as assert from 'node:assert/strict';
import { assemble } from '../../../src/asm/index';
import { hpa } from '../../../src/base/address';
import { VMX_EXIT, vmxExitName } from '../../../src/isa/exits';
import { PIN, PROC, SECONDARY } from '../../../src/isa/vmcs-controls';
import type { VmcsFieldName } from '../../../src/isa/vmcs-fields';
import { FIELD } from '../../../src/isa/vmcs-fields';
import { Cpu, type CpuStop } from '../../../src/hw/cpu/cpu';
import { PAGEWALK_X64 } from '../../../src/hw/cpu/cpuid-model';
import { HostMemory } from '../../../src/hw/memory/host-memory';
import { SLOT } from '../../../src/hw/state/layout';
import type { Vmcs } from '../../../src/hw/vmx/vmcs';
import {
  BASE,
  EPT_ROOT,
  HOST_CR0,
  HOST_CR4,
  LONG_EFER,
  VMCS_A,
  VMXON_REGION,
  frame,
  set64BitGuest,
  setRealModeGuest,
  succeed,
} from './support';

/** Guest RAM: GPA 0–2 MiB at this HPA, mapped by EPT in 4 KiB pages. */
const RAM = BASE + 0x20_0000n;
const EPT_PT = frame(0x12n);
const ORIGIN = 0x8000n;
const PML4 = 0x10_0000n;
const IDT = 0x5000n;
const GDT = 0x4000n;

interface Guest {
  readonly cpu: Cpu;
  readonly vmcs: Vmcs;
  /** Writes 8 bytes of guest RAM. */
  readonly poke: (gpa: bigint, value: bigint) => void;
  readonly epte: (gpa: bigint, value: bigint) => void;
}

/** A guest on the real CPU: 64-bit, its first 2 MiB identity-mapped by one large page, the source at 0x8000 (real mode: `setUp` says so). */
function guest(source: string, setUp: (g: Guest) => void = () => undefined, bits = 64): Guest {
  const memory = new HostMemory(BASE, 4 << 20);
  const cpu = new Cpu(memory, 0, PAGEWALK_X64, { tlbEntries: 64, tlbWays: 4 });
  const s = cpu.state;
  s.set(SLOT.CR0, HOST_CR0);
  s.set(SLOT.CR4, HOST_CR4);
  s.set(SLOT.EFER, LONG_EFER);
  cpu.mmu.controlsChanged();

  memory.write64(EPT_ROOT, frame(0x10n) | 7n);
  memory.write64(frame(0x10n), frame(0x11n) | 7n);
  memory.write64(frame(0x11n), EPT_PT | 7n);
  const epte = (gpa: bigint, value: bigint): void => memory.write64(hpa(EPT_PT + (gpa >> 12n) * 8n), value);
  for (let a = 0n; a < 0x20_0000n; a += 4096n) epte(a, (RAM + a) | 0x37n);
  const poke = (gpa: bigint, value: bigint): void => memory.write64(hpa(RAM + gpa), value);
  poke(PML4, (PML4 + 0x1000n) | 3n);
  poke(PML4 + 0x1000n, (PML4 + 0x2000n) | 3n);
  poke(PML4 + 0x2000n, 0x83n);
  poke(GDT + 8n, 0x00af_9b00_0000_ffffn);
  poke(GDT + 16n, 0x00cf_9300_0000_ffffn);

  const assembled = assemble(`bits ${bits}\norg ${ORIGIN}\n${source}`, { fileName: 'guest.asm' });
  assert.deepEqual(assembled.diagnostics, []);
  memory.write(hpa(RAM + ORIGIN), assembled.image);

  const { vmx } = cpu;
  for (const region of [VMXON_REGION, VMCS_A]) memory.write32(region, vmx.capabilities.revision);
  succeed(vmx.vmxon(VMXON_REGION));
  succeed(vmx.vmclear(VMCS_A));
  succeed(vmx.vmptrld(VMCS_A));
  const vmcs = vmx.current as Vmcs;
  set64BitGuest(vmcs);
  vmcs.set('GUEST_CR3', PML4);
  vmcs.set('GUEST_RIP', ORIGIN);
  vmcs.set('GUEST_IDTR_BASE', IDT);
  vmcs.set('GUEST_GDTR_BASE', GDT);
  const g = { cpu, vmcs, poke, epte };
  setUp(g);
  return g;
}

const enter = (g: Guest): void => {
  const r = g.vmcs.launched ? g.cpu.vmresume() : g.cpu.vmlaunch();
  assert.ok(r.ok, r.ok ? '' : JSON.stringify(r.unmet));
};
const run = (g: Guest, budget = 1000): CpuStop => g.cpu.run(budget);
const or =
  (name: VmcsFieldName, mask: number) =>
  ({ vmcs }: Guest): void =>
    vmcs.set(name, vmcs.get(name) | BigInt(mask >>> 0));
const proc = (mask: number): ((g: Guest) => void) => or('CPU_BASED_VM_EXEC_CONTROL', mask);
const secondary = (mask: number): ((g: Guest) => void) => or('SECONDARY_VM_EXEC_CONTROL', mask);
const set =
  (name: VmcsFieldName, value: bigint) =>
  ({ vmcs }: Guest): void =>
    vmcs.set(name, value);
const all =
  (...changes: ((g: Guest) => void)[]) =>
  (g: Guest): void =>
    changes.forEach((c) => c(g));

interface Expected {
  readonly qualification?: bigint;
  /** Offset of the saved RIP from 0x8000. */
  readonly at: number;
  readonly length?: number;
  readonly fields?: Partial<Record<VmcsFieldName, bigint>>;
}
/** Entering the guest ends in exactly this exit. */
function exits(source: string, reason: keyof typeof VMX_EXIT, expected: Expected, setUp?: (g: Guest) => void): void {
  it(`${source.replace(/\n/g, '; ')} → ${reason}`, () => {
    const g = guest(source, setUp);
    enter(g);
    const stop = run(g);
    assert.equal(
      stop.kind,
      'exit',
      JSON.stringify(stop, (_, v: unknown) => (typeof v === 'bigint' ? v.toString(16) : v)),
    );
    const v = g.vmcs;
    assert.equal(vmxExitName(v.read32(FIELD.VM_EXIT_REASON)), reason);
    const seen = {
      qualification: v.get('EXIT_QUALIFICATION'),
      at: Number(v.get('GUEST_RIP') - ORIGIN),
      length: v.read32(FIELD.VM_EXIT_INSTRUCTION_LEN),
    };
    assert.deepEqual(seen, {
      qualification: expected.qualification ?? 0n,
      at: expected.at,
      length: expected.length ?? 0,
    });
    for (const [name, value] of Object.entries(expected.fields ?? {}))
      assert.equal(v.get(name as VmcsFieldName), value, name);
    assert.equal(g.cpu.nonRoot, false);
    assert.equal(g.cpu.state.rip, 0xffff_8000_0000_1234n);
  });
}

describe('guests under VMX', () => {
  describe('instructions exit where they stand', () => {
    exits('nop\ncpuid', 'CPUID', { at: 1, length: 2 });
    exits('hlt', 'HLT', { at: 0, length: 1 });
    exits('vmcall', 'VMCALL', { at: 0, length: 3 });
    exits(
      'mov eax, 5\ninvlpg [rax+0x1000]',
      'INVLPG',
      { at: 5, length: 7, qualification: 0x1005n },
      proc(PROC.INVLPG_EXITING),
    );
    exits('mov cr3, rdx', 'CR_ACCESS', { at: 0, length: 3, qualification: 0x203n }, proc(PROC.CR3_LOAD_EXITING));
    exits('mov rbx, cr3', 'CR_ACCESS', { at: 0, length: 3, qualification: 0x313n }, proc(PROC.CR3_STORE_EXITING));
    exits(
      'mov rax, cr0\nbtr rax, 31\nmov cr0, rax',
      'CR_ACCESS',
      { at: 8, length: 3, qualification: 0n },
      all(set('CR0_GUEST_HOST_MASK', 1n << 31n), set('CR0_READ_SHADOW', HOST_CR0)),
    );
    exits(
      'mov ax, 0xfff9\nlmsw ax',
      'CR_ACCESS',
      { at: 4, length: 3, qualification: 0xfff9_0030n },
      all(set('CR0_GUEST_HOST_MASK', 8n)),
    );
    exits(
      'clts',
      'CR_ACCESS',
      { at: 0, length: 2, qualification: 0x20n },
      all(set('CR0_GUEST_HOST_MASK', 8n), set('CR0_READ_SHADOW', 8n)),
    );
    exits('mov dr7, rcx', 'DR_ACCESS', { at: 0, length: 3, qualification: 0x107n }, proc(PROC.MOV_DR_EXITING));
    exits(
      'mov dx, 0x3f8\nout dx, al',
      'IO_INSTRUCTION',
      { at: 4, length: 1, qualification: 0x3f8_0000n },
      proc(PROC.UNCOND_IO_EXITING),
    );
    exits(
      'in eax, 0x71',
      'IO_INSTRUCTION',
      { at: 0, length: 2, qualification: 0x71_004bn },
      proc(PROC.UNCOND_IO_EXITING),
    );
    exits(
      'mov edx, 0xe9\nmov esi, 0x6000\nmov ecx, 2\nrep outsb',
      'IO_INSTRUCTION',
      {
        at: 15,
        length: 2,
        qualification: 0xe9_0030n,
        fields: { GUEST_LINEAR_ADDRESS: 0x6000n, VMX_INSTRUCTION_INFO: 0x1_8100n },
      },
      proc(PROC.UNCOND_IO_EXITING),
    );
    exits('mov ecx, 0xc0000080\nrdmsr', 'MSR_READ', { at: 5, length: 2 });
    exits('mov ecx, 0x10\nwrmsr', 'MSR_WRITE', { at: 5, length: 2 });
    exits('rdtsc', 'RDTSC', { at: 0, length: 2 }, proc(PROC.RDTSC_EXITING));
    exits('wbinvd', 'WBINVD', { at: 0, length: 2 }, secondary(SECONDARY.WBINVD_EXITING));
    exits(
      'lgdt [rbx+0x40]',
      'GDTR_IDTR',
      { at: 0, length: 4, qualification: 0x40n, fields: { VMX_INSTRUCTION_INFO: 0x21c1_8900n } },
      secondary(SECONDARY.DESC),
    );
  });

  describe('exceptions', () => {
    const bitmap = (v: number): ((g: Guest) => void) => set('EXCEPTION_BITMAP', 1n << BigInt(v));
    exits(
      'mov rax, [0x200008]',
      'EXCEPTION_NMI',
      {
        at: 0,
        qualification: 0x20_0008n,
        fields: { VM_EXIT_INTR_INFO: 0x8000_0b0en, VM_EXIT_INTR_ERROR_CODE: 0n, GUEST_RFLAGS: 0x1_0002n },
      },
      bitmap(14),
    );
    exits(
      'int3',
      'EXCEPTION_NMI',
      { at: 0, length: 1, fields: { VM_EXIT_INTR_INFO: 0x8000_0603n, GUEST_RFLAGS: 2n } },
      bitmap(3),
    );
    exits('ud2', 'EXCEPTION_NMI', { at: 0, fields: { VM_EXIT_INTR_INFO: 0x8000_0306n } }, bitmap(6));
    exits('rdtscp', 'EXCEPTION_NMI', { at: 0, fields: { VM_EXIT_INTR_INFO: 0x8000_0306n } }, bitmap(6));
    exits(
      'nop\nnop',
      'EXCEPTION_NMI',
      { at: 1, qualification: 0x4000n, fields: { VM_EXIT_INTR_INFO: 0x8000_0301n, GUEST_RFLAGS: 0x102n } },
      all(bitmap(1), set('GUEST_RFLAGS', 0x102n)),
    );
    exits('ud2', 'TRIPLE_FAULT', { at: 0 }, set('GUEST_IDTR_LIMIT', 0n));
  });

  describe('EPT', () => {
    const unmapped =
      (gpa: bigint, value = 0n) =>
      ({ epte }: Guest): void =>
        epte(gpa, value);
    exits(
      'mov al, [0x6010]',
      'EPT_VIOLATION',
      { at: 0, qualification: 0x181n, fields: { GUEST_PHYSICAL_ADDRESS: 0x6010n, GUEST_LINEAR_ADDRESS: 0x6010n } },
      unmapped(0x6000n),
    );
    exits(
      'mov [0x6010], al',
      'EPT_VIOLATION',
      { at: 0, qualification: 0x1aan, fields: { GUEST_PHYSICAL_ADDRESS: 0x6010n } },
      unmapped(0x6000n, (RAM + 0x6000n) | 0x35n),
    );
    exits(
      'mov eax, 0x6000\njmp rax',
      'EPT_VIOLATION',
      { at: 0x6000 - 0x8000, qualification: 0x19cn },
      unmapped(0x6000n, (RAM + 0x6000n) | 0x33n),
    );
    exits(
      'nop',
      'EPT_VIOLATION',
      { at: 0, qualification: 0x81n, fields: { GUEST_PHYSICAL_ADDRESS: PML4 + 0x1000n, GUEST_LINEAR_ADDRESS: ORIGIN } },
      unmapped(PML4 + 0x1000n),
    );
    exits(
      'nop',
      'EPT_VIOLATION',
      { at: 0, qualification: 0x83n, fields: { GUEST_PHYSICAL_ADDRESS: PML4 } },
      all(unmapped(PML4), set('EPT_POINTER', EPT_ROOT | 0x5en)),
    );
    exits(
      'nop',
      'EPT_VIOLATION',
      { at: 0, qualification: 0xabn, fields: { GUEST_PHYSICAL_ADDRESS: PML4 } },
      unmapped(PML4, (RAM + PML4) | 0x35n),
    );
    exits(
      'mov al, [0x6010]',
      'EPT_MISCONFIG',
      { at: 0, fields: { GUEST_PHYSICAL_ADDRESS: 0x6010n } },
      unmapped(0x6000n, (RAM + 0x6000n) | 6n),
    );
    exits(
      'int 0x21',
      'EPT_VIOLATION',
      {
        at: 0,
        length: 2,
        qualification: 0x181n,
        fields: { GUEST_LINEAR_ADDRESS: IDT + 0x210n, IDT_VECTORING_INFO_FIELD: 0x8000_0421n },
      },
      unmapped(IDT),
    );
    exits(
      'mov rax, [0x200000]',
      'EPT_VIOLATION',
      {
        at: 0,
        qualification: 0x181n,
        fields: { IDT_VECTORING_INFO_FIELD: 0x8000_0b0en, IDT_VECTORING_ERROR_CODE: 0n },
      },
      unmapped(IDT),
    );
  });

  describe('between instructions', () => {
    exits('nop\nnop', 'MONITOR_TRAP_FLAG', { at: 1 }, proc(PROC.MONITOR_TRAP_FLAG));
    exits(
      'times 9 nop',
      'PREEMPTION_TIMER',
      { at: 5 },
      all(or('PIN_BASED_VM_EXEC_CONTROL', PIN.PREEMPTION_TIMER), set('VMX_PREEMPTION_TIMER_VALUE', 5n)),
    );
    exits(
      'nop\nsti\nnop\nnop',
      'INTERRUPT_WINDOW',
      { at: 3, fields: { GUEST_INTERRUPTIBILITY_INFO: 0n, GUEST_RFLAGS: 0x202n } },
      proc(PROC.INTR_WINDOW_EXITING),
    );
    it('steps one instruction an entry with the monitor trap flag, even when run one instruction at a time', () => {
      const g = guest('nop\nnop\nnop', proc(PROC.MONITOR_TRAP_FLAG));
      for (let i = 1n; i <= 3n; i++) {
        enter(g);
        let stop = run(g, 1);
        if (stop.kind === 'budget') stop = run(g, 1);
        assert.equal(stop.kind === 'exit' && stop.exit.reason, VMX_EXIT.MONITOR_TRAP_FLAG);
        assert.equal(g.vmcs.get('GUEST_RIP'), ORIGIN + i);
      }
    });
  });

  it('masks and shadows: the guest reads what it wrote, the register keeps the host’s bits', () => {
    const g = guest(
      'mov rax, cr4\nor rax, 0x80\nmov cr4, rax\nmov rbx, cr4\nhlt',
      all(set('CR4_GUEST_HOST_MASK', 0x2000n), set('CR4_READ_SHADOW', 0n)),
    );
    enter(g);
    run(g);
    assert.equal(g.cpu.state.get(3), 0xa0n);
    assert.equal(g.vmcs.get('GUEST_CR4'), HOST_CR4 | 0x80n);
  });

  it('an injected event runs its handler', () => {
    const handler = ORIGIN + 0x10n;
    const g = guest('hlt\ntimes 15 nop\ncpuid', (x) => {
      x.poke(IDT + 0x300n, (handler & 0xffffn) | (8n << 16n) | (0x8e00n << 32n));
      x.poke(IDT + 0x308n, 0n);
      x.vmcs.set('VM_ENTRY_INTR_INFO_FIELD', 0x8000_0030n);
      x.vmcs.set('GUEST_RFLAGS', 0x202n);
    });
    enter(g);
    run(g);
    assert.equal(vmxExitName(g.vmcs.read32(FIELD.VM_EXIT_REASON)), 'CPUID');
    assert.deepEqual(
      [g.vmcs.get('GUEST_RIP'), g.vmcs.get('GUEST_RFLAGS'), g.vmcs.get('GUEST_RSP')],
      [handler, 2n, 0x8000n - 40n],
    );
  });

  it('a real-mode guest under unrestricted guest', () => {
    const g = guest(
      'mov ax, 0x1234\nmov ds, ax\nmov [0], ax\nhlt',
      (x) => {
        setRealModeGuest(x.vmcs);
        x.vmcs.set('GUEST_CS_SELECTOR', 0n);
        x.vmcs.set('GUEST_CS_BASE', 0n);
        x.vmcs.set('GUEST_RIP', ORIGIN);
      },
      16,
    );
    enter(g);
    run(g);
    assert.equal(vmxExitName(g.vmcs.read32(FIELD.VM_EXIT_REASON)), 'HLT');
    assert.deepEqual([g.vmcs.get('GUEST_DS_SELECTOR'), g.vmcs.get('GUEST_DS_BASE')], [0x1234n, 0x12340n]);
    assert.equal(g.cpu.memory.read32(hpa(RAM + 0x12340n)) & 0xffff, 0x1234);
    enter(g);
  });

  describe('an IRET that faults has unblocked NMIs, and the exit says so', () => {
    const pin = (mask: number): ((g: Guest) => void) => or('PIN_BASED_VM_EXEC_CONTROL', mask);
    const blocked = set('GUEST_INTERRUPTIBILITY_INFO', 8n);
    const virtualNmis = all(pin(PIN.NMI_EXITING | PIN.VIRTUAL_NMIS), blocked);
    const gp = set('EXCEPTION_BITMAP', 1n << 13n);
    const noStack = (g: Guest): void => g.epte(0x9000n, 0n);
    exits(
      'mov esp, 0x9000\niretq',
      'EXCEPTION_NMI',
      { at: 5, fields: { VM_EXIT_INTR_INFO: 0x8000_1b0dn, GUEST_INTERRUPTIBILITY_INFO: 0n } },
      all(virtualNmis, gp),
    );
    exits(
      'mov esp, 0x9000\niretq',
      'EPT_VIOLATION',
      { at: 5, qualification: 0x1181n, fields: { GUEST_INTERRUPTIBILITY_INFO: 0n } },
      all(virtualNmis, noStack),
    );
    exits(
      'mov esp, 0x9000\npop rax',
      'EPT_VIOLATION',
      { at: 5, qualification: 0x181n, fields: { GUEST_INTERRUPTIBILITY_INFO: 8n } },
      all(virtualNmis, noStack),
    );
    exits(
      'mov esp, 0x9000\niretq',
      'EXCEPTION_NMI',
      { at: 5, fields: { VM_EXIT_INTR_INFO: 0x8000_0b0dn, GUEST_INTERRUPTIBILITY_INFO: 0n } },
      all(pin(PIN.NMI_EXITING | PIN.VIRTUAL_NMIS), gp),
    );
    exits(
      'mov esp, 0x9000\niretq',
      'EXCEPTION_NMI',
      { at: 5, fields: { VM_EXIT_INTR_INFO: 0x8000_0b0dn, GUEST_INTERRUPTIBILITY_INFO: 8n } },
      all(pin(PIN.NMI_EXITING), blocked, gp),
    );
  });

  it('a snapshot taken in the guest goes on to the same exit', () => {
    const g = guest('mov ecx, 100\nl: dec ecx\njnz l\ncpuid');
    enter(g);
    assert.equal(run(g, 50).kind, 'budget');
    const memory = g.cpu.memory.u8.slice();
    const cpu = g.cpu.save();
    assert.equal(run(g).kind, 'exit');
    const [rip, retired] = [g.vmcs.get('GUEST_RIP'), g.cpu.retired];
    g.cpu.memory.u8.set(memory);
    g.cpu.restore(cpu);
    assert.equal(run(g).kind, 'exit');
    assert.deepEqual([g.vmcs.get('GUEST_RIP'), g.cpu.retired], [rip, retired]);
  });
});
