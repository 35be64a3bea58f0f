import type { Gpa } from '../../base/address';
import { gpa, gva } from '../../base/address';
import { isCanonical } from '../../base/bits';
import { hex } from '../../base/hex';
import { VECTOR } from '../../isa/exceptions';
import { because } from '../../isa/reasons/index';
import { RFLAGS } from '../../isa/flags';
import type { Core, MemoryPort } from '../../hw/cpu/core';
import { MAX_INSTRUCTION_BYTES } from '../../hw/cpu/decode';
import type { HostMemory } from '../../hw/memory/host-memory';
import type { Access } from '../../hw/paging/access';
import { FORMATS, decodeControls, type PagingControls, type PagingModel } from '../../hw/paging/controls';
import { OrdinaryWalk, WRITE_LOST, updateAccessedDirty, walkOrdinary, type EntryPort } from '../../hw/paging/ordinary';
import { pageFaultErrorCode, pageFaultReason } from '../../hw/paging/page-fault';
import { WalkSink, type WalkStep } from '../../hw/paging/trace';
import type { WalkOut } from '../../hw/paging/walk-out';
import type { CpuState } from '../../hw/state/cpu-state';
import { SLOT } from '../../hw/state/layout';
import { cost } from '../../trace/costs';
import { drain, kvmStep, type Step, type TableAccess } from '../../trace/step';
import { slotHva } from '../memslots';
import type { Vm } from '../vm';
import type { IoLog } from './io-log';

/** Maximum bytes in one MMIO exit. */
const FRAGMENT = 8;
/** kvm_mmio_fragment: the part of an access that lies within one page. */
interface Piece {
  readonly gpa: Gpa;
  readonly size: number;
  /** Offset in the machine's memory; −1: no RAM that this access may use, so it is MMIO. */
  readonly at: number;
}

/**
 * Guest memory as KVM's instruction emulator reaches it: walks the guest's own tables in software (walk_addr,
 * arch/x86/kvm/mmu/paging_tmpl.h) through memslots and host mappings, then reaches the data the same way. Without a
 * slot, or on a write to a read-only one, the access is MMIO and user space answers it.
 */
export class GuestMemory implements MemoryPort, EntryPort {
  readonly table = 'guest' as const;
  readonly space = 'gpa' as const;
  readonly memory: HostMemory;
  private readonly walk: OrdinaryWalk;
  private controls: PagingControls;
  private unreported: Step[] = [];
  /** Why the emulator cannot continue, when it is not the guest's own fault. */
  failure: string | undefined;

  constructor(
    private readonly vm: Vm,
    private readonly state: CpuState,
    private readonly log: IoLog,
    private readonly model: PagingModel,
  ) {
    this.memory = vm.kernel.memory;
    this.controls = this.decode();
    this.walk = new OrdinaryWalk({ port: this, root: 0n, controls: this.controls });
  }

  /** Starts a new run of an instruction: paging controls are decoded again. */
  begin(): void {
    this.failure = undefined;
    this.unreported = [];
    this.controls = this.decode();
  }
  /** The actions since the last call. An instruction that runs again after an answer does not report them twice. */
  takeSteps(): readonly Step[] {
    const unreported = this.unreported;
    this.unreported = [];
    return unreported;
  }

  // ---- code

  /** Up to 15 bytes of code at `linear`, up to the end of its page; undefined with `core.event` or `failure` set. */
  fetch(core: Core, linear: bigint): Uint8Array | undefined {
    const address = this.translate(core, linear, { op: 'fetch', user: this.state.cpl === 3, implicit: false });
    if (address === undefined) return undefined;
    const at = this.locateData(address, false);
    if (at < 0) {
      this.failure ??= `its code at GPA ${hex(address)} is in no memslot`;
      return undefined;
    }
    return this.memory.u8.slice(at, at + Math.min(MAX_INSTRUCTION_BYTES, 4096 - (at & 0xfff)));
  }
  /** The same for the page that follows that of `linear`. */
  fetchNextPage(core: Core, linear: bigint): Uint8Array | undefined {
    return this.fetch(core, this.nextPage(linear));
  }

  // ---- MemoryPort

