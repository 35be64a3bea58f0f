import type { Gpa, Hpa, Hva } from '../base/address';
import { gpa, hpa } from '../base/address';
import { must } from '../base/assert';
import { hex } from '../base/hex';
import type { Result } from '../base/result';
import { err, ok } from '../base/result';
import type { AddressSpace } from '../host/address-space';
import { cost } from '../trace/costs';
import type { HostKernel } from '../host/kernel';
import type { PagingControls, PagingModel } from '../hw/paging/controls';
import { kvmStep, type TableAccess, type Work } from '../trace/step';
import type { Lapic } from './lapic';
import { DirtyLog, type DirtyLogState } from './dirty-log';
import { Memslots, slotHva, type Memslot, type SlotChange, type UserMemoryRegion } from './memslots';
import { KvmMmuNotifier } from './mmu-notifier';
import type { SecondaryMmu } from './mmu/secondary-mmu';
import { ShadowMmu, type ShadowMmuState } from './mmu/shadow/mmu';
import type { ShadowGeneration } from './mmu/shadow/role';
import { GENERATION_MASK } from './mmu/spte';
import { TdpMmu, type TdpKind, type TdpLevels } from './mmu/tdp-mmu';
import { SHADOW_VM_STATS, Stats, VM_STATS, type StatValues, type VmStat } from './stats';

export interface VmOptions {
  /** EPT accessed and dirty flags (module parameter eptad). */
  readonly eptAd: boolean;
  /** The processor, as far as paging structures are concerned. */
  readonly model: PagingModel;
  /** Levels of EPT; default: four. */
  readonly eptLevels?: TdpLevels;
  /** Nested page tables of SVM instead of EPT: the paging of the host, whose format they have. */
  readonly npt?: PagingControls | undefined;
  /** Shadow page tables instead of EPT (module parameter ept=0), in one of their two generations. */
  readonly shadow?: ShadowGeneration | undefined;
}

/** Where a GPA leads by software's knowledge alone: memslot, then the host's tables. Nothing is faulted in. */
export interface GpaLookup {
  readonly slot: number;
  readonly readonly: boolean;
  readonly hva: Hva;
  readonly hpa: Hpa | undefined;
}

/** One virtual machine (struct kvm): memslots, the EPT that all VCPUs share, and the process it belongs to. */
export class Vm {
  readonly memslots = new Memslots();
  readonly stats: Stats<VmStat>;
  /** Its VCPUs run on SVM. */
  readonly svm: boolean;
  /** EPT or nested page tables; undefined where KVM keeps shadow page tables instead. */
  readonly tdp: TdpMmu | undefined;
  /** Shadow page tables, where EPT is off. */
  readonly shadow: ShadowMmu | undefined;
  /** The local APICs of its VCPUs, by ID. */
  readonly lapics: Lapic[] = [];
  readonly notifier = new KvmMmuNotifier(this);
  readonly dirtyLog = new DirtyLog();
  /** Its VCPUs, as far as requests to all of them go. */
  private readonly vcpus: RequestTarget[] = [];
  /** Counts requests to flush; a VCPU that has seen fewer flushes before it enters (KVM_REQ_TLB_FLUSH). */
  private flushes = 0;

  constructor(
    readonly kernel: HostKernel,
    readonly space: AddressSpace,
    options: VmOptions,
  ) {
    this.stats = new Stats<VmStat>(options.shadow ? [...VM_STATS, ...SHADOW_VM_STATS] : VM_STATS);
    this.svm = options.npt !== undefined;
    this.shadow = options.shadow && new ShadowMmu(this, options.shadow, options.model);
    this.tdp = this.shadow ? undefined : new TdpMmu(kernel, this.stats, tdpKind(options), () => this.requestFlush());
    space.register(this.notifier);
  }

  /** The ioctls that change and read what user space calls memory slots. */
  readonly calls = {
    set: () => 'KVM_SET_USER_MEMORY_REGION',
    dirtyLog: 'KVM_GET_DIRTY_LOG',
    range: 'slot',
    cycles: cost('syscall'),
  } as const;
  addVcpu(v: RequestTarget): void {
    this.vcpus.push(v);
  }
  /** Whether hardware logs writes (EPT with A/D flags, PML), or writes are found by their violations of write protection. */
  get pageModificationLogging(): boolean {
    return this.tdp !== undefined && !this.svm && this.tdp.ad;
  }
  /** The EPT or nested page tables, for code that only a VM with them runs. */
  get mmu(): TdpMmu {
    return must(this.tdp, 'a VM without shadow paging');
  }
  /** The tables that lead from guest to host frames: EPT, nested or shadow page tables. */
  get secondary(): SecondaryMmu {
    return this.shadow ?? this.mmu;
  }

