/**
 * SVM by its own instructions, as code on a bare CPU executes them: AMD APM vol. 2, chapter 15, and vol. 3 for each instruction. No hypervisor of ours is involved: the host is
 * the assembly of each test.
 */
import assert from 'node:assert/strict';
import { assemble } from '../../../src/asm/index';
import { hpa } from '../../../src/base/address';
import { Cpu, type CpuStop } from '../../../src/hw/cpu/cpu';
import { PAGEWALK_SVM, PAGEWALK_X64 } from '../../../src/hw/cpu/cpuid-model';
import { setRealMode } from '../../../src/hw/cpu/system/reset';
import { HostMemory } from '../../../src/hw/memory/host-memory';
import { SEG, SLOT } from '../../../src/hw/state/layout';
import { Vmcb } from '../../../src/hw/svm/vmcb';
import { VECTOR, vectorName } from '../../../src/isa/exceptions';
import { SVM_EXIT, SVM_EXIT_BASE, SVM_INVALID, svmExitName } from '../../../src/isa/svm-exits';
import { VINTR, type VmcbFieldName } from '../../../src/isa/vmcb-fields';

const GDT = 0x1000n;
const IDT = 0x2000n;
const TABLES = 0x10_000n;
const VMCB_AT = 0x20_000n;
const HOST_SAVE = 0x21_000n;
const MAPS = 0x22_000n;
const OTHER = 0x28_000n;
const LOG = 0x30_000n;
const RIP = 0x8000n;
const EFER = 0x1500n;
const CODE64 = { selector: 8, base: 0n, limit: 0xffff_ffff, rights: 0xa09b };
const DATA = { selector: 0x10, base: 0n, limit: 0xffff_ffff, rights: 0xc093 };
const PENDING = 0x100;

type Fields = Readonly<Partial<Record<VmcbFieldName, bigint>>>;
/** Bit of word 3 or 4 of the intercepts. */
const intercept = (...codes: number[]): Fields => {
  const word = (first: number): bigint =>
    codes.filter((c) => c >= first && c < first + 32).reduce((m, c) => m | (1n << BigInt(c - first)), 0n);
  return { INTERCEPT_MISC1: word(0x60), INTERCEPT_MISC2: word(0x80) | 3n };
};

/**
 * A CPU in 64-bit mode over the first 2 MiB, with `source` at RIP: the host begins at its start, a guest at `guest`. Interrupt handlers log their vector at LOG, R15 pointing behind
 * the last.
 */
class Bench {
  readonly memory = new HostMemory(0n, 4 << 20);
  readonly cpu: Cpu;
  readonly vmcb: Vmcb;
  readonly other: Vmcb;
  private readonly symbols: ReadonlyMap<string, bigint>;

