import { isCanonical } from '../../base/bits';
import { VECTOR } from '../../isa/exceptions';
import { because } from '../../isa/reasons/index';
import {
  ACCESS_OF_CLASS,
  CLASS_FETCH,
  CLASS_READ,
  CLASS_WRITE,
  WHO_SUPERVISOR,
  WHO_USER,
  type Access,
} from '../paging/access';
import { FORMATS } from '../paging/controls';
import { IMPLICIT_READ, IMPLICIT_WRITE, type Core, type MemoryPort } from './core';
import { DEVICE, Translation } from './translation';
import { isAligned } from './system/alignment';

/** A CPU's memory port: reads, writes and fetches by size, over as many pages as they touch, in RAM and devices. */
export class Mmu extends Translation implements MemoryPort {
  /** Linear addresses must be canonical for the current width; outside paging they are 32 bits wide in all modes we run without it. */
  private canonical(core: Core, linear: bigint, size: number): boolean {
    const format = this.controls.format;
    const width = format === 'none' ? 64 : FORMATS[format].linearBits;
    if (width <= 32 || width === 64) return true;
    if (isCanonical(linear, width) && isCanonical(BigInt.asUintN(64, linear + BigInt(size - 1)), width)) return true;
    core.raise(VECTOR.GP, because('address-canonical', linear, width), 0);
    return false;
  }
  private nextPage(linear: bigint): bigint {
    const next = (linear & ~0xfffn) + 4096n;
    return this.controls.format === '4level' || this.controls.format === '5level'
      ? BigInt.asUintN(64, next)
      : next & 0xffff_ffffn;
  }

  load(core: Core, linear: bigint, size: number, access: Access, dst: number, intent: boolean): boolean {
    if (!this.canonical(core, linear, size) || !isAligned(core, linear, size, access)) return false;
    let cls = this.classOf(access);
    if (intent) cls += CLASS_WRITE - CLASS_READ;
    const first = this.translate(core, linear, cls);
    if (first === -1) return false;
    if (this.watch && access !== IMPLICIT_READ) this.watch.access(linear, size, false);
    if (first === DEVICE) return this.loadPieces(core, linear, size, cls, dst);
    const view = this.memory.view;
    const r32 = this.state.r32;
    const here = 4096 - Number(linear & 0xfffn);
    if (size <= here) {
      r32[dst * 2] =
        size === 1 ? view.getUint8(first) : size === 2 ? view.getUint16(first, true) : view.getInt32(first, true);
      r32[dst * 2 + 1] = size === 8 ? view.getInt32(first + 4, true) : 0;
      return true;
    }
    const second = this.translate(core, this.nextPage(linear), cls);
    if (second === -1) return false;
    if (second === DEVICE) return this.loadPieces(core, linear, size, cls, dst);
    let value = 0n;
    for (let i = size - 1; i >= 0; i--)
      value = (value << 8n) | BigInt(view.getUint8(i < here ? first + i : second + i - here));
    this.state.set(dst, value);
    return true;
  }

  store(core: Core, linear: bigint, size: number, access: Access, src: number): boolean {
    if (!this.canonical(core, linear, size) || !isAligned(core, linear, size, access)) return false;
    const cls = this.classOf(access);
    const first = this.translate(core, linear, cls);
    if (first === -1) return false;
    if (this.watch && access !== IMPLICIT_WRITE) this.watch.access(linear, size, true);
    if (first === DEVICE) return this.storePieces(core, linear, size, cls, src);
    const view = this.memory.view;
    const r32 = this.state.r32;
    const here = 4096 - Number(linear & 0xfffn);
    if (size <= here) {
      this.memory.noteWrite(first, size);
      const lo = r32[src * 2] as number;
      if (size === 1) view.setInt8(first, lo);
      else if (size === 2) view.setInt16(first, lo, true);
      else view.setInt32(first, lo, true);
      if (size === 8) view.setInt32(first + 4, r32[src * 2 + 1] as number, true);
      return true;
    }
    const second = this.translate(core, this.nextPage(linear), cls);
    if (second === -1) return false;
    if (second === DEVICE) return this.storePieces(core, linear, size, cls, src);
    this.memory.noteWrite(first, here);
    this.memory.noteWrite(second, size - here);
    let value = this.state.get(src);
    for (let i = 0; i < size; i++, value >>= 8n)
      view.setUint8(i < here ? first + i : second + i - here, Number(value & 0xffn));
    return true;
  }

