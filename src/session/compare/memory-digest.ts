/** What guest RAM holds, in a form that two runs can compare. */
import { gpa as asGpa, hva as asHva } from '../../base/address';
import { slotHva } from '../../kvm/memslots';
import type { Machine } from '../../vmm/machine';

/** Contents of guest RAM: a digest of each page that is not all zeros, by GPA. Pages that nobody touched are zeros. */
export type RamDigest = ReadonlyMap<bigint, bigint>;

const PAGE = 4096n;
const PIECE = 0x20_0000n;
/** FNV-1a over 32-bit words, two lanes of 32 bits with different primes: no cryptography, but two pages that differ are told apart. */
const OFFSETS = [0x811c_9dc5, 0x9747_b28c] as const;
const PRIMES = [0x0100_0193, 0x85eb_ca6b] as const;

/** Reads tables and pages and changes nothing; comes back after each 2 MiB, since a guest can be large. */
export function* ramDigest({ ram, host }: Machine): Generator<void, RamDigest, void> {
  const out = new Map<bigint, bigint>();
  for (const slot of ram.memslots.all) {
    const end = slot.hva + (slot.end - slot.start);
    for (let start = slot.hva as bigint; start < end; start = (start | (PIECE - 1n)) + 1n) {
      const pieceEnd = (start | (PIECE - 1n)) + 1n;
      const pages: bigint[] = [];
      // what was never touched is in no table; places of swap entries are among the leaves
      host.tables.each(asHva(start), asHva(pieceEnd < end ? pieceEnd : end), (first, leaf) => {
        const last = first + (1n << BigInt(12 + 9 * (leaf.level - 1)));
        for (let at = first > start ? (first as bigint) : start; at < last && at < pieceEnd; at += PAGE) pages.push(at);
      });
      for (const at of pages) {
        const gpa = slot.start + (at - slot.hva);
        const page = gpa < slot.end ? host.peekPage(slotHva(slot, asGpa(gpa))) : undefined;
        const digest = page && pageDigest(page);
        if (digest !== undefined) out.set(gpa, digest);
      }
      if (pages.length > 0) yield;
    }
  }
  return out;
}

/** One number for all of RAM. */
export function digestOf(pages: RamDigest): bigint {
  let [a, b] = OFFSETS as readonly [number, number];
  for (const [gpa, digest] of [...pages].sort(([x], [y]) => (x < y ? -1 : 1))) {
    for (const word of [gpa, gpa >> 32n, digest, digest >> 32n]) {
      const w = Number(BigInt.asUintN(32, word));
      a = Math.imul(a ^ w, PRIMES[0]);
      b = Math.imul(b ^ w, PRIMES[1]) ^ (b >>> 15);
    }
  }
  return (BigInt(a >>> 0) << 32n) | BigInt(b >>> 0);
}

function pageDigest(page: Uint8Array): bigint | undefined {
  const view = new DataView(page.buffer, page.byteOffset, page.byteLength);
  let [a, b] = OFFSETS as readonly [number, number];
  let any = 0;
  for (let i = 0; i < page.byteLength; i += 4) {
    const w = view.getUint32(i, true);
    any |= w;
    a = Math.imul(a ^ w, PRIMES[0]);
    b = Math.imul(b ^ w, PRIMES[1]) ^ (b >>> 15);
  }
  return any === 0 ? undefined : (BigInt(a >>> 0) << 32n) | BigInt(b >>> 0);
}