  constructor(source: string, fields: Fields = {}, model = PAGEWALK_SVM) {
    const { memory } = this;
    const full = `bits 64\norg ${RIP}\n${source}\n${[2, 0x40, 0x50].map((v) => `handler${v}:\n mov byte [r15], ${v}\n inc r15\n iretq`).join('\n')}\n`;
    const out = assemble(full, { fileName: 'host.asm' });
    assert.deepEqual(out.diagnostics, []);
    this.symbols = new Map(out.symbols.map((s) => [s.name, s.value]));
    memory.write(hpa(RIP), out.image);
    memory.write64(hpa(TABLES), (TABLES + 0x1000n) | 7n);
    memory.write64(hpa(TABLES + 0x1000n), (TABLES + 0x2000n) | 7n);
    memory.write64(hpa(TABLES + 0x2000n), 0x87n);
    memory.write64(hpa(GDT + 8n), 0x00af_9b00_0000_ffffn);
    memory.write64(hpa(GDT + 16n), 0x00cf_9300_0000_ffffn);
    for (const v of [2, 0x40, 0x50])
      memory.write64(hpa(IDT + BigInt(v) * 16n), this.at(`handler${v}`) | (8n << 16n) | (0x8en << 40n));

    this.cpu = new Cpu(memory, 0, model, { tlbEntries: 64, tlbWays: 4 });
    const s = this.cpu.state;
    for (const [slot, value] of [
      [SLOT.CR0, 0x8000_0011n],
      [SLOT.CR4, 0x20n],
      [SLOT.CR3, TABLES],
      [SLOT.EFER, EFER],
      [SLOT.GDTR_BASE, GDT],
      [SLOT.IDTR_BASE, IDT],
      [SLOT.VM_HSAVE_PA, HOST_SAVE],
    ] as const)
      s.set(slot, value);
    s.set32(SLOT.GDTR_LIMIT, 0x1f);
    s.set32(SLOT.IDTR_LIMIT, 0xfff);
    for (const i of [SEG.ES, SEG.SS, SEG.DS, SEG.FS, SEG.GS]) s.setSegment(i, DATA);
    s.setSegment(SEG.CS, CODE64);
    s.cpl = 0;
    s.rip = RIP;
    s.rflags = 2n;
    s.set(4, 0x7000n);
    s.set(15, LOG);
    this.cpu.mmu.controlsChanged();
    this.cpu.faultObserver = () => true;

    this.vmcb = new Vmcb(memory, hpa(VMCB_AT));
    this.other = new Vmcb(memory, hpa(OTHER));
    const guest: Fields = {
      ...intercept(),
      GUEST_ASID: 1n,
      MSRPM_BASE_PA: MAPS,
      IOPM_BASE_PA: MAPS,
      EFER,
      CR0: 0x8000_0011n,
      CR3: TABLES,
      CR4: 0x20n,
      DR6: 0xffff_0ff0n,
      DR7: 0x400n,
      RFLAGS: 2n,
      RSP: 0x6000n,
      RIP: this.symbols.get('guest') ?? RIP,
      GDTR_BASE: GDT,
      GDTR_LIMIT: 0x1fn,
      IDTR_BASE: IDT,
      IDTR_LIMIT: 0xfffn,
      CS_SELECTOR: 8n,
      CS_ATTRIB: 0xa9bn,
      CS_LIMIT: 0xffff_ffffn,
      ...fields,
    };
    for (const seg of ['SS', 'DS', 'ES'] as const) {
      this.vmcb.write(`${seg}_SELECTOR`, 0x10n);
      this.vmcb.write(`${seg}_ATTRIB`, 0xc93n);
      this.vmcb.write(`${seg}_LIMIT`, 0xffff_ffffn);
    }
    for (const [name, value] of Object.entries(guest)) this.vmcb.write(name as VmcbFieldName, value);
  }
  at(label: string): bigint {
    const value = this.symbols.get(label);
    assert.ok(value !== undefined, label);
    return value;
  }
  run(budget = 1000): CpuStop {
    return this.cpu.run(budget);
  }
  /** Runs to the host's HLT. The exit by its name. */
  exit(): string {
    const stop = this.run();
    assert.equal(
      stop.kind,
      'halt',
      JSON.stringify(stop, (_, v: unknown) => (typeof v === 'bigint' ? v.toString(16) : v)),
    );
    assert.equal(this.cpu.svm.inGuest, false);
    return svmExitName(Number(BigInt.asIntN(64, this.vmcb.read('EXITCODE'))));
  }
  /** Vectors that handlers logged. */
  get log(): number[] {
    return [...this.memory.read(hpa(LOG), Number(this.cpu.state.get(15) - LOG))];
  }
}
/** What the first instruction raises; 'ok' where it does not. */
function raised(b: Bench): string {
  const stop = b.run(1);
  if (stop.kind !== 'fault') return 'ok';
  const { vector, errorCode } = stop.event;
  return errorCode === undefined ? vectorName(vector) : `${vectorName(vector)}(${errorCode})`;
}

const INSTRUCTIONS = ['vmrun', 'vmload', 'vmsave', 'stgi', 'clgi', 'invlpga'] as const;
/** Bytes 0F 01 D8 and on, in the order of the map. */
const OPCODE: Readonly<Record<string, number>> = {
  vmrun: 0xd8,
  vmmcall: 0xd9,
  vmload: 0xda,
  vmsave: 0xdb,
  stgi: 0xdc,
  clgi: 0xdd,
  skinit: 0xde,
  invlpga: 0xdf,
};
const source = (name: string): string => `db 0x0f, 0x01, ${OPCODE[name]}`;
const HOST = `mov rax, ${VMCB_AT}\n db 0x0f, 0x01, 0xd8\nbehind: hlt\n`;

