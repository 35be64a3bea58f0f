/** What the host takes away between the steps of an exit and the entry that follows it: the guest is never entered with what is due still pending. */
import * as assert from 'node:assert/strict';
import { hpa, type Hpa } from '../../src/base/address';
import type { MachineOptions } from '../../src/vmm/options';
import { Guest } from '../vmm/support/guest';
import { done, hvaAt } from './support/paused';

const SHADOW = { mmu: 'shadow', hostBase: 0x4000_0000n } as const;
const METHODS: readonly (readonly [string, Partial<MachineOptions>])[] = [
  ['ept', { mmu: 'ept' }],
  ['npt', { mmu: 'npt', cpu: 'pagewalk-svm' }],
  ['shadow, classic', { ...SHADOW, shadow: 'classic' }],
  ['shadow, modern', { ...SHADOW, shadow: 'modern' }],
];
const PAGE = 0x30_0000n;
const OTHER = 0x30_1000n;
const RBX = 3;

/**
 * RDMSR exits, and its #GP is injected by the entry, so that there are steps after the flushes. All has happened twice already: pages and tables are in the TLB, and nothing exits between
 * the entry and the reads.
 */
const SOURCE = `
  mov rax, handler
  mov [idt + 16 * 13], ax
  mov dword [idt + 16 * 13 + 2], 0x8e000008
  shr rax, 16
  mov [idt + 16 * 13 + 6], ax
  lidt [idtr]
  mov qword [${PAGE}], 5
  mov qword [${OTHER}], 6
  mov r8d, 3
again:
  mov ecx, 0x12345
here: rdmsr
  hlt
handler:
  mov rbx, [${PAGE}]
  add rbx, [${OTHER}]
  dec r8d
  jz over
  add rsp, 8
  mov dword [rsp], again
  iretq
over: hlt
idtr: dw 16 * 32 - 1
  dq idt
align 16
idt: times 16 * 32 db 0`;

describe('the entry', () => {
  for (const [name, options] of METHODS)
    it(`${name}: a page that moves between any two steps of an exit is never read where it was`, () => {
      const g = new Guest(SOURCE, 'flat64', options);
      const { machine } = g;
      machine.cpu.breakpoints.add(g.symbols.get('here') ?? 0n);
      for (let n = 0; n < 3; n++) assert.equal(g.stop().kind, 'breakpoint');
      machine.cpu.breakpoints.clear();
      machine.pauseAtExits = () => true;
      const saved = machine.save();
      /** Moves it, and leaves garbage behind. */
      const move = (address: bigint): void => {
        const at = hvaAt(g, address);
        const old = machine.host.lookup(at)?.hpa as Hpa;
        done(g, machine.host.migrate(at));
        assert.notEqual(machine.host.lookup(at)?.hpa, old);
        machine.memory.write64(hpa(old), 0xdeadn);
      };
      let again = 0;
      for (let k = 0; ; k++) {
        machine.restore(saved);
        g.steps.length = 0;
        assert.equal(machine.run(10).kind, 'exit-pending');
        let left = k;
        while (left > 0 && machine.stepActivity()) left--;
        if (left > 0) break;
        move(PAGE);
        // and once more when the flush that the first one asked for has been told
        while (machine.active && machine.stepActivity()?.fn.includes('flush_tlb') !== true);
        if (machine.active) move(OTHER);
        machine.pauseAtExits = undefined;
        assert.equal(g.halt()[RBX], 11n, `moved after step ${k}`);
        if (g.steps.some((s) => s.what.includes('the VM entry is prepared again'))) again++;
        machine.pauseAtExits = () => true;
      }
      assert.ok(again > 0, 'the entry was prepared once more');
    });

  it('a shadow root that goes while an entry is prepared is made anew before it', () => {
    const g = new Guest(`mov rbx, [${PAGE}]\nhere: cpuid\nmov rbx, [${PAGE}]\nhlt`, 'flat64', {
      ...SHADOW,
      shadow: 'modern',
    });
    const { machine } = g;
    machine.pauseAtExits = ({ name }) => name === 'CPUID';
    assert.equal(g.stop().kind, 'exit-pending');
    const { shadow } = machine.vm;
    while (machine.active) {
      const [root] = shadow?.loaded?.pages ?? [];
      if (root && !root.invalid) shadow?.zapPage(root);
      const step = machine.stepActivity();
      if (step?.fn === 'vmx_load_mmu_pgd') break;
    }
    machine.pauseAtExits = undefined;
    g.halt();
    assert.equal(shadow?.usable, true);
  });
});
