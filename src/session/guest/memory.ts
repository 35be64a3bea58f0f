import type { Space } from '../../base/address';
import { gpa as asGpa, hpa as asHpa, hva as asHva } from '../../base/address';
import { err, ok } from '../../base/result';
import { drain } from '../../trace/step';
import type { Answer } from '../answer';
import { sessionError } from '../diagnostics';
import type { GuestView } from './view';
import { softwareGpa } from '../translate/translate';
import type { MemoryRead, SpaceAddress } from '../types';

const PAGE = 4096n;

/** What lies at an address: bytes in host memory, a page that is in swap or that nobody has touched (all zeros when somebody will), or nothing. */
type Backing =
  | { readonly kind: 'frame'; readonly offset: number }
  /** Not in host memory: in swap, or not touched yet. */
  | { readonly kind: 'away'; readonly page: Uint8Array }
  | { readonly kind: 'nothing' };

/**
 * Reading and writing memory in the four spaces, as a debugger of the VMM's process would: through memslots and host tables, never through the
 * guest's TLB, and without making anything happen. A page in swap reads as what it holds, one that nobody has touched as zeros, which is what the host kernel
 * would supply; only writing to it makes the host supply it.
 */
export class MemoryAccess {
  constructor(private readonly guest: GuestView) {}

  read(at: SpaceAddress, length: number): MemoryRead {
    const bytes = new Uint8Array(length);
    let done = 0;
    while (done < length) {
      const address = BigInt.asUintN(64, at.value + BigInt(done));
      const here = Math.min(length - done, Number(PAGE - (address % PAGE)));
      const found = this.backing(at.space, address);
      if (found.kind === 'nothing') break;
      if (found.kind === 'frame')
        bytes.set(this.guest.physical.memory.u8.subarray(found.offset, found.offset + here), done);
      else {
        const within = Number(address % PAGE);
        bytes.set(found.page.subarray(within, within + here), done);
      }
      done += here;
    }
    return { address: at, bytes: bytes.subarray(0, done), unreadable: this.gap(at, done, length) };
  }
  /** How far nothing can be read from `from` on, at most up to `to`. */
  private gap(at: SpaceAddress, from: number, to: number): number {
    let end = from;
    while (end < to) {
      const address = BigInt.asUintN(64, at.value + BigInt(end));
      if (end > from && this.backing(at.space, address).kind !== 'nothing') break;
      end = Math.min(to, end + Number(PAGE - (address % PAGE)));
    }
    return end - from;
  }

  /** A little-endian number of `size` bytes, or undefined where one of them cannot be read. */
  readNumber(space: Space, address: bigint, size: number): bigint | undefined {
    const { bytes, unreadable } = this.read({ space, value: address }, size);
    return unreadable > 0 ? undefined : bytes.reduceRight((n, b) => (n << 8n) | BigInt(b), 0n);
  }

  /** How many bytes were written: fewer than given where the next one cannot be. */
  write(at: SpaceAddress, bytes: Uint8Array): number {
    let done = 0;
    while (done < bytes.length) {
      const address = BigInt.asUintN(64, at.value + BigInt(done));
      const here = Math.min(bytes.length - done, Number(PAGE - (address % PAGE)));
      const piece = bytes.subarray(done, done + here);
      if (!this.writePage(at.space, address, piece)) break;
      done += here;
    }
    return done;
  }

  /** A write by hand: the number of bytes written; stops at the first that cannot be. */
  edit(at: SpaceAddress, bytes: Uint8Array): Answer<number> {
    const written = this.write(at, bytes);
    if (written === 0 && bytes.length > 0)
      return err([sessionError('noMemory', `there is no memory at ${formatReference(at)}`, 'memory')]);
    this.guest.refresh();
    return ok(written);
  }

  private writePage(space: Space, address: bigint, piece: Uint8Array): boolean {
    const { memory } = this.guest.physical;
    if (space === 'hpa') {
      if (!memory.contains(address, piece.length)) return false;
      memory.write(asHpa(address), piece);
      return true;
    }
    const hva = this.hvaOf(space, address);
    return hva !== undefined && drain(this.guest.host.write(asHva(hva), piece)).ok;
  }

  private backing(space: Space, address: bigint): Backing {
    const { physical, host } = this.guest;
    if (space === 'hpa') return frame(physical.memory.offsetOf(address));
    const hva = this.hvaOf(space, address);
    if (hva === undefined) return { kind: 'nothing' };
    const found = host.lookup(asHva(hva));
    if (found) return frame(physical.memory.offsetOf(found.hpa));
    const page = host.peekPage(asHva(hva));
    return page ? { kind: 'away', page } : { kind: 'nothing' };
  }

  private hvaOf(space: Exclude<Space, 'hpa'>, address: bigint): bigint | undefined {
    switch (space) {
      case 'hva':
        return address;
      case 'gpa':
        return this.guest.physical.hvaOf(asGpa(address));
      case 'gva': {
        const gpa = softwareGpa(this.guest, address);
        return gpa === undefined ? undefined : this.guest.physical.hvaOf(gpa);
      }
    }
  }
}

const frame = (offset: number): Backing => (offset < 0 ? { kind: 'nothing' } : { kind: 'frame', offset });

/** `gpa:0x5000`; a plain `0x7c00` is a linear address. */
export function parseReference(text: string): SpaceAddress | undefined {
  const match = /^(?:(gva|gpa|hva|hpa):)?(0x[0-9a-f]+|\d+)$/i.exec(text.trim());
  if (!match?.[2]) return undefined;
  const value = BigInt(match[2]);
  if (value >> 64n !== 0n) return undefined;
  return { space: (match[1]?.toLowerCase() ?? 'gva') as Space, value };
}
export const formatReference = (at: SpaceAddress): string =>
  (at.space === 'gva' ? '' : `${at.space}:`) + `0x${at.value.toString(16)}`;