  get flushCount(): number {
    return this.flushes;
  }
  /** KVM_REQ_TLB_FLUSH for every VCPU: INVEPT before it enters the guest again. A VCPU that handles an exit is asked so; one in the guest needs a kick too. */
  requestFlush(): void {
    this.flushes++;
    this.stats.add('remote_tlb_flush');
  }
  /** kvm_flush_remote_tlbs: the request, and an interrupt to every CPU that runs the guest now, so that it exits and sees it. */
  *flushRemoteTlbs(): Work<void> {
    const kicked = this.flushRemoteTlbsQuietly();
    const how =
      kicked === 0
        ? 'no VCPU is in the guest: each flushes before it enters'
        : 'an IPI makes the VCPU in the guest exit, and flush before it enters again';
    yield kvmStep('kvm_flush_remote_tlbs', how, cost('kvmHandler') + cost('ipi', kicked));
  }

  /** Result: how many VCPUs were kicked. */
  flushRemoteTlbsQuietly(): number {
    this.requestFlush();
    return this.vcpus.filter((v) => v.kick()).length;
  }

  /** KVM_SET_USER_MEMORY_REGION. */
  *setUserMemoryRegion(region: UserMemoryRegion): Work<Result<SlotChange, string>> {
    const changed = this.memslots.set(region);
    if (!changed.ok) return changed;
    const change = changed.value;
    yield kvmStep(
      'kvm_set_memory_region',
      `${describeChange(change)}; the memslot generation is ${this.memslots.generation}`,
      cost('kvmHandler'),
    );
    // kvm_mmu_invalidate_mmio_sptes: when the generation wraps, an old mark could be mistaken for a current one
    if (change.kind !== 'none' && (this.memslots.generation & GENERATION_MASK) === 0)
      yield* this.edit(
        'kvm_mmu_invalidate_mmio_sptes',
        'the generation in MMIO entries wraps: all entries are dropped',
        (writes) => this.secondary.zapAll(writes),
      );
    switch (change.kind) {
      case 'delete':
      case 'move': {
        this.dirtyLog.stop(change.old);
        if (change.kind === 'move' && change.slot.logDirty) this.dirtyLog.start(change.slot);
        const { start, end, id } = change.old;
        yield* this.edit('kvm_arch_flush_shadow_memslot', `nothing of the old slot ${id} may stay mapped`, (writes) =>
          this.secondary.flushSlot(start, end, writes),
        );
        break;
      }
      case 'flags':
        yield* this.changeLogging(change.slot);
        break;
      case 'create':
        // MMIO entries below a new slot are stale by their generation
        if (change.slot.logDirty) this.dirtyLog.start(change.slot);
        break;
      case 'none':
        break;
    }
    return changed;
  }

  /** kvm_mmu_slot_apply_flags: logging begins by making every write seen, and ends by letting large entries come back. */
  private *changeLogging(slot: Memslot): Work<void> {
    const { start, end, logDirty } = slot;
    if (!logDirty) {
      this.dirtyLog.stop(slot);
      yield* this.edit(
        'kvm_mmu_recover_huge_pages',
        'logging is off: small entries are zapped, so that large ones can return',
        (writes) => this.secondary.zapRange(start, end, writes),
      );
      return;
    }
    this.dirtyLog.start(slot);
    if (this.pageModificationLogging) {
      yield* this.edit(
        'kvm_mmu_slot_leaf_clear_dirty',
        'clears the dirty flags: the hardware logs the next write to each page (PML)',
        (writes) => this.secondary.clearDirtyRange(start, end, writes),
      );
    } else {
      yield* this.edit(
        'kvm_mmu_slot_remove_write_access',
        'takes write access away: the next write to each page is a violation that is seen',
        (writes) => this.secondary.writeProtectRange(start, end, writes),
      );
    }
  }

