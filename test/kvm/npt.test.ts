/** KVM on SVM with nested paging: error codes of #NPF, MMIO, and a VMRUN whose checks fail. */
import * as assert from 'node:assert/strict';
import { SEG } from '../../src/hw/state/layout';
import { Guest } from '../vmm/support/guest';
import { done, hvaAt, logging, paused } from './support/paused';

const NPT = { mmu: 'npt', cpu: 'pagewalk-svm' } as const;
const faults = (g: Guest): readonly (readonly [gpa: string, code: string])[] =>
  g.machine.exits
    .recent(100)
    .filter((e) => e.name === 'NPF')
    .map((e) => [`0x${e.gpa?.toString(16)}`, `0x${e.qualification.toString(16)}`]);

describe('mmu=npt', () => {
  it('tells guest table walks, which are writes of a user, from final accesses (APM vol. 2, 15.25.6)', () => {
    const g = new Guest('mov rax, [0x300000]\nmov [0x301000], rax\nhlt', 'flat64', NPT);
    g.halt();
    const codes = faults(g);
    // bit 33: PML4, PDPT, PD and PT of the first fetch; W and U, never P while nothing is mapped
    assert.deepEqual(
      codes.slice(0, 4).map(([, code]) => code),
      Array(4).fill('0x200000006'),
    );
    // bit 32: the fetch itself (I/D), then a table entry for the data and the read and the write
    assert.deepEqual(codes[4], ['0x100000', '0x100000014']);
    assert.deepEqual(
      codes.slice(5).filter(([at]) => at === '0x300000'),
      [['0x300000', '0x100000004']],
    );
    assert.deepEqual(
      codes.slice(5).filter(([at]) => at === '0x301000'),
      [['0x301000', '0x100000006']],
    );
  });

  it('offers its guests no SVM: CPUID says so, and each of its instructions is #UD; under software too', () => {
    const codes = [0xd8, 0xda, 0xdb, 0xdc, 0xdd, 0xde, 0xdf];
    const source = `
mov rax, handler
mov [0x5060], ax
mov word [0x5062], cs
mov word [0x5064], 0x8e00
shr rax, 16
mov [0x5066], ax
mov qword [0x5068], 0
mov word [0x4000], 0xfff
mov qword [0x4002], 0x5000
lidt [0x4000]
xor esi, esi
${codes.map((c) => `mov eax, 0x1000\ndb 0x0f, 0x01, ${c}`).join('\n')}
mov eax, 0x80000001
cpuid
shr ecx, 2
and ecx, 1
hlt
handler:
inc esi
add qword [rsp], 3
iretq`;
    for (const mmu of ['npt', 'software'] as const) {
      const g = new Guest(source, 'flat64', { ...NPT, mmu });
      const gprs = g.halt();
      // RSI counts; RCX is CPUID's SVM
      assert.deepEqual([gprs[6], gprs[1]], [BigInt(codes.length), 0n], mmu);
    }
  });

  it("CPL is a field of its own: SS's DPL, which SYSRET leaves, does not change it", () => {
    const g = new Guest('mov eax, 1\ncpuid\nhlt', 'flat64', NPT);
    g.halt();
    const { regs } = g.machine.vcpu;
    for (const attrib of [0xc93n, 0n]) {
      g.machine.cpu.svm.vmcb?.write('CPL', 3n);
      g.machine.cpu.svm.vmcb?.write('SS_ATTRIB', attrib);
      regs.setSegment(SEG.SS, regs.segment(SEG.SS));
      assert.equal(regs.cpl, 3);
    }
  });

  it('names the checks of VMRUN that do not hold', () => {
    const g = new Guest('hlt', 'flat64', NPT);
    const { ops } = g.machine.vcpu;
    assert.equal(ops.name, 'svm');
    ops.setEfer(1n << 20n);
    const end = g.end();
    assert.match(end.why, /EFER: reserved bits of EFER are 0 \(APM vol\. 2, 15\.5\.1\)/);
  });
});

