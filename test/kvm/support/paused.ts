/** A guest that waits in its middle while the test plays the host. */
import * as assert from 'node:assert/strict';
import { hva, type Hva } from '../../../src/base/address';
import type { Result } from '../../../src/base/result';
import type { Work } from '../../../src/trace/step';
import type { UserMemoryRegion } from '../../../src/kvm/memslots';
import type { MachineOptions } from '../../../src/vmm/options';
import { Guest } from '../../vmm/support/guest';

/** Runs `before`, stops at an OUT for the test's own doings; what `after` does follows, and HLT. */
export function paused(before: string, after: string, options: Partial<MachineOptions> = {}): Guest {
  const g = new Guest(`${before}\n out 0x80, al\nhere: nop\n ${after}\n hlt`, 'flat64', options);
  g.machine.cpu.breakpoints.add(g.symbols.get('here') ?? 0n);
  assert.equal(g.stop().kind, 'breakpoint');
  g.machine.cpu.breakpoints.clear();
  return g;
}
/** HVA of a GPA of slot 0. */
export const hvaAt = (g: Guest, address: bigint): Hva => hva(g.machine.options.hvaBase + address);
export function done<T>(g: Guest, work: Work<Result<T, string>>): T {
  const r = g.machine.perform(work);
  assert.ok(r.ok, r.ok ? '' : r.error);
  return r.value;
}
/** Slot 0 as it is, with dirty logging on or off. */
export function logging(g: Guest, logDirty: boolean): UserMemoryRegion {
  const slot = g.machine.vm.memslots.byId(0);
  assert.ok(slot);
  return {
    slot: 0,
    readonly: false,
    logDirty,
    guestPhysAddr: slot.start,
    memorySize: slot.end - slot.start,
    userspaceAddr: slot.hva,
  };
}
