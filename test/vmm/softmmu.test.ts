import assert from 'node:assert/strict';
import { gpa, hva } from '../../src/base/address';
import { SLOT } from '../../src/hw/state/layout';
import { drain } from '../../src/trace/step';
import { PTE_A, PTE_D } from '../../src/isa/entries';
import type { MachineOptions } from '../../src/vmm/options';
import { Guest } from './support/guest';

/** Runs code in 64-bit mode on prepared tables. */
const flat = (code: string, more: Partial<MachineOptions> = {}): Guest =>
  new Guest(code, 'flat64', { mmu: 'software', ...more });
/** Runs up to the label `here`. */
const runTo = (g: Guest): void => {
  g.machine.cpu.breakpoints.add(g.symbols.get('here') ?? assert.fail('a label'));
  assert.equal(g.stop().kind, 'breakpoint');
  g.machine.cpu.breakpoints.clear();
};
const TOUCH = `mov rbx, 0x200000
  mov qword [rbx], 0x1234
  mov rax, [rbx]
  hlt`;

describe('translation in software', () => {
  it('CPUID has no local APIC while IA32_APIC_BASE disables it, under each method', () => {
    const code = `mov eax, 1\ncpuid\nmov esi, edx\nmov ecx, 0x1b\nrdmsr\nand eax, ~0x800\nwrmsr\nmov eax, 1\ncpuid\nhlt`;
    for (const mmu of ['software', 'ept'] as const) {
      const gprs = flat(code, { mmu }).halt();
      assert.deepEqual(
        [gprs[6], gprs[2]].map((v) => ((v ?? 0n) >> 9n) & 1n),
        [1n, 0n],
        mmu,
      );
    }
  });
  it('runs a guest without an exit, and the same result as under EPT', () => {
    const check = (code: string): void => {
      const [soft, ept] = [flat(code), flat(code, { mmu: 'ept' })];
      assert.deepEqual([soft.halt(), soft.qword(0x20_0000n)], [ept.halt(), ept.qword(0x20_0000n)]);
      assert.equal(soft.serial, ept.serial);
      assert.equal(soft.machine.exits.count, 0);
    };
    check(TOUCH);
    check('mov dx, 0x3f8\nmov al, "x"\nout dx, al\nin al, dx\nhlt');
    check('mov eax, 1\ncpuid\nand edx, 0x2000000\nxor ecx, ecx\nxor ebx, ebx\nxor eax, eax\nhlt');
  });

  it('counts n·(m+1)+m loads at each access without a TLB, and a walk once with one', () => {
    const check = (code: string, accesses: number): void => {
      const off = flat(code, { tlb: 'off' });
      off.halt();
      // 4 levels of the guest's tables, each entry found by 4 of the host's, and 4 more for the page
      const { guestReferences, nestedReferences } = off.machine.cpu.counters;
      assert.deepEqual([guestReferences, nestedReferences], [4 * accesses, (4 * 4 + 4) * accesses]);
      assert.equal(off.machine.references.guest, guestReferences);
      assert.equal(off.machine.cpu.tlb.misses, accesses);
      const on = flat(code);
      on.halt();
      assert.equal(on.machine.cpu.tlb.hits + on.machine.cpu.tlb.misses, accesses);
      assert.equal(on.machine.references.guest, 4 * on.machine.cpu.tlb.misses);
    };
    // a fetch of the page at the start, then two data accesses to a page that nobody touched before
    check(TOUCH, 3);
    check(`mov rbx, 0x200000\nmov rcx, 5\n.next: mov [rbx], rcx\nloop .next\nhlt`, 1 + 5 + 4);
  });

  it('goes through the host’s tables anew where the host took a page back', () => {
    const g = flat(`mov rbx, 0x200000
      mov qword [rbx], 1
    here: mov rax, [rbx]
      hlt`);
    runTo(g);
    const { machine } = g;
    const at = hva(0x7f5a_0020_0000n);
    const before = machine.host.lookup(at)?.hpa;
    const [hits, misses] = [machine.cpu.tlb.hits, machine.cpu.tlb.misses];
    assert.ok(machine.perform(machine.host.swapOut(at)).ok);
    assert.equal(machine.host.lookup(at), undefined);
    assert.deepEqual(machine.cpu.tlb.peek(0x20_0000n)?.eptRights, { r: false, w: false, x: false });
    g.halt();
    assert.equal(machine.accelerator.registers().get(0), 1n);
    assert.notEqual(before, undefined);
    assert.equal(machine.accelerator.stats()['host_faults'], 2, 'the first touch, and the swap-in');
    assert.equal(machine.cpu.tlb.misses - misses, 0, 'the guest’s translation stayed');
    assert.ok(machine.cpu.tlb.hits > hits);
  });

  it('sets the accessed and dirty flags of the host’s entries where the TLB is filled, and looking sets none', () => {
    const g = flat(`mov rbx, 0x200000
      mov qword [rbx], 1
    here: mov rax, [rbx]
      invlpg [rbx]
    read: mov rax, [rbx]
    written: mov [rbx], rax
      hlt`);
    runTo(g);
    const { tables } = g.machine.host;
    const at = hva(g.machine.options.hvaBase + 0x20_0000n);
    const leaf = (): NonNullable<ReturnType<typeof tables.descend>['leaf']> =>
      tables.descend(at).leaf ?? assert.fail('the host has the page mapped');
    const flags = (): string =>
      ((leaf().entry & PTE_A) !== 0n ? 'A' : '-') + ((leaf().entry & PTE_D) !== 0n ? 'D' : '-');
    const until = (label: string): string => {
      g.machine.cpu.breakpoints.clear();
      g.machine.cpu.breakpoints.add(g.symbols.get(label) ?? assert.fail('a label'));
      assert.equal(g.stop().kind, 'breakpoint');
      return flags();
    };
    assert.equal(flags(), 'AD');
    tables.update(at, leaf(), leaf().entry & ~(PTE_A | PTE_D));
    g.machine.cpu.mmu.probeWalk(0x20_0000n, { op: 'write', user: false, implicit: false });
    assert.equal(until('read'), '--', 'a hit, and a look');
    assert.equal(until('written'), 'A-', 'a walk after INVLPG');
    g.machine.cpu.breakpoints.clear();
    g.halt();
    assert.equal(flags(), 'AD', 'the first write');
    assert.equal(g.machine.host.young(at), true);
  });

  it('delivers a guest fault whose handler’s stack the host has to bring first', () => {
    const g = flat(`
      lea rax, [handler]
      mov rbx, 0x300000
      mov word [rbx + 14*16], ax
      mov word [rbx + 14*16 + 2], 8
      mov word [rbx + 14*16 + 4], 0x8e00
      shr rax, 16
      mov word [rbx + 14*16 + 6], ax
      mov dword [rbx + 14*16 + 8], 0
      lidt [idtr]
      mov rsp, 0x500000
      mov rcx, 0x4000000000
      mov rax, [rcx]
      hlt
    handler:
      mov rdx, cr2
      mov rsi, [rsp]
      hlt
    idtr: dw 0xfff
      dq 0x300000`);
    g.halt();
    const s = g.machine.accelerator.registers();
    assert.deepEqual([s.get(2), s.get(6)], [0x40_0000_0000n, 0n], 'CR2 and the error code');
  });

  it('stops on a triple fault, and at the exit port', () => {
    const g = flat('ud2');
    assert.equal(g.end().kind, 'triple-fault');
    assert.deepEqual(
      [flat('mov al, 5\nout 0xf4, al').end().kind, flat('mov al, 5\nout 0xf4, al').end().code],
      ['exit-port', 11],
    );
  });

  it('wakes a halted guest by the timer of its local APIC', () => {
    const g = flat(`
      mov ecx, 0x1b
      rdmsr
      or eax, 0xc00
      wrmsr
      mov ecx, 0x80f
      mov eax, 0x1ff
      xor edx, edx
      wrmsr
      lea rax, [handler]
      mov rbx, 0x300000
      mov word [rbx + 0x40*16], ax
      mov word [rbx + 0x40*16 + 2], 8
      mov word [rbx + 0x40*16 + 4], 0x8e00
      shr rax, 16
      mov word [rbx + 0x40*16 + 6], ax
      mov dword [rbx + 0x40*16 + 8], 0
      lidt [idtr]
      xor edx, edx
      mov ecx, 0x832
      mov eax, 0x40
      wrmsr
      mov ecx, 0x838
      mov eax, 1000000
      wrmsr
      sti
      hlt
      cli
      hlt
    handler:
      mov rdi, 0x77
      iretq
    idtr: dw 0xfff
      dq 0x300000`);
    g.halt();
    assert.equal(g.machine.accelerator.registers().get(7), 0x77n);
  });

  it('logs dirty pages, and answers read-only memory as KVM does', () => {
    const g = flat(`mov rbx, 0x200000
      mov qword [rbx], 1
    here: mov qword [rbx], 2
      mov qword [rbx + 0x1000], 2
      hlt`);
    runTo(g);
    const { machine } = g;
    const slot = machine.ram.memslots.byId(0) ?? assert.fail('slot 0');
    const region = {
      slot: 0,
      readonly: false,
      guestPhysAddr: slot.start,
      memorySize: slot.end - slot.start,
      userspaceAddr: slot.hva,
    };
    assert.ok(machine.perform(machine.ram.setUserMemoryRegion({ ...region, logDirty: true })).ok);
    g.halt();
    const pages = drain(machine.ram.getDirtyLog(0));
    // the prepared tables' dirty flags are written too
    assert.deepEqual(pages.ok && pages.value.filter((p) => p < 0x100_0000n), [gpa(0x20_0000n), gpa(0x20_1000n)]);
  });

  it('saves and restores between two accesses', () => {
    const g = flat(`mov rcx, 20\n.next: mov [rcx*8 + 0x200000], rcx\nloop .next\nhlt`);
    g.machine.run(25);
    const saved = g.machine.save();
    const finish = (): unknown => [
      g.halt(),
      g.machine.references,
      g.machine.cycles,
      g.qword(0x20_0008n),
      g.machine.accelerator.registers().get(SLOT.RETIRED),
    ];
    const first = finish();
    g.machine.restore(saved);
    assert.deepEqual(finish(), first);
  });
});

