import * as assert from 'node:assert/strict';
import fc from 'fast-check';
import { gpa } from '../../src/base/address';
import { commitRegisters } from '../../src/kvm/x86/sregs';
import { elfImage, flatImage, type GuestImage } from '../../src/vmm/loader/image';
import { Machine } from '../../src/vmm/machine';
import { DEFAULT_OPTIONS, type MachineOptions } from '../../src/vmm/options';
import { Guest } from './support/guest';

const HLT = Uint8Array.of(0xf4);
const NO_SINKS = { serial: (): void => undefined, debugcon: (): void => undefined };
const MIB = 1n << 20n;

function image(bytes = HLT, origin = 0x10_0000n): GuestImage {
  const made = flatImage(bytes, 'flat64', { file: 'guest.bin', origin });
  assert.ok(made.ok);
  return made.value;
}
function refused(options: Partial<MachineOptions>, guest = image()): string {
  const made = Machine.create({ ...DEFAULT_OPTIONS, ...options }, guest, NO_SINKS);
  assert.ok(!made.ok, 'the machine is refused');
  return made.error.map((d) => `${d.file} ${d.code} ${d.message}`).join('\n');
}
const slot = (at: bigint, size: bigint, readonly = false): MachineOptions['slots'][number] => ({
  gpa: at,
  size,
  readonly,
});

/** A guest that touches pages, uses ports, CPUID and MMIO, and computes something from all of it. */
const BUSY = `
  mov rsi, 0x150000
  mov r12, 40
again:
  mov rdi, r12
  shl rdi, 12
  mov [0x170000 + rdi], r12
  mov eax, [rsi]
  add r13, rax
  xor eax, eax
  cpuid
  add r13, rcx
  mov al, r12b
  out 0xe9, al
  mov [rsi + 8], r13d
  dec r12
  jnz again
  hlt`;
const BUSY_SLOTS = { slots: [slot(0n, 0x14_0000n), slot(0x16_0000n, 0x20_0000n)] };

function outcome(g: Guest): unknown {
  const { machine } = g;
  return {
    registers: g.gprs(),
    exits: g.exits,
    stats: g.stats,
    instructions: machine.instructions,
    references: machine.references,
    counters: { ...machine.cpu.counters },
    cycles: machine.cycles,
    debugcon: g.debugcon,
    log: machine.exits.recent(10_000).map((e) => [e.name, e.rip, e.gpa, e.instructions]),
  };
}