describe('SVM instructions (APM vol. 3)', () => {
  it('are #UD without EFER.SVME, in real mode and on a processor without SVM; #GP(0) above CPL 0', () => {
    for (const name of INSTRUCTIONS) {
      const what = (b: Bench): string => {
        b.cpu.state.set(0, VMCB_AT);
        return `${name} ${raised(b)}`;
      };
      const off = new Bench(source(name));
      off.cpu.state.set(SLOT.EFER, 0x500n);
      assert.equal(what(off), `${name} #UD`);
      const real = new Bench(source(name));
      setRealMode(real.cpu.state, 0, 0x8000);
      real.cpu.state.set(SLOT.CR0, 0x10n);
      real.cpu.state.set(SLOT.EFER, 0x1000n);
      real.cpu.mmu.controlsChanged();
      assert.equal(what(real), `${name} #UD`);
      const intel = new Bench(source(name), {}, PAGEWALK_X64);
      assert.equal(what(intel), `${name} #UD`);
      const user = new Bench(source(name));
      user.cpu.state.cpl = 3;
      assert.equal(what(user), `${name} #GP(0)`);
      assert.equal(what(new Bench(source(name), { RIP })), `${name} ok`);
    }
  });
  it('SKINIT is not offered by CPUID: #UD', () => {
    const b = new Bench(source('skinit'));
    assert.equal(raised(b), '#UD');
    assert.equal((b.cpu.model.leaf(0x8000_0001, 0)[2] >>> 12) & 1, 0);
  });
  it('VMMCALL outside a guest is #UD at any level', () => {
    assert.equal(raised(new Bench(source('vmmcall'))), '#UD');
  });
  it('VMRUN, VMLOAD and VMSAVE want the address of a page of memory: #GP(0)', () => {
    for (const name of ['vmrun', 'vmload', 'vmsave'])
      for (const address of [VMCB_AT + 8n, 1n << 48n, 1n << 40n]) {
        const b = new Bench(source(name));
        b.cpu.state.set(0, address);
        assert.equal(`${name} ${raised(b)}`, `${name} #GP(0)`);
      }
  });
  it('rAX is as wide as the address size', () => {
    const b = new Bench(`mov rax, ${(1n << 40n) | VMCB_AT}\ndb 0x67\n${source('vmsave')}\nhlt`);
    b.cpu.state.set(SLOT.STAR, 0x1234n);
    assert.equal(b.run().kind, 'halt');
    assert.equal(b.vmcb.read('STAR'), 0x1234n);
  });
});

