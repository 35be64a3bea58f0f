/** The way back: from a host address to every guest address that leads there. */
import { hva as asHva } from '../../base/address';
import type { TableRef } from '../../host/table-view';
import { FORMATS, levelShift } from '../../hw/paging/controls';
import { FRAME_MASK, PTE_P, PTE_PS } from '../../isa/entries';
import { accessOf, translateGpa } from './translate';
import type { ShadowMmu } from '../../kvm/mmu/shadow/mmu';
import { shadowMappings } from '../tables/shadow-rmap';
import type { ReverseChain, ShadowMapping } from './translation';
import type { Translator } from './translator';

/** At most so many addresses are listed: a guest may map one page a million times. */
const MAX_FOUND = 64;

export function reverseHpa(t: Translator, hpa: bigint): ReverseChain {
  const hvas = hvasOf(t, hpa);
  const gpas = hvas.flatMap((a) => t.physical.gpasOf(a));
  return answer(t, gpas, hvas[0], hpa);
}

export function reverseHva(t: Translator, hva: bigint): ReverseChain {
  const gpas = t.physical.gpasOf(hva);
  const host = t.host.lookup(asHva(hva));
  return answer(t, gpas, hva, host?.hpa);
}

function answer(
  t: Translator,
  gpas: readonly bigint[],
  hva: bigint | undefined,
  hpa: bigint | undefined,
): ReverseChain {
  const gvas = gpas.flatMap((g) => linearAddressesOf(t, g)).slice(0, MAX_FOUND);
  const [gpa] = gpas;
  const chain = gpa === undefined ? undefined : translateGpa(t, gpa, accessOf({ address: gpa, space: 'gpa' }, 0));
  const where = hpa === undefined ? 'HVA' : 'HPA';
  return {
    ok: gpas.length > 0,
    gva: gvas,
    gpa: gpas.slice(0, MAX_FOUND),
    ...(hva === undefined ? {} : { hva }),
    ...(hpa === undefined ? {} : { hpa }),
    ...(t.shadow ? { rmap: rmapOf(t.shadow, gpas) } : {}),
    stages: chain?.stages ?? [],
    ...(gpas.length > 0
      ? {}
      : {
          failure: {
            stage: 'memslot',
            reason: t.emulated ? 'no memory region' : 'no memslot',
            explanation: `No ${t.emulated ? 'memory region' : 'memslot'} leads to this ${where}: it is not guest memory.`,
          } as const,
        }),
  };
}

const rmapOf = (shadow: ShadowMmu, gpas: readonly bigint[]): readonly ShadowMapping[] =>
  gpas.flatMap((g) => shadowMappings(shadow, g)).slice(0, MAX_FOUND);

/** Every HVA of the VMM whose host page holds `hpa`: a search over the leaves of its tables. */
function hvasOf(t: Translator, hpa: bigint): bigint[] {
  const out: bigint[] = [];
  const visit = (ref: TableRef): void => {
    for (const e of t.host.readTable(ref)) {
      if (out.length >= MAX_FOUND) return;
      if (e.child) visit(e.child);
      else if (e.leaf && e.target !== undefined && hpa >= e.target && hpa < e.target + e.size)
        out.push(e.start + (hpa - e.target));
    }
  };
  visit(t.host.rootTable());
  return out;
}

/**
 * Every linear address that the guest's tables map to `gpa`. Tables are guest memory and may point at each other in circles, so what lies
 * below a table is looked at once per (table, level) when it holds nothing, and the number of results is bounded.
 */
export function linearAddressesOf(t: Translator, gpa: bigint): bigint[] {
  const { format } = t.controls;
  if (format === 'none') return [gpa];
  const { levels, entryBytes, indexBits, linearBits } = FORMATS[format];
  const view = t.physical.memory.view;
  const found: bigint[] = [];
  const empty = new Set<string>();

  const visit = (table: bigint, level: number, start: bigint): void => {
    const key = `${level}/${table}`;
    if (empty.has(key) || found.length >= MAX_FOUND) return;
    const before = found.length;
    const shift = BigInt(levelShift(format, level));
    const inRegisters = format === 'pae' && level === 3 && t.pdptes !== undefined;
    const base = inRegisters ? 0 : t.physical.offsetOf(table);
    const count = format === 'pae' && level === 3 ? 4 : 1 << indexBits;
    for (let index = 0; base >= 0 && index < count && found.length < MAX_FOUND; index++) {
      const entry = inRegisters
        ? (t.pdptes?.[index] ?? 0n)
        : entryBytes === 8
          ? view.getBigUint64(base + index * 8, true)
          : BigInt(view.getUint32(base + index * 4, true));
      if ((entry & PTE_P) === 0n) continue;
      const from = start + (BigInt(index) << shift);
      const large =
        level > 1 && level <= 3 && !inRegisters && (entry & PTE_PS) !== 0n && (format !== '32bit' || t.controls.pse);
      if (level > 1 && !large) {
        visit(format === '32bit' ? entry & 0xffff_f000n : entry & FRAME_MASK, level - 1, from);
        continue;
      }
      const mask = (1n << shift) - 1n;
      const frame = entry & FRAME_MASK & ~mask;
      if ((gpa & ~mask) === frame) found.push(canonical(from + (gpa & mask), linearBits));
    }
    if (found.length === before) empty.add(key);
  };
  visit(format === '32bit' ? t.cr3 & 0xffff_f000n : t.cr3 & FRAME_MASK, levels, 0n);
  return found;
}

/** Upper halves of the address space have their high bits set. */
const canonical = (a: bigint, bits: number): bigint => (bits === 32 ? a : BigInt.asUintN(64, BigInt.asIntN(bits, a)));