  /** KVM_GET_DIRTY_LOG: the pages written since the last call, which are watched again. */
  *getDirtyLog(id: number): Work<Result<readonly Gpa[], string>> {
    const slot = this.memslots.byId(id);
    if (!slot) return err(`memory slot ${id}: there is none (ENOENT)`);
    if (!slot.logDirty) return err(`memory slot ${id}: dirty pages are not logged; switch logging on first (ENOENT)`);
    // kvm_arch_sync_dirty_log: what hardware logged and no exit has drained yet counts
    for (const v of this.vcpus) v.drainLog();
    const pages = this.dirtyLog.take(slot);
    const clear = (writes: TableAccess[]): boolean => {
      let flush = false;
      for (const p of pages) {
        const end = gpa(p + 4096n);
        flush =
          (this.pageModificationLogging
            ? this.secondary.clearDirtyRange(p, end, writes)
            : this.secondary.writeProtectRange(p, end, writes)) || flush;
      }
      return flush;
    };
    yield* this.edit(
      'kvm_get_dirty_log_protect',
      `${pages.length} pages of slot ${id} were written; they are watched again`,
      clear,
    );
    return ok(pages);
  }

  /** kvm_vcpu_mark_page_dirty: a write that KVM makes, or makes possible. */
  markPageDirty(address: Gpa): void {
    if (!this.dirtyLog.active) return;
    const slot = this.memslots.find(address);
    if (slot?.logDirty === true) this.dirtyLog.mark(slot, address);
  }

  /** Edits entries, tells it, and flushes where that is due. */
  private *edit(fn: string, what: string, change: (writes: TableAccess[]) => boolean): Work<void> {
    const writes: TableAccess[] = [];
    const flush = change(writes);
    yield kvmStep(
      fn,
      `${what} (${writes.length} ${writes.length === 1 ? 'entry' : 'entries'})`,
      cost('kvmHandler') + cost('eptEntry', writes.length),
      { writes: writes.slice(0, MOST_WRITES) },
    );
    if (flush) yield* this.flushRemoteTlbs();
  }

  /** Where `address` leads, as far as it is known without a fault. */
  lookup(address: Gpa): GpaLookup | undefined {
    const slot = this.memslots.find(address);
    if (!slot) return undefined;
    const at = slotHva(slot, address);
    const found = this.space.lookup(at);
    return { slot: slot.id, readonly: slot.readonly, hva: at, hpa: found && hpa(found.hpa) };
  }

  save(): VmState {
    return {
      memslots: this.memslots.save(),
      stats: this.stats.save(),
      flushes: this.flushes,
      notified: this.notifier.save(),
      dirtyLog: this.dirtyLog.save(),
      ...(this.shadow ? { shadow: this.shadow.save() } : {}),
    };
  }
  /** Host memory, which holds the EPT, is restored by its owner. */
  restore(s: VmState): void {
    this.memslots.restore(s.memslots);
    this.stats.restore(s.stats);
    this.flushes = s.flushes;
    this.notifier.restore(s.notified);
    this.dirtyLog.restore(s.dirtyLog);
    if (s.shadow) this.shadow?.restore(s.shadow);
  }
}

const tdpKind = (o: VmOptions): TdpKind =>
  o.npt ? { kind: 'npt', host: o.npt } : { kind: 'ept', ad: o.eptAd, levels: o.eptLevels ?? 4, model: o.model };

/** A VCPU as the VM's requests see it. */
export interface RequestTarget {
  /** kvm_vcpu_kick: makes the CPU leave the guest, if it is there. True: it was. */
  kick(): boolean;
  /** vmx_flush_pml_buffer. */
  drainLog(): void;
}

/** Entries that one step lists. */
const MOST_WRITES = 64;

function describeChange(c: SlotChange): string {
  switch (c.kind) {
    case 'create':
      return `slot ${c.slot.id} is new: GPA ${hex(c.slot.start)}-${hex(c.slot.end)} is HVA ${hex(c.slot.hva)}`;
    case 'delete':
      return `slot ${c.old.id} (GPA ${hex(c.old.start)}-${hex(c.old.end)}) is deleted: a hole`;
    case 'move':
      return `slot ${c.slot.id} moves from GPA ${hex(c.old.start)} to GPA ${hex(c.slot.start)}`;
    case 'flags':
      return `slot ${c.slot.id}: dirty logging ${c.slot.logDirty ? 'on' : 'off'}`;
    case 'none':
      return 'nothing changes';
  }
}

export interface VmState {
  readonly memslots: ReturnType<Memslots['save']>;
  readonly stats: StatValues<VmStat>;
  readonly flushes: number;
  readonly notified: number;
  readonly dirtyLog: DirtyLogState;
  readonly shadow?: ShadowMmuState;
}