  probe(core: Core, linear: bigint, size: number, access: Access): boolean {
    if (!this.canonical(core, linear, size) || !isAligned(core, linear, size, access)) return false;
    const cls = this.classOf(access);
    if (this.translate(core, linear, cls) === -1) return false;
    return Number(linear & 0xfffn) + size <= 4096 || this.translate(core, this.nextPage(linear), cls) !== -1;
  }

  // ---- accesses of which at least a part goes to a device

  /** The parts of an access, one a page, with where each goes; undefined: `core.event` is set. */
  private pieces(core: Core, linear: bigint, size: number, cls: number): readonly Piece[] | undefined {
    const here = Math.min(size, 4096 - Number(linear & 0xfffn));
    const out: Piece[] = [];
    for (const [start, n] of [
      [linear, here],
      [this.nextPage(linear), size - here],
    ] as const) {
      if (n === 0) continue;
      const at = this.translate(core, start, cls);
      if (at === -1) return undefined;
      out.push({ at, address: this.deviceAddress, size: n });
    }
    return out;
  }
  private loadPieces(core: Core, linear: bigint, size: number, cls: number, dst: number): boolean {
    const { platform, memory } = this;
    const pieces = this.pieces(core, linear, size, cls);
    if (!pieces || !platform) return false;
    let value = 0n;
    let shift = 0n;
    for (const p of pieces) {
      let part: bigint | undefined = 0n;
      if (p.at === DEVICE) part = platform.read(core, p.address, p.size);
      else for (let i = p.size - 1; i >= 0; i--) part = (part << 8n) | BigInt(memory.view.getUint8(p.at + i));
      if (part === undefined) return false;
      value |= BigInt.asUintN(p.size * 8, part) << shift;
      shift += BigInt(p.size * 8);
    }
    this.state.set(dst, value);
    return true;
  }
  private storePieces(core: Core, linear: bigint, size: number, cls: number, src: number): boolean {
    const { platform, memory } = this;
    const pieces = this.pieces(core, linear, size, cls);
    if (!pieces || !platform) return false;
    const value = this.state.get(src);
    let shift = 0n;
    // devices first: an instruction that waits for one must not have stored anything
    for (const p of pieces) {
      const part = BigInt.asUintN(p.size * 8, value >> shift);
      if (p.at === DEVICE && !platform.write(core, p.address, p.size, part)) return false;
      shift += BigInt(p.size * 8);
    }
    shift = 0n;
    for (const p of pieces) {
      if (p.at !== DEVICE) {
        memory.noteWrite(p.at, p.size);
        for (let i = 0; i < p.size; i++)
          memory.view.setUint8(p.at + i, Number((value >> (shift + BigInt(8 * i))) & 0xffn));
      }
      shift += BigInt(p.size * 8);
    }
    return true;
  }

  readPhysical(core: Core, address: bigint): bigint | undefined {
    const { out, physical } = this.walk;
    const at = this.walk.locate(address, false, out, undefined);
    if (at >= 0) return this.memory.view.getBigUint64(at, true);
    if (physical !== undefined && out.failedTable === 'guest') return 0n;
    this.walkFailed(core, address, ACCESS_OF_CLASS[CLASS_READ + WHO_SUPERVISOR] as Access);
    return undefined;
  }

  /** Offset of the code byte at `linear`, asking the TLB; −1 with `core.event` set. */
  fetch(core: Core, linear: bigint): number {
    if (!this.canonical(core, linear, 1)) return -1;
    const at = this.translate(core, linear, CLASS_FETCH + (this.state.cpl === 3 ? WHO_USER : WHO_SUPERVISOR));
    return at === DEVICE ? this.memoryAbsent(core, this.deviceAddress, 'fetch') : at;
  }
}

/** A part of an access within one page: its offset in the machine's memory, or DEVICE and its physical address. */
interface Piece {
  readonly at: number;
  readonly address: bigint;
  readonly size: number;
}