describe('VMRUN and #VMEXIT (15.5, 15.6)', () => {
  it('switches what the manual lists, and leaves the rest', () => {
    const b = new Bench(`${HOST}guest: mov eax, 0x1234\nmov ebx, 5\nmov esp, 0x5000\nlast: db 0x0f, 0x01, 0xd9`);
    b.cpu.state.rflags = 0x203n;
    assert.equal(b.exit(), 'VMMCALL');
    const { state } = b.cpu;
    assert.deepEqual(
      [state.get(0), state.get(3), state.get(4), state.rip - 1n],
      [VMCB_AT, 5n, 0x7000n, b.at('behind')],
    );
    assert.deepEqual([b.vmcb.read('RIP'), b.vmcb.read('NRIP')], [b.at('last'), b.at('last') + 3n]);
    assert.deepEqual([b.vmcb.read('RAX'), b.vmcb.read('RSP')], [0x1234n, 0x5000n]);
    // IF is the host's again, and GIF keeps interrupts away
    assert.deepEqual([state.rflags & 0x201n, b.cpu.svm.gif], [0x201n, false]);
  });
  it('VMEXIT_INVALID for a state that its checks refuse: the host goes on with GIF clear', () => {
    const bad: readonly Fields[] = [
      { EFER: 0x500n },
      { GUEST_ASID: 0n },
      { INTERCEPT_MISC2: 0n },
      { CR0: 0xa000_0011n },
      { CR4: 0n },
      { CS_ATTRIB: 0xe9bn },
      { EVENTINJ: 0x8000_0302n },
    ];
    for (const fields of bad) {
      const b = new Bench(`${HOST}guest: hlt`, fields);
      assert.equal(b.exit(), 'INVALID');
      assert.equal(b.vmcb.read('EXITCODE'), SVM_INVALID);
      assert.equal(b.cpu.svm.gif, false);
    }
  });
  it('an instruction whose intercept is set exits before it does anything; else it is done in the guest', () => {
    const cases: readonly (readonly [code: number, insn: string, free: string])[] = [
      [SVM_EXIT.VMRUN, source('vmrun'), ''],
      [SVM_EXIT.VMLOAD, source('vmload'), 'VMMCALL'],
      [SVM_EXIT.VMSAVE, source('vmsave'), 'VMMCALL'],
      [SVM_EXIT.STGI, source('stgi'), 'VMMCALL'],
      [SVM_EXIT.CLGI, source('clgi'), 'VMMCALL'],
      [SVM_EXIT.INVLPGA, source('invlpga'), 'VMMCALL'],
      [SVM_EXIT.CPUID, 'cpuid', 'VMMCALL'],
      [SVM_EXIT.RDTSC, 'rdtsc', 'VMMCALL'],
      [SVM_EXIT.PUSHF, 'pushfq', 'VMMCALL'],
      [SVM_EXIT.POPF, 'push rbp\nhere: popfq', 'VMMCALL'],
      [SVM_EXIT.PAUSE, 'pause', 'VMMCALL'],
      [SVM_EXIT.INVLPG, 'invlpg [rax]', 'VMMCALL'],
      [SVM_EXIT.WBINVD, 'wbinvd', 'VMMCALL'],
      [SVM_EXIT.INVD, 'invd', 'VMMCALL'],
    ];
    for (const [code, insn, free] of cases) {
      const text = `${HOST}guest: mov eax, ${OTHER}\nmov ebp, 2\n${insn.includes('here:') ? '' : 'here: '}${insn}\n db 0x0f, 0x01, 0xd9`;
      const b = new Bench(text, intercept(code));
      assert.equal(b.exit(), svmExitName(code));
      assert.equal(b.vmcb.read('RIP'), b.at('here'), insn);
      if (free !== '') assert.equal(new Bench(text).exit(), free, insn);
    }
  });
  it('VMMCALL that is not intercepted is #UD in the guest, which may be intercepted itself', () => {
    const b = new Bench(`${HOST}guest: db 0x0f, 0x01, 0xd9`, {
      INTERCEPT_MISC2: 1n,
      INTERCEPT_EXCEPTION: 1n << BigInt(VECTOR.UD),
    });
    assert.equal(b.exit(), svmExitName(SVM_EXIT_BASE.EXCP + VECTOR.UD));
  });
});

describe('VMLOAD and VMSAVE (15.5.2)', () => {
  it('move FS, GS, TR, LDTR and the MSRs of system calls, and nothing else', () => {
    const b = new Bench(`mov eax, ${OTHER}\n${source('vmload')}\nmov eax, ${VMCB_AT}\n${source('vmsave')}\nhlt`);
    const values: Fields = {
      FS_SELECTOR: 0x33n,
      FS_ATTRIB: 0xcf3n,
      FS_LIMIT: 0xffffn,
      FS_BASE: 0xffff_8000_0000_1000n,
      GS_SELECTOR: 0x3bn,
      GS_ATTRIB: 0xcf3n,
      GS_LIMIT: 0xfffn,
      GS_BASE: 0x2000n,
      TR_SELECTOR: 0x40n,
      TR_ATTRIB: 0x8bn,
      TR_LIMIT: 0x67n,
      TR_BASE: 0x3000n,
      LDTR_SELECTOR: 0x50n,
      LDTR_ATTRIB: 0x82n,
      LDTR_LIMIT: 0x1fn,
      LDTR_BASE: 0x4000n,
      KERNEL_GS_BASE: 0x5000n,
      STAR: 1n << 40n,
      LSTAR: 0x6000n,
      CSTAR: 0x7000n,
      SFMASK: 0x200n,
      SYSENTER_CS: 8n,
      SYSENTER_ESP: 0x8000n,
      SYSENTER_EIP: 0x9000n,
    };
    for (const [name, value] of Object.entries(values)) b.other.write(name as VmcbFieldName, value);
    b.other.write('CR2', 0x1234n);
    assert.equal(b.run().kind, 'halt');
    for (const [name, value] of Object.entries(values)) assert.equal(b.vmcb.read(name as VmcbFieldName), value, name);
    assert.equal(b.vmcb.read('CR2'), 0n);
    assert.deepEqual(b.cpu.state.segment(SEG.GS), { selector: 0x3b, base: 0x2000n, limit: 0xfff, rights: 0xc0f3 });
  });
});

