import type { Gpa, Hpa, Hva } from '../../base/address';
import { gpa } from '../../base/address';
import { hex } from '../../base/hex';
import { cost } from '../../trace/costs';
import { describeHostFault, type HostFaultError } from '../../host/fault';
import type { UserPage } from '../../host/address-space';
import { levelSize } from '../../host/page-tables';
import { kvmStep, type Work } from '../../trace/step';
import { slotHva, slotMaxLevel, type Memslot } from '../memslots';
import type { Vm } from '../vm';

/** PFERR_*: a page fault as KVM's MMU sees it, as a #PF error code with additions for EPT. */
export interface PageFault {
  readonly gpa: Gpa;
  readonly write: boolean;
  readonly exec: boolean;
  /** The EPT entry was present and lacked a right. */
  readonly present: boolean;
  /** A misconfiguration: the access hit an MMIO entry. */
  readonly rsvd: boolean;
}

/** RET_PF_*; 'error' ends KVM_RUN. */
export type FaultResult =
  { readonly kind: 'fixed' | 'spurious' | 'emulate' | 'retry' } | { readonly kind: 'error'; readonly why: string };

const result = (kind: 'fixed' | 'spurious' | 'emulate' | 'retry'): FaultResult => ({ kind });

/** A guest frame found on the host. */
export type Pfn =
  | {
      readonly kind: 'page';
      readonly slot: Memslot;
      readonly hva: Hva;
      readonly page: UserPage;
      readonly writable: boolean;
    }
  | { readonly kind: 'noslot' }
  /** A write to a read-only slot: MMIO, but the entry stays usable for reads. */
  | { readonly kind: 'readonly-slot' }
  | { readonly kind: 'error'; readonly error: HostFaultError };

/** Takes over the wait for a page that the host has in swap (kvm/async-pf.ts). */
export interface AsyncFault {
  /** True: the page is being read, and the VCPU need not wait for it. */
  setup(address: Gpa, at: Hva, write: boolean): Work<boolean>;
}

const accessName = (f: PageFault): string => (f.exec ? 'fetch' : f.write ? 'write' : 'read');

/**
 * kvm_mmu_do_page_fault for a VCPU whose root is EPT or NPT: kvm_tdp_page_fault. `async`: absent when mapping ahead
 * (prefetch).
 */
export function* kvmTdpPageFault(vm: Vm, fault: PageFault, async?: AsyncFault): Work<FaultResult> {
  yield kvmStep(
    'kvm_tdp_page_fault',
    `a ${accessName(fault)} of GPA ${hex(fault.gpa)} found ${fault.present ? 'an entry without that right' : 'no entry'} in the ${vm.mmu.format.name}`,
    cost('kvmHandler'),
    {
      addresses: { gpa: fault.gpa },
    },
  );
  // mmu_topup_memory_caches: tables are kernel memory, allocated before anything is looked up
  yield* vm.space.makeRoom(vm.mmu.levels);
  // the host's answers from here on hold only while the count is unchanged
  const seen = vm.notifier.count;
  const generation = vm.memslots.generation;
  const pfn = yield* kvmFaultinPfn(vm, fault, async);
  switch (pfn.kind) {
    case 'async':
      return result('retry');
    case 'readonly-slot':
      return result('emulate');
    case 'error':
      return { kind: 'error', why: describeHostFault(pfn.error) };
    case 'noslot': {
      // kvm_handle_noslot_fault without MMIO caching: entries cannot be marked
      if (!vm.mmu.marksMmio) return result('emulate');
      const r = yield* vm.mmu.map({ kind: 'mmio', gpa: fault.gpa, generation });
      return r === 'no-memory' ? noTable(fault.gpa) : result('emulate');
    }
    case 'page': {
      const level = yield* mappingLevel(vm, fault, pfn.slot, pfn.hva, pfn.page);
      const frame = (pfn.page.frame & ~(levelSize(level) - 1n)) as Hpa;
      const rights = { writable: pfn.writable, hostWritable: pfn.writable };
      const valid = (): boolean => !vm.notifier.retry(seen) && vm.memslots.generation === generation;
      const r = yield* vm.mmu.map({ kind: 'page', gpa: fault.gpa, frame, level, rights, valid });
      if (r === 'no-memory') return noTable(fault.gpa);
      // make_spte: a writable entry dirties its page at once, even if it was only read
      if (r !== 'retry' && pfn.writable) vm.markPageDirty(fault.gpa);
      return result(r);
    }
  }
}

const noTable = (address: Gpa): FaultResult => ({
  kind: 'error',
  why: `host memory is exhausted: no frame for a second-level table for GPA ${hex(address)}`,
});

/**
 * kvm_faultin_pfn: memslot, HVA, and the host's page, faulted in if absent. For a page in swap, `async` may take over
 * the wait ('async'); otherwise the fault waits for it.
 */