describe('look-ups of the software TLB, in QEMU’s words', () => {
  it('each miss is told where somebody listens: walk, region, entry; and nothing changes by that', () => {
    const code = `mov rbx, 0x200000
      mov rax, [rbx]
      mov rcx, [rbx + 8]
      mov rdx, 0xe0000000
      mov rax, [rbx + rdx]
      hlt`;
    const told: string[] = [];
    const [seen, unseen] = [flat(code), flat(code)];
    seen.machine.onStep = (s) => {
      if (s.addresses.gva === 0x20_0000n) told.push(`${seen.machine.instructions} ${s.actor} ${s.fn}: ${s.what}`);
    };
    seen.stop();
    unseen.stop();
    assert.deepEqual(told, [
      '1 vmm tlb_fill: the software TLB has no entry for a read of GVA 0x200000 (supervisor)',
      "1 vmm x86_cpu_tlb_fill: mmu_translate walks 4 levels of the guest's tables: GPA 0x200000",
      '1 vmm address_space_translate_for_iotlb: GPA 0x200000 is in region 0, at HVA 0x7f5a00200000',
      '1 vmm tlb_set_page_full: enters the page of GVA 0x200000 into the software TLB',
    ]);
    const { cycles, moment, references } = unseen.machine;
    assert.deepEqual([seen.machine.cycles, seen.machine.moment, seen.machine.references], [cycles, moment, references]);
  });
  it('a device, and a walk that ends in a #PF', () => {
    const steps = (code: string, gva: bigint): string[] => {
      const g = flat(code);
      const told: string[] = [];
      g.machine.onStep = (s) => {
        if (s.addresses.gva === gva) told.push(`${s.fn}: ${s.what}`);
      };
      g.stop();
      return told;
    };
    assert.deepEqual(steps('mov rax, 0x80000000\nmov [rax], al\nhlt', 0x8000_0000n), [
      'tlb_fill: the software TLB has no entry for a write to GVA 0x80000000 (supervisor)',
      "x86_cpu_tlb_fill: mmu_translate walks the guest's tables, which do not allow it: raise_exception_err",
    ]);
    const g = new Guest('mov eax, 0x2000\nmov ds, ax\nmov al, [0]\nhlt', 'flat16', {
      mmu: 'software',
      slots: [
        { gpa: 0n, size: 0x1_0000n, readonly: false },
        { gpa: 0xf_0000n, size: 0x1_0000n, readonly: false },
      ],
    });
    const told: string[] = [];
    g.machine.onStep = (s) => {
      if (s.addresses.gva === 0x2_0000n) told.push(`${s.fn}: ${s.what}`);
    };
    g.stop();
    assert.deepEqual(told.slice(0, 4), [
      'tlb_fill: the software TLB has no entry for a read of GVA 0x20000 (supervisor)',
      'x86_cpu_tlb_fill: paging is off: GVA 0x20000 is GPA 0x20000',
      'address_space_translate_for_iotlb: GPA 0x20000 is in no RAM region: accesses go to the device there, if there is one',
      'tlb_set_page_full: marks the page of GVA 0x20000 TLB_MMIO: each access takes the slow way',
    ]);
  });
  it('an MSR that the processor does not have reads 0, and a write of it is dropped, as helper_rdmsr and helper_wrmsr do; x2APIC numbers are checked', () => {
    const read = (msr: number): string => `mov ecx, 0x${msr.toString(16)}\nrdmsr\nor ebx, eax\nor ebx, edx\n`;
    const gprs = flat(
      `xor ebx, ebx\n${[0x1_2345, 0x3a, 0x6e0, 0x4b56_4d00, 0xc001_0114].map(read).join('')}
       mov eax, 5\nmov ecx, 0x12345\nwrmsr\nrdmsr\nor ebx, eax\nmov ecx, 0xfe\nwrmsr\nmov esi, 1\nhlt`,
    ).halt();
    assert.deepEqual([gprs[3], gprs[6]], [0n, 1n]);
    const end = flat('mov ecx, 0x1b\nrdmsr\nor eax, 0xc00\nwrmsr\nmov ecx, 0x809\nrdmsr\nhlt').end();
    assert.equal(end.kind, 'triple-fault');
  });
});