describe('GIF (15.17)', () => {
  it('CLGI holds interrupts and NMIs back until STGI', () => {
    const b = new Bench(`sti\nnop\n${source('clgi')}\nheld: nop\nnop\n${source('stgi')}\nnop\ncli\nhlt`);
    b.run(3);
    assert.equal(b.cpu.state.rip, b.at('held'));
    b.cpu.state.set32(SLOT.PENDING_INTR, PENDING | 0x40);
    b.cpu.state.set32(SLOT.PENDING_NMI, 1);
    b.run(2);
    assert.deepEqual(b.log, []);
    assert.equal(b.run().kind, 'halt');
    assert.deepEqual(b.log, [2, 0x40]);
  });
});

describe('virtual interrupts (15.21)', () => {
  const vintr = (priority: number, more = 0n): bigint =>
    VINTR.IRQ | (BigInt(priority) << VINTR.PRIO_SHIFT) | (0x50n << VINTR.VECTOR_SHIFT) | more;
  const guest = `${HOST}guest: nop\nenable: sti\nnop\nnop\n db 0x0f, 0x01, 0xd9`;

  it("V_IRQ is taken through the guest's IDT once IF allows, and is then clear", () => {
    const b = new Bench(guest, { VINTR: vintr(8) });
    assert.equal(b.exit(), 'VMMCALL');
    assert.deepEqual([b.log, b.vmcb.read('VINTR') & VINTR.IRQ], [[0x50], 0n]);
  });
  it('waits while its priority is not above V_TPR, unless that is ignored', () => {
    for (const [priority, tpr, more, taken] of [
      [5, 5n, 0n, false],
      [5, 4n, 0n, true],
      [5, 15n, VINTR.IGN_TPR, true],
    ] as const) {
      const b = new Bench(guest, { VINTR: vintr(priority, VINTR.MASKING | tpr | more) });
      assert.equal(b.exit(), 'VMMCALL');
      assert.deepEqual(b.log, taken ? [0x50] : []);
      assert.equal((b.vmcb.read('VINTR') & VINTR.IRQ) !== 0n, !taken, 'V_IRQ of one that waits stays');
      assert.equal(b.vmcb.read('VINTR') & VINTR.TPR, tpr);
    }
  });
  it('with the VINTR intercept the guest exits where it would take it: behind the shadow of STI', () => {
    const b = new Bench(guest, { ...intercept(SVM_EXIT.VINTR), VINTR: vintr(8) });
    assert.equal(b.exit(), 'VINTR');
    assert.deepEqual([b.vmcb.read('RIP'), b.log], [b.at('enable') + 2n, []]);
    assert.notEqual(b.vmcb.read('VINTR') & VINTR.IRQ, 0n);
  });
  it("with V_INTR_MASKING MOV to CR8 is the guest's V_TPR; the host's CR8 stays", () => {
    const b = new Bench(`${HOST}guest: mov eax, 7\nmov cr8, rax\n db 0x0f, 0x01, 0xd9`, { VINTR: VINTR.MASKING | 3n });
    b.cpu.state.set(SLOT.CR8, 2n);
    assert.equal(b.exit(), 'VMMCALL');
    assert.deepEqual([b.vmcb.read('VINTR') & VINTR.TPR, b.cpu.state.get(SLOT.CR8)], [7n, 2n]);
  });
});