  load(core: Core, linear: bigint, size: number, access: Access, dst: number, intent: boolean): boolean {
    const pieces = this.pieces(core, linear, size, intent ? { ...access, op: 'write' } : access, false);
    if (!pieces) return false;
    let value = 0n;
    let shift = 0n;
    for (const p of pieces) {
      const part =
        p.at < 0
          ? this.log.ask({ space: 'mmio', write: false, address: p.gpa, size: p.size, value: 0n })
          : this.readRam(p);
      if (part === undefined) return suspend(core);
      value |= BigInt.asUintN(p.size * 8, part) << shift;
      shift += BigInt(p.size * 8);
    }
    core.state.set(dst, value);
    return true;
  }

  store(core: Core, linear: bigint, size: number, access: Access, src: number): boolean {
    const pieces = this.pieces(core, linear, size, access, true);
    if (!pieces) return false;
    const value = core.state.get(src);
    const parts = pieces.map((p, i) => {
      const before = pieces.slice(0, i).reduce((n, x) => n + x.size, 0);
      return { piece: p, value: BigInt.asUintN(p.size * 8, value >> BigInt(before * 8)) };
    });
    // device accesses first: an instruction that waits for one must not have stored anything
    for (const { piece: p, value: part } of parts) {
      if (
        p.at < 0 &&
        this.log.ask({ space: 'mmio', write: true, address: p.gpa, size: p.size, value: part }) === undefined
      )
        return suspend(core);
    }
    for (const { piece, value: part } of parts) if (piece.at >= 0) this.writeRam(piece, part);
    return true;
  }

  probe(core: Core, linear: bigint, size: number, access: Access): boolean {
    return this.pieces(core, linear, size, access, access.op === 'write') !== undefined;
  }

  controlsChanged(): void {
    this.controls = this.decode();
  }
  // the emulator has no TLB: there is nothing to drop
  cr3Loaded(): void {}
  flush(): void {}
  invlpg(): void {}
  readPhysical(core: Core, address: bigint): bigint | undefined {
    const at = this.locateData(gpa(address), false);
    if (at >= 0) return this.memory.view.getBigUint64(at, true);
    core.raise(VECTOR.GP, because('physical-memory', address), 0);
    return undefined;
  }

  // ---- EntryPort: entries of the guest's tables, through their memslots

  locate(address: bigint, write: boolean, out: WalkOut): number {
    const slot = this.vm.memslots.find(gpa(address));
    // FNAME(update_accessed_dirty_bits) does not process the flags of tables in a read-only slot
    if (write && slot?.readonly === true) return WRITE_LOST;
    const at = this.locateData(gpa(address), write);
    if (at < 0) out.fail('guest', 'no-memory', 0, 0n, address);
    return at;
  }

  // ---- translation

  private decode(): PagingControls {
    const s = this.state;
    return decodeControls(s.get(SLOT.CR0), s.get(SLOT.CR4), s.get(SLOT.EFER), s.get32(SLOT.PKRU), this.model);
  }
  private get linearBits(): number {
    return this.controls.format === 'none' ? 32 : FORMATS[this.controls.format].linearBits;
  }
  private nextPage(linear: bigint): bigint {
    return BigInt.asUintN(this.linearBits > 32 ? 64 : 32, (linear & ~0xfffn) + 4096n);
  }

  /**
   * Splits an access at page boundaries and translates every piece before anything is read or written. `write`: the
   * data itself is written; a read-modify-write loads with write permission checks, but reads.
   */
  private pieces(
    core: Core,
    linear: bigint,
    size: number,
    access: Access,
    write: boolean,
  ): readonly Piece[] | undefined {
    for (;;) {
      const seen = this.vm.notifier.count;
      const out: Piece[] = [];
      for (let done = 0; done < size;) {
        const at = done === 0 ? linear : this.nextPage(linear);
        const here = Math.min(size - done, 4096 - Number(at & 0xfffn), FRAGMENT);
        const address = this.translate(core, at, access);
        if (address === undefined) return undefined;
        out.push({ gpa: address, size: here, at: this.locateData(address, write) });
        done += here;
      }
      // faulting in the second page may have reclaimed the first; it did not if no notifier was called. Pages just
      // faulted in are young, so this terminates
      if (out.length === 1 || this.vm.notifier.count === seen) return out;
    }
  }