describe('a machine', () => {
  it('comes out the same however the run is sliced', () => {
    const whole = new Guest(BUSY, 'flat64', BUSY_SLOTS);
    whole.halt();
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 97 }), { minLength: 1, maxLength: 5 }), (slices) => {
        const g = new Guest(BUSY, 'flat64', BUSY_SLOTS);
        for (let i = 0; g.machine.run(slices[i % slices.length] ?? 1).kind !== 'end'; i++) assert.ok(i < 100_000);
        assert.deepEqual(outcome(g), outcome(whole));
      }),
      { seed: 3, numRuns: 4 },
    );
  });

  it('goes on from a snapshot as it did before, host memory and all', () => {
    const g = new Guest(BUSY, 'flat64', BUSY_SLOTS);
    assert.equal(g.machine.run(150).kind, 'budget');
    const saved = g.machine.save();
    const shown = g.debugcon;
    g.halt();
    const first = outcome(g);
    g.machine.restore(saved);
    g.debugcon = shown;
    assert.equal(g.machine.ended, undefined);
    g.halt();
    assert.deepEqual(outcome(g), first);
  });

  it('stops at an exit before anything is done about it, and goes through it step by step', () => {
    const g = new Guest('mov rax, [0x200000]\n hlt');
    g.machine.pauseAtExits = (e) => e.gpa === 0x20_0000n;
    const stop = g.stop();
    assert.ok(stop.kind === 'exit-pending');
    assert.deepEqual([stop.exit.name, stop.exit.gva, g.machine.exits.count], ['EPT_VIOLATION', 0x20_0000n, 7]);
    assert.equal(g.epte(0x20_0000n), 0n);
    assert.equal(g.machine.vcpu.registers().rip, 0x10_0000n, 'the guest stands at the instruction');
    const fns: string[] = [];
    for (let s = g.machine.stepActivity(); s; s = g.machine.stepActivity()) fns.push(s.fn);
    assert.equal(fns[0], 'VM exit');
    assert.equal(fns.at(-1), 'VMRESUME');
    assert.equal(g.machine.active, false);
    assert.notEqual(g.epte(0x20_0000n), 0n);
    g.machine.pauseAtExits = undefined;
    g.halt();
  });

  it('stops at breakpoints, and passes the one it stands at', () => {
    const g = new Guest('mov ecx, 3\nl: dec ecx\n jnz l\n hlt');
    const at = g.symbols.get('l') ?? 0n;
    g.machine.cpu.breakpoints.add(at);
    for (const left of [3n, 2n, 1n]) {
      const stop = g.stop();
      assert.ok(stop.kind === 'breakpoint' && stop.linear === at, stop.kind);
      assert.equal(g.machine.vcpu.registers().get(1), left);
    }
    g.halt();
  });

  it('ends at the instruction limit, and a guest that spins gives its budget back', () => {
    const limited = new Guest('jmp $', 'flat64', { maxInstructions: 1000 }).end();
    assert.deepEqual([limited.kind, limited.code], ['limit', 6]);
    const g = new Guest('jmp $');
    assert.equal(g.machine.run(5000).kind, 'budget');
    assert.equal(g.machine.run(5000).kind, 'budget');
  });

  it('ends with the exit code that the guest writes, as isa-debug-exit does', () => {
    const end = new Guest('mov al, 0x10\n out 0xf4, al').end();
    assert.deepEqual([end.kind, end.code], ['exit-port', 0x21]);
  });

  it('names the BIOS call that nobody serves', () => {
    const end = new Guest('mov ah, 0x0e\n int 0x10\n times 510-($-$$) db 0\n dw 0xaa55', 'boot').end();
    assert.deepEqual([end.kind, end.code], ['internal-error', 8]);
    assert.match(end.why, /INT 10h with AH = 0Eh: there is no BIOS yet/);
  });

  it('reproduces a worked example to the digit', () => {
    // GPA 0x12345100: EPT indices 0/0/145/325, HPA 0x1a2b3100
    const g = new Guest('mov rax, [0x12345100]\n hlt', 'flat64', {
      memory: 512n * MIB,
      hostBase: 0n,
      placements: [{ hva: 0x7f5a_1234_5000n, hpa: 0x1a2b_3000n }],
    });
    g.halt();
    assert.deepEqual(g.machine.vm.lookup(gpa(0x1234_5100n)), {
      slot: 0,
      readonly: false,
      hva: 0x7f5a_1234_5100n,
      hpa: 0x1a2b_3100n,
    });
    const walk = g.machine.vm.mmu.read(gpa(0x1234_5100n));
    assert.deepEqual(
      walk.map((e) => e.index),
      [0, 0, 145, 325],
    );
    assert.equal((walk[3]?.value ?? 0n) & 0xf_ffff_ffff_f000n, 0x1a2b_3000n);
    const probe = g.machine.vcpu.probe(0x1234_5100n, { op: 'read', user: false, implicit: false });
    assert.deepEqual([probe.ok, probe.gpa, probe.hpa, probe.references], [true, 0x1234_5100n, 0x1a2b_3100n, 24]);
  });

  it('probes the guest in the middle of an exit as well as outside', () => {
    const g = new Guest('out 0x80, al\n hlt');
    g.machine.pauseAtExits = (e) => e.name === 'IO_INSTRUCTION';
    g.stop();
    const access = { op: 'fetch', user: false, implicit: false } as const;
    assert.equal(g.machine.vcpu.running, false);
    const inside = g.machine.vcpu.probe(0x10_0000n, access);
    while (g.machine.stepActivity());
    assert.equal(g.machine.vcpu.running, true);
    assert.deepEqual(g.machine.vcpu.probe(0x10_0000n, access), inside);
    assert.equal(inside.references, 24);
  });

  it('lets registers be edited inside and outside an exit', () => {
    const g = new Guest('out 0x80, al\n mov rbx, rax\n hlt');
    g.machine.pauseAtExits = (e) => e.name === 'IO_INSTRUCTION';
    g.stop();
    g.machine.vcpu.registers().set(0, 0x1234n);
    commitRegisters(g.machine.vcpu);
    assert.equal(g.halt()[3], 0x1234n);
  });

  it('runs read-only code and the TLB off, with the same result', () => {
    const a = new Guest(BUSY, 'flat64', BUSY_SLOTS);
    const b = new Guest(BUSY, 'flat64', { ...BUSY_SLOTS, tlb: 'off' });
    assert.deepEqual(a.halt(), b.halt());
    assert.ok(b.machine.references.guest > a.machine.references.guest, 'every access walks');
  });
});