describe('physical interrupts while a guest runs (15.13, 15.21.1)', () => {
  const guest = `${HOST}guest: nop\nnop\nnop\n db 0x0f, 0x01, 0xd9`;
  const pending = (b: Bench, hostIf: boolean): Bench => {
    b.cpu.state.rflags = hostIf ? 0x202n : 2n;
    b.run(2);
    assert.equal(b.cpu.svm.inGuest, true);
    b.cpu.state.set32(SLOT.PENDING_INTR, PENDING | 0x40);
    return b;
  };
  it("without masking the guest's IF decides, and the guest's IDT takes what is not intercepted", () => {
    assert.equal(pending(new Bench(guest, { RFLAGS: 0x202n }), true).exit(), 'VMMCALL');
    const b = pending(new Bench(guest, { RFLAGS: 0x202n }), true);
    b.exit();
    assert.deepEqual(b.log, [0x40]);
    const closed = pending(new Bench(guest, intercept(SVM_EXIT.INTR)), true);
    assert.equal(closed.exit(), 'VMMCALL');
    assert.equal(pending(new Bench(guest, { ...intercept(SVM_EXIT.INTR), RFLAGS: 0x202n }), false).exit(), 'INTR');
  });
  it("with masking the host's IF at VMRUN decides, whatever the guest's is", () => {
    const fields = { ...intercept(SVM_EXIT.INTR), VINTR: VINTR.MASKING };
    assert.equal(pending(new Bench(guest, fields), true).exit(), 'INTR');
    assert.equal(pending(new Bench(guest, { ...fields, RFLAGS: 0x202n }), false).exit(), 'VMMCALL');
  });
  it('after the exit it is still pending, and taken by the host with STGI', () => {
    const text = `mov rax, ${VMCB_AT}\n db 0x0f, 0x01, 0xd8\n${source('stgi')}\nnop\ncli\nhlt\nguest: nop\nnop\nnop\n db 0x0f, 0x01, 0xd9`;
    const b = pending(new Bench(text, { ...intercept(SVM_EXIT.INTR), VINTR: VINTR.MASKING }), true);
    assert.equal(b.exit(), 'INTR');
    assert.deepEqual(b.log, [0x40]);
  });
});

describe('virtual NMIs (15.21.10)', () => {
  const guest = `${HOST}guest: nop\nnop\n db 0x0f, 0x01, 0xd9`;
  it('V_NMI is taken where V_NMI_MASK is clear; IRET clears the mask', () => {
    const b = new Bench(guest, { VINTR: VINTR.NMI_ENABLE | VINTR.NMI });
    assert.equal(b.exit(), 'VMMCALL');
    assert.deepEqual([b.log, b.vmcb.read('VINTR') & (VINTR.NMI | VINTR.NMI_MASK)], [[2], 0n]);
    const masked = new Bench(guest, { VINTR: VINTR.NMI_ENABLE | VINTR.NMI | VINTR.NMI_MASK });
    assert.equal(masked.exit(), 'VMMCALL');
    assert.deepEqual(
      [masked.log, masked.vmcb.read('VINTR') & (VINTR.NMI | VINTR.NMI_MASK)],
      [[], VINTR.NMI | VINTR.NMI_MASK],
    );
  });
  it('V_NMI_MASK is set while the handler runs, and tells so at an exit', () => {
    const b = new Bench(guest, { VINTR: VINTR.NMI_ENABLE | VINTR.NMI, ...intercept(SVM_EXIT.IRET) });
    assert.equal(b.exit(), 'IRET');
    assert.equal(b.vmcb.read('VINTR') & (VINTR.NMI | VINTR.NMI_MASK), VINTR.NMI_MASK);
  });
});

describe('INVLPGA (15.16.4)', () => {
  it("drops the page of the ASID that ECX names, and no other's", () => {
    const page = 0x9_0000n;
    for (const asid of [0, 1]) {
      // the host has the page cached as ASID 0 and, by the guest, as ASID 1
      const text = `mov rbx, [${page}]\nmov rax, ${VMCB_AT}\n db 0x0f, 0x01, 0xd8\nmov rax, ${page}\nmov ecx, ${asid}\n${source('invlpga')}\nhlt\nguest: mov rbx, [${page}]\n db 0x0f, 0x01, 0xd9`;
      const b = new Bench(text);
      const before = (): number[] =>
        b.cpu.tlb
          .entries()
          .filter((e) => e.linear === (page & ~0x1f_ffffn) || e.linear === page)
          .map((e) => e.vpid);
      assert.equal(b.exit(), 'VMMCALL');
      assert.deepEqual(before(), [1 - asid]);
    }
  });
});
