import { bit } from '../../../base/bits';
import { VECTOR } from '../../../isa/exceptions';
import { because, type FaultReason } from '../../../isa/reasons/index';
import { CR0, CR4, EFER } from '../../../isa/flags';
import { RIGHTS, SEG, SLOT } from '../../state/layout';
import type { Core } from '../core';
import { SYS_TYPE, typeOf } from './descriptor';
import { isLong, isLong64 } from './modes';
import { deny } from './raise';

/** Bits of CR0 that exist; writes to the others are ignored. ET is always one. */
const CR0_MASK = 0xe005_003fn;
const CR0_ET = 1n << BigInt(CR0.ET);
const LMA = 1n << BigInt(EFER.LMA);

const changed = (old: bigint, value: bigint, ...positions: readonly number[]): boolean =>
  positions.some((n) => bit(old ^ value, n));
const gp = (core: Core, why: FaultReason): false => deny(core, VECTOR.GP, why, 0);

/** Whether CR0, CR4 and EFER select PAE paging (SDM vol. 3, 4.1.1). */
const isPaePaging = (cr0: bigint, cr4: bigint, efer: bigint): boolean =>
  bit(cr0, CR0.PG) && bit(cr4, CR4.PAE) && !bit(efer, EFER.LME);

/** Bits from `width` to 63. */
const above = (width: number): bigint => ((1n << 64n) - 1n) ^ ((1n << BigInt(width)) - 1n);
/** Reserved bits of a PDPTE: 2:1, 8:5, and from MAXPHYADDR up (SDM vol. 3, table 4-8). */
const PDPTE_RESERVED_LOW = 0x1e6n;

/**
 * Loads the four PDPTEs of PAE paging from the 32-byte table at CR3 bits 31:5. A present entry with reserved bits is #GP(0), and then none is loaded
 * (SDM vol. 3, 4.4.1). False: event set.
 */
export function loadPdptes(core: Core, cr3: bigint): boolean {
  if (core.port.loadsPdptes === false) return true;
  const reserved = PDPTE_RESERVED_LOW | above(core.model.physicalBits);
  const entries: bigint[] = [];
  for (let i = 0n; i < 4n; i++) {
    const entry = core.port.readPhysical(core, (cr3 & 0xffff_ffe0n) + i * 8n);
    if (entry === undefined) return false;
    if ((entry & 1n) !== 0n && (entry & reserved) !== 0n) return gp(core, because('pdpte', Number(i), entry, reserved));
    entries.push(entry);
  }
  entries.forEach((entry, i) => core.state.set(SLOT.PDPTE0 + i, entry));
  return true;
}

/** What MOV from CR0 or CR4, and SMSW, show. */
export function shownControl(core: Core, cr: 0 | 4): bigint {
  return core.intercepts ? core.intercepts.readControl(core, cr) : core.state.get(cr === 0 ? SLOT.CR0 : SLOT.CR4);
}

/**
 * CR0 ← value with the checks of MOV to CR0 (SDM vol. 2, MOV control registers; vol. 3, 2.5, 4.1.2 and 9.8.5): PG needs PE, NW needs CD; turning paging on
 * with EFER.LME needs CR4.PAE, a CS that is not 64-bit and a TSS that is not 16-bit, and sets LMA; turning it off is refused in 64-bit mode and with PCIDE.
 * False: event set, nothing changed.
 */
export function setCr0(core: Core, wanted: bigint): boolean {
  const s = core.state;
  if (wanted >> 32n !== 0n) return gp(core, because('cr0-upper', wanted));
  const old = s.get(SLOT.CR0);
  let value = (wanted & CR0_MASK) | CR0_ET;
  if (core.intercepts) value = core.intercepts.writeControl(core, 0, value);
  if (bit(value, CR0.PG) && !bit(value, CR0.PE)) return gp(core, because('cr0-pg-pe'));
  if (bit(value, CR0.NW) && !bit(value, CR0.CD)) return gp(core, because('cr0-nw-cd'));
  const cr4 = s.get(SLOT.CR4);
  const efer = s.get(SLOT.EFER);
  const on = !bit(old, CR0.PG) && bit(value, CR0.PG);
  const off = bit(old, CR0.PG) && !bit(value, CR0.PG);
  if (on && bit(efer, EFER.LME)) {
    const tss = typeOf(s.get32(SLOT.RIGHTS + SEG.TR));
    if (!bit(cr4, CR4.PAE)) return gp(core, because('cr0-pg-pae'));
    if ((s.get32(SLOT.RIGHTS + SEG.CS) & RIGHTS.L) !== 0) return gp(core, because('cr0-pg-cs-l'));
    if (tss === SYS_TYPE.TSS16_BUSY || tss === SYS_TYPE.TSS16) return gp(core, because('cr0-pg-tss'));
  }
  if (off && isLong64(s)) return gp(core, because('cr0-pg-long'));
  if (off && bit(cr4, CR4.PCIDE)) return gp(core, because('cr0-pg-pcide'));
  if (
    isPaePaging(value, cr4, efer) &&
    changed(old, value, CR0.PG, CR0.CD, CR0.NW) &&
    !loadPdptes(core, s.get(SLOT.CR3))
  )
    return false;

  s.set(SLOT.CR0, value);
  if (on && bit(efer, EFER.LME)) s.set(SLOT.EFER, efer | LMA);
  if (off) s.set(SLOT.EFER, efer & ~LMA);
  // real mode runs at privilege level 0
  if (!bit(value, CR0.PE)) s.cpl = 0;
  core.port.controlsChanged(core);
  // a change of PG or PE invalidates everything, global or not (SDM vol. 3, 4.10.4.1 and 11.9)
  if (changed(old, value, CR0.PG, CR0.PE)) core.port.flush(core, true);
  return true;
}