describe('a machine is refused', () => {
  it('for wrong memory and slots', () => {
    assert.match(refused({ memory: 0n }), /PW400 memory=0x0/);
    assert.match(refused({ memory: 1n << 38n }), /PW400 start=flat64 .* 512 MiB of the host's 1024/);
    assert.match(refused({ memory: 4095n }), /PW400 memory=0xfff/);
    assert.match(
      refused({ slots: [slot(0n, MIB), slot(0x8_0000n, MIB)] }),
      /PW401 memory slot 1 \(0x80000-0x180000\) overlaps slot 0 \(0x0-0x100000\)/,
    );
    assert.match(refused({ slots: [slot(0x123n, MIB)] }), /PW401 slot 0 .* multiple of 4 KiB/);
    assert.match(refused({ memory: 0x4000n }, image(HLT, 0n)), /PW415 start=flat64: guest RAM is too small/);
    assert.match(refused({ memory: 0x10_1000n }), /guest.bin PW415 start=flat64: the image reaches 0x100000/);
  });

  it('for wrong host memory, placements, TLB shapes and what is not built', () => {
    assert.match(refused({ hostMemory: 4096 }), /PW402 host-memory=0x1000/);
    assert.match(refused({ hostBase: 0x123n }), /PW402 host-base/);
    assert.match(
      refused({ placements: [{ hva: 0x7f5a_0000_0000n, hpa: 0x1000n }] }),
      /PW403 .*no host memory at 0x1000/,
    );
    assert.match(
      refused({ placements: [{ hva: 0x7f5a_0000_0010n, hpa: 0x1_0000_1000n }] }),
      /PW403 .*differ within a page/,
    );
    assert.match(refused({ tlb: { entries: 100, ways: 3 } }), /PW404 tlb=100,3/);
    assert.match(refused({ cpus: 2 }), /PW405 cpus=2/);
    assert.match(
      refused({ hostPages: '2m', hvaBase: 0x7f5a_0000_1000n }),
      /PW400 pc.ram: 0x7f5a00001000 is not aligned to 2m pages/,
    );
  });

  it('for host memory that the guest fills before it runs', () => {
    // 1 MiB is 256 frames: from "just fits" to "does not fit at all", never an exception of ours
    for (let kib = 900; kib < 1040; kib += 4) {
      const made = Machine.create(
        { ...DEFAULT_OPTIONS, memory: 2n * MIB, hostMemory: 1 << 20, hostSwap: 0n },
        image(new Uint8Array(kib << 10), 0x1000n),
        NO_SINKS,
      );
      if (!made.ok)
        assert.match(made.error[0]?.message ?? '', /host memory is exhausted|is full once the guest is loaded/);
    }
  });

  it('for an image that does not fit, with what to do', () => {
    assert.match(
      refused({ memory: 4n * MIB }, image(new Uint8Array(4 << 20))),
      /guest.bin PW411 4194304 bytes loaded at 0x100000 end at 0x500000, and there is no guest RAM at 0x400000 .*make memory larger/,
    );
    assert.match(refused({ slots: [slot(0n, MIB), slot(2n * MIB, MIB)] }), /PW411 .* no guest RAM at 0x100000/);
  });

  it('for images that are none', () => {
    const empty = flatImage(new Uint8Array(0), 'flat64', { file: 'x.bin' });
    assert.ok(!empty.ok && /PW410/.test(empty.error[0]?.code ?? ''));
    const unsigned = flatImage(new Uint8Array(512), 'boot', { file: 'x.bin' });
    assert.ok(!unsigned.ok && /55 AA/.test(unsigned.error[0]?.message ?? ''));
    const notElf = elfImage(HLT, 'x.elf');
    assert.ok(!notElf.ok && notElf.error[0]?.code === 'PW414');
  });
});