export function* kvmFaultinPfn(
  vm: Vm,
  fault: PageFault,
  async: AsyncFault | undefined,
): Work<Pfn | { readonly kind: 'async' }> {
  const slot = yield* gfnToMemslot(vm, fault.gpa);
  if (!slot) return { kind: 'noslot' };
  const at = slotHva(slot, fault.gpa);
  if (slot.readonly && fault.write) {
    yield kvmStep(
      'kvm_handle_error_pfn',
      `slot ${slot.id} is read-only: the write is MMIO, and the entry stays as it is for reads`,
      cost('kvmHandler'),
      { addresses: { gpa: fault.gpa, hva: at } },
    );
    return { kind: 'readonly-slot' };
  }
  const fast = yield* vm.space.getUserPageFast(at, fault.write);
  if (!fast && async && vm.space.swapSlot(at) !== undefined && (yield* async.setup(fault.gpa, at, fault.write)))
    return { kind: 'async' };
  return yield* hvaToPfn(vm, slot, at, fault.write, fast);
}

/** gfn_to_memslot and __gfn_to_hva_memslot. */
function* gfnToMemslot(vm: Vm, address: Gpa): Work<Memslot | undefined> {
  const slot = vm.memslots.find(address);
  yield kvmStep(
    'gfn_to_memslot',
    slot
      ? `GPA ${hex(address)} is in memslot ${slot.id} (${hex(slot.start)}-${hex(slot.end)}${slot.readonly ? ', read-only' : ''}): HVA ${hex(slotHva(slot, address))}`
      : `GPA ${hex(address)} is in no memslot: a hole, MMIO`,
    cost('memslotLookup'),
    { addresses: slot ? { gpa: address, hva: slotHva(slot, address) } : { gpa: address } },
  );
  return slot;
}

/**
 * hva_to_pfn: the result of the fast path if the host has the page mapped, otherwise through the host's fault
 * handler. A read maps writable too if the host allows it.
 */
function* hvaToPfn(vm: Vm, slot: Memslot, at: Hva, write: boolean, fast: UserPage | undefined): Work<Pfn> {
  let page = fast;
  if (!page) {
    yield kvmStep('hva_to_pfn_slow', `asks the host kernel to fault HVA ${hex(at)} in`, cost('gup'), {
      addresses: { hva: at },
    });
    const slow = yield* vm.space.getUserPage(at, write);
    if (!slow.ok) return { kind: 'error', error: slow.error };
    page = slow.value;
  }
  return { kind: 'page', slot, hva: at, page, writable: page.writable && !slot.readonly };
}

/** kvm_mmu_hugepage_adjust: the largest page that slot, alignment and the host's own mapping allow. */
function* mappingLevel(vm: Vm, fault: PageFault, slot: Memslot, at: Hva, page: UserPage): Work<1 | 2 | 3> {
  const bySlot = slotMaxLevel(slot, fault.gpa);
  // kvm_slot_dirty_track_enabled: dirty logging is per 4 KiB page
  if (bySlot === 1 || slot.logDirty) return 1;
  const host = ((page.pageShift - 12) / 9 + 1) as 1 | 2 | 3;
  const level = host < bySlot ? host : bySlot;
  const { reads } = vm.space.tables.descend(at);
  yield kvmStep(
    'host_pfn_mapping_level',
    `memslot ${slot.id} allows ${NAME[bySlot]} at GPA ${hex(fault.gpa)}, the host maps ${NAME[host]}: the ${vm.mmu.format.name} entry can be ${NAME[level]}`,
    cost('kvmHandler') + cost('tableReference', reads.length),
    { addresses: { gpa: fault.gpa, hva: at, hpa: page.frame }, reads },
  );
  return level;
}
const NAME = { 1: '4 KiB', 2: '2 MiB', 3: '1 GiB' } as const;

/**
 * handle_mmio_page_fault: the meaning of a misconfigured entry. 'emulate': an MMIO entry of the current memslots;
 * 'stale': of earlier ones, so the fault is handled as if nothing were mapped; 'bug': KVM made no such entry.
 */
export function* handleMmioPageFault(vm: Vm, address: Gpa): Work<'emulate' | 'stale' | 'bug'> {
  const found = vm.mmu.mmioSpte(address);
  const generation = vm.memslots.generation;
  const verdict =
    !found || !vm.mmu.format.isMmio(found.value)
      ? 'bug'
      : vm.mmu.format.mmioCurrent(found.value, generation)
        ? 'emulate'
        : 'stale';
  yield kvmStep(
    'handle_mmio_page_fault',
    verdict === 'emulate'
      ? `the entry for GPA ${hex(address)} is marked MMIO and of the current memslots`
      : verdict === 'stale'
        ? `the MMIO entry for GPA ${hex(address)} is of an earlier memslot generation than ${generation}`
        : `the entry for GPA ${hex(address)} is not an MMIO entry`,
    cost('kvmHandler'),
    { addresses: { gpa: address }, reads: vm.mmu.read(gpa(address)) },
  );
  return verdict;
}