/**
 * CR3 ← value. With CR4.PCIDE, bit 63 says that the new PCID's translations stay and is not stored. In IA-32e mode bits from MAXPHYADDR up are reserved;
 * PAE paging loads the PDPTEs. False: event set.
 */
export function setCr3(core: Core, wanted: bigint): boolean {
  const s = core.state;
  const cr4 = s.get(SLOT.CR4);
  const keep = bit(cr4, CR4.PCIDE) && bit(wanted, 63);
  const value = keep ? wanted & ~(1n << 63n) : wanted;
  const { physicalBits } = core.model;
  if ((value & above(physicalBits)) !== 0n) return gp(core, because('cr3-reserved', value, physicalBits));
  if (isPaePaging(s.get(SLOT.CR0), cr4, s.get(SLOT.EFER)) && !loadPdptes(core, value)) return false;
  s.set(SLOT.CR3, value);
  core.port.cr3Loaded(core, keep);
  return true;
}

/**
 * CR4 ← value (SDM vol. 2, MOV control registers; vol. 3, 2.5, 4.10.1 and 4.10.4.1). Reserved are the bits whose feature the CPU model lacks. PAE and LA57
 * cannot change in IA-32e mode; PCIDE can be set only in it, with CR3 bits 11:0 zero. False: event set, nothing changed.
 */
export function setCr4(core: Core, wanted: bigint): boolean {
  const s = core.state;
  const old = s.get(SLOT.CR4);
  const value = core.intercepts ? core.intercepts.writeControl(core, 4, wanted) : wanted;
  const reserved = ~core.model.cr4Mask;
  if ((value & reserved) !== 0n) return gp(core, because('cr4-reserved', value, reserved));
  if (isLong(s) && changed(old, value, CR4.PAE)) return gp(core, because('cr4-pae'));
  if (isLong(s) && changed(old, value, CR4.LA57)) return gp(core, because('cr4-la57'));
  if (!bit(old, CR4.PCIDE) && bit(value, CR4.PCIDE)) {
    const cr3 = s.get(SLOT.CR3);
    if (!isLong(s)) return gp(core, because('cr4-pcide-mode'));
    if ((cr3 & 0xfffn) !== 0n) return gp(core, because('cr4-pcide-cr3', cr3));
  }
  if (
    isPaePaging(s.get(SLOT.CR0), value, s.get(SLOT.EFER)) &&
    changed(old, value, CR4.PAE, CR4.PGE, CR4.PSE, CR4.SMEP) &&
    !loadPdptes(core, s.get(SLOT.CR3))
  )
    return false;

  s.set(SLOT.CR4, value);
  core.port.controlsChanged(core);
  // PSE, PGE and PAE, and PCIDE from 1 to 0, invalidate global entries too (SDM vol. 3, 4.10.4.1 and 11.9); LA57 changes only without paging
  if (changed(old, value, CR4.PSE, CR4.PGE, CR4.PAE) || (bit(old, CR4.PCIDE) && !bit(value, CR4.PCIDE)))
    core.port.flush(core, true);
  else if (!bit(old, CR4.SMEP) && bit(value, CR4.SMEP)) core.port.flush(core, false);
  return true;
}

/** CR8, the task-priority register: bits 3:0; the others are reserved. False: event set. */
export function setCr8(core: Core, value: bigint): boolean {
  if ((value & ~0xfn) !== 0n) return gp(core, because('cr8-reserved', value));
  core.state.set(SLOT.CR8, value);
  core.apic?.setPriority(Number(value));
  return true;
}