/** Like living-host.test.ts and exits.test.ts, where the second level has ordinary entries and no log of hardware's. */
describe('mmu=npt under what the host and the VMM do', () => {
  const PAGE = 0x20_0000n;
  const NEXT = 0x20_1000n;
  const rsvd = (g: Guest): readonly string[] =>
    faults(g)
      .filter(([, code]) => (BigInt(code) & 8n) !== 0n)
      .map(([at, code]) => `${at} ${code}`);

  it('MMIO: a mark with bit 51, later accesses of which fault with RSVD and are emulated', () => {
    const hole = 0x14_0000n;
    const slots = [
      { gpa: 0n, size: hole, readonly: false },
      { gpa: PAGE, size: 0x20_0000n, readonly: false },
    ];
    const g = new Guest(
      `mov rbx, ${hole}\n mov eax, [rbx]\n movzx ecx, byte [rbx+5]\n mov dword [rbx], 7\n hlt`,
      'flat64',
      {
        ...NPT,
        slots,
      },
    );
    const r = g.halt();
    assert.deepEqual([r[0], r[1]], [0xffff_ffffn, 0xffn]);
    assert.deepEqual(rsvd(g), ['0x140005 0x10000000d', '0x140000 0x10000000f']);
    const spte = g.epte(hole);
    assert.equal(spte & ((1n << 51n) | 1n), (1n << 51n) | 1n, 'present, and reserved below 52 address bits');
    const { mmio_exits, pf_mmio_spte_created, insn_emulation } = g.stats;
    assert.deepEqual([mmio_exits, pf_mmio_spte_created, insn_emulation], [3, 1, 3]);
  });

  it('dirty logging: by write protection, P and W in the fault, and again after the log was read', () => {
    const stores = `mov byte [${PAGE}], 1\n mov al, [${NEXT}]`;
    const g = paused(
      `${stores}\n mov byte [${NEXT}], 1`,
      `${stores}\n out 0x80, al\nmore: nop\n mov byte [${PAGE}], 2`,
      NPT,
    );
    const logged = (): readonly bigint[] =>
      done(g, g.machine.vm.getDirtyLog(0)).filter((a) => a === PAGE || a === NEXT);
    done(g, g.machine.vm.setUserMemoryRegion(logging(g, true)));
    assert.equal(g.epte(PAGE) & 3n, 1n, 'write-protected');
    g.machine.cpu.breakpoints.add(g.symbols.get('more') ?? 0n);
    assert.equal(g.stop().kind, 'breakpoint');
    g.machine.cpu.breakpoints.clear();
    assert.deepEqual(logged(), [PAGE]);
    g.halt();
    assert.deepEqual(logged(), [PAGE]);
    assert.equal(
      faults(g).filter(([at, code]) => at === '0x200000' && code === '0x100000007').length,
      2,
      'each first write after protection',
    );
  });

  it('huge pages: PS in a 2 MiB entry, split for logging and by a swapped page', () => {
    const store = `mov byte [${PAGE}], 1`;
    const log = paused(store, `mov byte [${NEXT}], 1`, { ...NPT, hostPages: 'thp' });
    // D, A, PS with U/S, R/W, P
    assert.equal(log.epte(PAGE) & 0xe7n, 0xe7n);
    done(log, log.machine.vm.setUserMemoryRegion(logging(log, true)));
    log.halt();
    assert.equal(log.epte(NEXT) & 0x83n, 3n, 'a small page');

    const swap = paused(store, `mov al, [${PAGE}]`, { ...NPT, hostPages: 'thp' });
    done(swap, swap.machine.host.swapOut(hvaAt(swap, NEXT)));
    assert.equal(swap.epte(PAGE), 0n);
    assert.equal((swap.halt()[0] ?? 0n) & 0xffn, 1n);
    assert.equal(swap.epte(PAGE) & 0x81n, 1n);
  });

  it('swap-out and migration: the entry goes, the VCPU is kicked and flushes its ASID, the next access faults the page in', () => {
    const g = paused(`mov qword [${PAGE}], 7\n mov qword [${NEXT}], 8`, `mov rax, [${PAGE}]\n mov rbx, [${NEXT}]`, NPT);
    done(g, g.machine.host.swapOut(hvaAt(g, PAGE)));
    const old = g.epte(NEXT);
    done(g, g.machine.host.migrate(hvaAt(g, NEXT)));
    assert.deepEqual([g.epte(PAGE), g.epte(NEXT)], [0n, 0n]);
    const r = g.halt();
    assert.deepEqual([r[0], r[3]], [7n, 8n]);
    assert.notEqual(g.epte(NEXT) & 0xf_ffff_f000n, old & 0xf_ffff_f000n);
    assert.equal(g.exits['INTR'], 1, 'the kick');
  });

  it('goes on from a snapshot in its middle as it did before', () => {
    const g = paused(
      `mov qword [${PAGE}], 7`,
      `add qword [${PAGE}], 1\n mov rax, [${PAGE}]\n mov rbx, [0x300000]`,
      NPT,
    );
    done(g, g.machine.host.swapOut(hvaAt(g, PAGE)));
    const saved = g.machine.save();
    const outcome = (): unknown => [g.halt(), g.exits, faults(g), g.machine.accelerator.registers().rip, g.epte(PAGE)];
    const first = outcome();
    g.machine.restore(saved);
    assert.equal(g.epte(PAGE), 0n);
    assert.deepEqual(outcome(), first);
  });
});