  /** walk_addr: linear to GPA through the guest's tables; undefined with the guest's #PF or #GP in `core.event`. */
  private translate(core: Core, linear: bigint, access: Access): Gpa | undefined {
    const { controls, state, walk } = this;
    const { out } = walk;
    if (this.linearBits > 32 && !isCanonical(linear, this.linearBits)) {
      core.raise(VECTOR.GP, because('address-canonical', linear, this.linearBits), 0);
      return undefined;
    }
    const sink = new WalkSink();
    const writes: TableAccess[] = [];
    walk.root = state.get(SLOT.CR3);
    walk.controls = controls;
    walk.pdptes = controls.format === 'pae' ? state.r.subarray(SLOT.PDPTE0, SLOT.PDPTE0 + 4) : undefined;
    walk.sink = sink;
    const ac = !access.implicit && state.systemFlag(RFLAGS.AC);
    const walked =
      walkOrdinary(walk, linear, access, ac) &&
      (controls.format === 'none' ||
        updateAccessedDirty(walk, access.op === 'write', (address, value) => {
          const read = sink.steps.find((s) => s.entryHpa === address);
          writes.push({
            table: 'guest',
            level: read?.level ?? 1,
            index: read?.index ?? 0,
            address,
            value,
            ...(read ? { previous: read.entry } : {}),
          });
        }));
    if (this.log.replayed && sink.steps.length > 0) {
      const end = walked ? `GPA ${hex(out.address)}` : `it fails, ${out.reason}`;
      const reads = sink.steps.flatMap(accessOf);
      this.unreported.push(
        kvmStep(
          'walk_addr',
          `walks the guest's tables in software for GVA ${hex(linear)}: ${end}`,
          cost('kvmHandler') + cost('tableReference', reads.length),
          {
            addresses: walked ? { gva: gva(linear), gpa: gpa(out.address) } : { gva: gva(linear) },
            reads,
            writes,
          },
        ),
      );
    }
    if (walked) return gpa(out.address);
    // an entry outside all memslots is also the guest's #PF: walk_addr fails with the error code of an entry that is
    // not present
    core.event = {
      kind: 'fault',
      vector: VECTOR.PF,
      why: pageFaultReason(out, access, controls),
      errorCode: pageFaultErrorCode(out.reason, access, controls, out),
      cr2: linear,
      access: access.op,
    };
    return undefined;
  }

  /** Offset of the RAM at `address`, faulted in on the host if needed; −1 if there is none that this access may use. */
  private locateData(address: Gpa, write: boolean): number {
    const slot = this.vm.memslots.find(address);
    if (!slot || (write && slot.readonly)) return -1;
    const found = drain(this.vm.space.resolve(slotHva(slot, address), write), (s) => this.unreported.push(s));
    if (!found.ok) {
      this.failure = `the host gives no page for GPA ${hex(address)}`;
      return -1;
    }
    // kvm_vcpu_write_guest marks the pages it writes dirty; walk_addr does so for the flags it sets
    if (write) this.vm.markPageDirty(address);
    return this.memory.offsetOf(found.value);
  }

  private readRam(p: Piece): bigint {
    let value = 0n;
    for (let i = p.size - 1; i >= 0; i--) value = (value << 8n) | BigInt(this.memory.u8[p.at + i] ?? 0);
    return value;
  }
  private writeRam(p: Piece, value: bigint): void {
    this.memory.noteWrite(p.at, p.size);
    for (let i = 0; i < p.size; i++) this.memory.u8[p.at + i] = Number((value >> BigInt(i * 8)) & 0xffn);
    // kvm_page_track_write
    const tracked = this.vm.shadow?.pteWrite(p.gpa, p.size);
    if (tracked) this.unreported.push(tracked);
  }
}

function suspend(core: Core): false {
  core.event = { kind: 'suspend' };
  return false;
}

function accessOf(s: WalkStep): TableAccess[] {
  return s.entryHpa === undefined
    ? []
    : [
        {
          table: 'guest',
          level: s.level,
          index: s.index,
          address: s.entryHpa as TableAccess['address'],
          value: s.entry,
        },
      ];
}
