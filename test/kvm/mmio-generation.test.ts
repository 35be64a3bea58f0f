/** MMIO entries remember the memslot generation in 19 bits. After as many changes the number comes round, and no old entry may be taken for a present one. */
import * as assert from 'node:assert/strict';
import { gpa } from '../../src/base/address';
import type { MachineOptions } from '../../src/vmm/options';
import { MemoryRegions } from '../../src/vmm/memory-regions';
import { done, paused } from './support/paused';

const HOLE = 0x14_0000n;
const GENERATIONS = 0x8_0000;
const SLOTS = [
  { gpa: 0n, size: HOLE, readonly: false },
  { gpa: 0x20_0000n, size: 0x20_0000n, readonly: false },
];
const SHADOW = { mmu: 'shadow', hostBase: 0x4000_0000n } as const;
const METHODS: readonly (readonly [string, Partial<MachineOptions>])[] = [
  ['ept', {}],
  ['npt', { mmu: 'npt', cpu: 'pagewalk-svm' }],
  ['shadow, classic', { ...SHADOW, shadow: 'classic' }],
  ['shadow, modern', { ...SHADOW, shadow: 'modern' }],
];

describe('memslot generations in MMIO entries', () => {
  for (const [name, options] of METHODS)
    it(`${name}: where the number wraps round, the marks of before are gone`, () => {
      const g = paused(`mov eax, [${HOLE}]`, `mov ebx, [${HOLE}]`, { slots: SLOTS, ...options });
      const { vm } = g.machine;
      const made = vm.memslots.generation;
      /** As if so many changes had been made. */
      const at = (generation: number): void => {
        const { slots } = vm.memslots.save();
        vm.memslots.restore({ slots, generation });
      };
      const regions = new MemoryRegions(vm, g.machine.host);
      const other = gpa(0x400_0000n);
      at(GENERATIONS - 1);
      done(g, regions.add(2, other, 0x1000n, false));
      assert.equal(vm.memslots.generation, GENERATIONS);
      assert.ok(g.steps.some((s) => s.fn === 'kvm_mmu_invalidate_mmio_sptes'));
      at(GENERATIONS + made - 1);
      // the hole becomes RAM, under a generation that looks like that of the mark
      done(g, regions.add(3, gpa(HOLE), 0x1000n, false));
      assert.equal(vm.memslots.generation % GENERATIONS, made % GENERATIONS);
      assert.equal(g.halt()[3], 0n, 'RAM, not the open bus');
      assert.equal(g.gprs()[0], 0xffff_ffffn);
    });
});
