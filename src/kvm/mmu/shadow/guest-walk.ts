import type { Gpa } from '../../../base/address';
import { gpa, gva } from '../../../base/address';
import { hex } from '../../../base/hex';
import { cost } from '../../../trace/costs';
import { drain, kvmStep, type Step, type TableAccess } from '../../../trace/step';
import type { HostMemory } from '../../../hw/memory/host-memory';
import type { Access } from '../../../hw/paging/access';
import { decodeControls, type PagingControls, type PagingModel } from '../../../hw/paging/controls';
import {
  OrdinaryWalk,
  WRITE_LOST,
  updateAccessedDirty,
  walkOrdinary,
  type EntryPort,
} from '../../../hw/paging/ordinary';
import { WalkSink } from '../../../hw/paging/trace';
import type { WalkOut } from '../../../hw/paging/walk-out';
import { SLOT } from '../../../hw/state/layout';
import { PTE_RW, PTE_US, PTE_XD } from '../../../isa/entries';
import { slotHva } from '../../memslots';
import type { ShadowOwner } from './owner';
import type { GuestRegisters } from '../../x86/registers';
import { ACC, modeWord, type RoleWord } from './role';

/** The guest's own paging: registers with the guest's values. */
export interface GuestPaging {
  readonly controls: PagingControls;
  readonly cr3: bigint;
  /** The four PDPTEs of PAE paging, as loaded with CR3. */
  readonly pdptes: readonly bigint[];
  readonly mode: RoleWord;
}

export function guestPaging(regs: GuestRegisters, model: PagingModel): GuestPaging {
  const controls = decodeControls(regs.cr0, regs.cr4, regs.efer, regs.saved.get32(SLOT.PKRU), model);
  const pdptes = controls.format === 'pae' ? regs.pdptes : [];
  return { controls, cr3: regs.cr3, pdptes, mode: modeWord(controls) };
}

/** gpte_access: the ACC_* rights of one guest entry. */
export const gpteAccess = (c: PagingControls, entry: bigint): number =>
  ((entry & PTE_RW) !== 0n ? ACC.WRITE : 0) |
  ((entry & PTE_US) !== 0n ? ACC.USER : 0) |
  (c.format !== '32bit' && c.nxe && (entry & PTE_XD) !== 0n ? 0 : ACC.EXEC);

/**
 * Entries of the guest's tables, through memslots and host mappings. `faulting`: a page that the host lacks is
 * faulted in; otherwise the walk ends.
 */
class SlotPort implements EntryPort {
  readonly table = 'guest' as const;
  readonly space = 'gpa' as const;
  readonly memory: HostMemory;
  readonly hostSteps: Step[] = [];

  constructor(
    private readonly vm: ShadowOwner,
    private readonly faulting: boolean,
  ) {
    this.memory = vm.kernel.memory;
  }

  locate(address: bigint, write: boolean, out: WalkOut): number {
    const at = gpa(address);
    const slot = this.vm.memslots.find(at);
    if (slot?.readonly === true && write) return WRITE_LOST;
    if (slot) {
      const hva = slotHva(slot, at);
      const found = this.vm.space.lookup(hva);
      if (found && (found.writable || !write)) return this.memory.offsetOf(found.hpa);
      if (this.faulting) {
        const page = drain(this.vm.space.resolve(hva, write), (s) => this.hostSteps.push(s));
        if (page.ok) return this.memory.offsetOf(page.value);
      }
    }
    out.fail('guest', 'no-memory', 0, 0n, address);
    return -1;
  }
}

/** walk_addr's result: the translation in `out`, or why there is none. */
export interface GuestWalk {
  readonly ok: boolean;
  readonly out: WalkOut;
  /** Level of the entry that maps the page; 1 without paging. */
  readonly leafLevel: number;
  readonly sink: WalkSink;
}
interface Walked extends GuestWalk {
  readonly record: OrdinaryWalk;
}

/** walk_addr without side effects: no page is faulted in, no flag set. */
export function probeGuest(
  vm: ShadowOwner,
  paging: GuestPaging,
  linear: bigint,
  access: Access,
  ac: boolean,
): GuestWalk {
  const { record: _, ...walk } = run(new SlotPort(vm, false), paging, linear, access, ac);
  return walk;
}

/**
 * walk_addr (paging_tmpl.h): walks the guest's tables in software, checks permissions by the guest's own controls,
 * and sets A and D as the guest's hardware would have. The steps are the host's, for pages faulted in, followed by
 * KVM's own.
 */
export function walkGuest(
  vm: ShadowOwner,
  paging: GuestPaging,
  linear: bigint,
  access: Access,
  ac: boolean,
): GuestWalk & { readonly steps: readonly Step[] } {
  const port = new SlotPort(vm, true);
  const { record, ...walk } = run(port, paging, linear, access, ac);
  const { out, sink } = walk;
  const writes: TableAccess[] = [];
  if (walk.ok && paging.controls.format !== 'none') {
    for (const at of visited(out)) vm.markPageDirty(at);
    updateAccessedDirty(record, access.op === 'write', (address, value) => {
      const read = sink.steps.find((s) => s.entryHpa === address);
      writes.push({
        table: 'guest',
        level: read?.level ?? 1,
        index: read?.index ?? 0,
        address,
        value,
        ...(read ? { previous: read.entry } : {}),
      });
    });
  }
  const reads = sink.steps.flatMap((s) =>
    s.entryHpa === undefined
      ? []
      : [
          {
            table: 'guest' as const,
            level: s.level,
            index: s.index,
            address: s.entryHpa as TableAccess['address'],
            value: s.entry,
          },
        ],
  );
  const end = walk.ok ? `GPA ${hex(out.address)}` : `it ends, ${out.reason}`;
  const what =
    paging.controls.format === 'none'
      ? `the guest has paging off: GVA ${hex(linear)} is ${end}`
      : `walks the guest's tables in software for GVA ${hex(linear)}: ${end}`;
  const step = kvmStep('walk_addr', what, cost('kvmHandler') + cost('tableReference', reads.length), {
    addresses: walk.ok ? { gva: gva(linear), gpa: gpa(out.address) } : { gva: gva(linear) },
    reads,
    writes,
  });
  return { ...walk, steps: [...port.hostSteps, step] };
}

function run(port: SlotPort, p: GuestPaging, linear: bigint, access: Access, ac: boolean): Walked {
  const sink = new WalkSink();
  const { controls, cr3: root, pdptes } = p;
  const record = new OrdinaryWalk({ port, root, controls, pdptes }, undefined, sink);
  const ok = walkOrdinary(record, linear, access, ac);
  return {
    ok,
    out: record.out,
    sink,
    record,
    leafLevel: p.controls.format === 'none' ? 1 : (sink.steps.at(-1)?.level ?? 1),
  };
}

const visited = (out: WalkOut): readonly Gpa[] => Array.from(out.addresses.subarray(0, out.depth), (a) => gpa(a));
