import assert from 'node:assert/strict';
import { assemble } from '../../../src/asm/index';
import { hpa } from '../../../src/base/address';
import { Cpu, type CpuStop } from '../../../src/hw/cpu/cpu';
import { PAGEWALK_X64 } from '../../../src/hw/cpu/cpuid-model';
import { setLong64 } from '../../../src/hw/cpu/system/reset';
import { HostMemory } from '../../../src/hw/memory/host-memory';
import { TableBuilder } from '../support/tables';

const ROOT = 0x10_0000n;
const ORIGIN = 0x8000n;

/** A bare CPU in 64-bit mode, 2 MiB identity-mapped in 4 KiB pages, the source at 0x8000. */
function boot(source: string): Cpu {
  const memory = new HostMemory(0n, 8 << 20);
  const tables = new TableBuilder(memory, ROOT + 4096n);
  for (let a = 0n; a < 0x20_0000n; a += 4096n) tables.map(ROOT, a, a, 3n);
  const a = assemble(`bits 64\norg 0x8000\n${source}`, { fileName: 'guest.asm' });
  assert.deepEqual(a.diagnostics, []);
  memory.write(hpa(ORIGIN), a.image);
  const cpu = new Cpu(memory, 0, PAGEWALK_X64, { tlbEntries: 64, tlbWays: 4 });
  setLong64(cpu.state, ORIGIN, ROOT);
  cpu.state.set(4, 0x7000n);
  cpu.mmu.controlsChanged();
  return cpu;
}
function finish(cpu: Cpu, slice = 1_000_000): CpuStop {
  for (let i = 0; i < 100_000; i++) {
    const stop = cpu.run(slice);
    if (stop.kind !== 'budget') return stop;
  }
  throw new Error('the guest does not end');
}

describe('CPU', () => {
  const LOOP = `
      mov rcx, 300
      mov rdi, 0x20000
  l:  mov [rdi], rcx
      add rdi, 264
      test rcx, 7
      jnz s
      call f
  s:  dec rcx
      jnz l
      hlt
      times 4096-($-$$) nop
  f:  add rax, [rdi-264]
      ret`;

  it('is the same stepped as run: registers, memory, retired instructions, TLB hits, references', () => {
    const whole = boot(LOOP);
    const stepped = boot(LOOP);
    assert.equal(finish(whole).kind, 'halt');
    assert.equal(finish(stepped, 1).kind, 'halt');
    assert.equal(stepped.retired, whole.retired);
    assert.deepEqual([stepped.tlb.hits, stepped.tlb.misses], [whole.tlb.hits, whole.tlb.misses]);
    assert.deepEqual(stepped.counters, whole.counters);
    assert.deepEqual(stepped.state.save().subarray(0, 18 * 8), whole.state.save().subarray(0, 18 * 8));
    assert.deepEqual(stepped.memory.u8.subarray(0x10_0000), whole.memory.u8.subarray(0x10_0000));
  });

  it('runs what was just written, in the same block and in another', () => {
    const cpu = boot(`
      xor edx, edx
      mov byte [rel patch + 1], 7   ; an instruction further down in this block
      nop
  patch: mov al, 1
      lea rbx, [rel target]
      call rbx
      mov byte [rel target + 1], 9
      call rbx
      hlt
  target: mov cl, 5
      add dl, cl
      ret`);
    assert.equal(finish(cpu).kind, 'halt');
    assert.equal(cpu.state.get(0), 7n);
    assert.equal(cpu.state.get(2), 14n);
  });

  it('stops before a breakpoint, once, and at every later pass', () => {
    const cpu = boot('mov ecx, 3\nl: dec ecx\njnz l\nhlt');
    cpu.breakpoints.add(ORIGIN + 5n);
    const seen: bigint[] = [];
    for (;;) {
      const stop = cpu.run(2);
      if (stop.kind === 'breakpoint') seen.push(cpu.state.get(1));
      else if (stop.kind !== 'budget') break;
    }
    assert.deepEqual(seen, [3n, 2n, 1n]);
    const passing = boot('nop\nnop\nhlt');
    passing.breakpoints.add(ORIGIN);
    passing.passBreakpoint();
    assert.equal(finish(passing).kind, 'halt');
  });

  it('a repeated string instruction retires once, and a fault leaves its progress', () => {
    const cpu = boot('mov ecx, 5000\nmov edi, 0x1ff000\nmov al, 0x5a\ncld\nrep stosb\nhlt');
    const faults: bigint[] = [];
    cpu.faultObserver = (e) => {
      faults.push(e.cr2 ?? -1n);
      return true;
    };
    assert.equal(finish(cpu).kind, 'fault');
    assert.deepEqual(faults, [0x20_0000n]);
    assert.equal(cpu.retired, 4n);
    assert.deepEqual([cpu.state.get(1), cpu.state.get(7)], [904n, 0x20_0000n]);
    assert.equal(cpu.memory.read8(hpa(0x1f_ffffn)), 0x5a);
  });

  it('an instruction across two pages is fetched from both', () => {
    const cpu = boot(`jmp x\ntimes 0xffb-($-$$) db 0x90\nx: mov rax, 0x1122334455667788\nhlt`);
    assert.equal(finish(cpu).kind, 'halt');
    assert.equal(cpu.state.get(0), 0x1122_3344_5566_7788n);
  });

  it('an exception without an IDT ends in shutdown', () => {
    assert.equal(finish(boot('ud2')).kind, 'shutdown');
  });

  it('goes on from a snapshot as it did before', () => {
    const cpu = boot(LOOP);
    cpu.run(500);
    const saved = { cpu: cpu.save(), memory: cpu.memory.u8.slice() };
    finish(cpu);
    const end = [cpu.retired, cpu.tlb.hits, cpu.tlb.misses, cpu.state.get(0)];
    cpu.memory.u8.set(saved.memory);
    cpu.restore(saved.cpu);
    finish(cpu);
    assert.deepEqual([cpu.retired, cpu.tlb.hits, cpu.tlb.misses, cpu.state.get(0)], end);
  });
});
