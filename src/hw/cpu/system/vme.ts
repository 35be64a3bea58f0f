import { VECTOR } from '../../../isa/exceptions';
import { because } from '../../../isa/reasons/index';
import { CR4, IOPL_SHIFT, RFLAGS } from '../../../isa/flags';
import type { CpuState } from '../../state/cpu-state';
import { SEG, SLOT } from '../../state/layout';
import { SYS_EVENT, SYS_JUMPED, type Core, type SysResult } from '../core';
import { tableAddress } from './descriptor';
import { cr4Bit, iopl, isProtected, isV86 } from './modes';
import { deny, fault } from './raise';
import { v86Segment } from './segments';
import { currentStack, Pushes } from './stack';

/** Virtual-8086 mode extensions and protected-mode virtual interrupts (SDM vol. 3, 20.3 and 20.4): VIF stands in for IF, VIP holds an interrupt that waits. */

const flag = (n: number): bigint => 1n << BigInt(n);
const IF = flag(RFLAGS.IF);
const TF = flag(RFLAGS.TF);
const VIF = flag(RFLAGS.VIF);
const VIP = flag(RFLAGS.VIP);
const IOPL = 3n << BigInt(IOPL_SHIFT);

/** A virtual-8086 program that IOPL keeps from IF, and that CR4.VME gives VIF instead. */
export const hasVirtualFlags = (s: CpuState): boolean => isV86(s) && iopl(s) < 3 && cr4Bit(s, CR4.VME);

/** CLI and STI change VIF: also in protected mode at CPL 3, with CR4.PVI. */
export const hasVirtualIf = (s: CpuState): boolean =>
  hasVirtualFlags(s) || (isProtected(s) && !isV86(s) && s.cpl === 3 && iopl(s) < 3 && cr4Bit(s, CR4.PVI));

export const clearVirtualIf = (s: CpuState): void => s.setSystemFlag(RFLAGS.VIF, false);
/** VIF ← 1. While an interrupt waits that is #GP(0), for the monitor to deliver it. */
export function setVirtualIf(core: Core): boolean {
  if (core.state.systemFlag(RFLAGS.VIP)) return deny(core, VECTOR.GP, because('virtual-interrupt'), 0);
  core.state.setSystemFlag(RFLAGS.VIF, true);
  return true;
}

/** FLAGS as such a program pushes them: VIF in IF's place, and IOPL 3. */
export function virtualFlags(s: CpuState): bigint {
  const flags = s.rflags;
  return (flags & ~IF) | IOPL | ((flags & VIF) !== 0n ? IF : 0n);
}
/** What POPF and IRET with 16-bit operands make of RFLAGS: IF goes to VIF, IOPL stays. Undefined: #GP(0), for TF, or for IF while an interrupt waits. `may`: flags that the image reaches. */
export function withVirtualFlags(core: Core, image: bigint, may: bigint): bigint | undefined {
  const flags = core.state.rflags;
  if ((image & TF) !== 0n) return fault(core, VECTOR.GP, because('virtual-trap'), 0);
  if ((image & IF) !== 0n && (flags & VIP) !== 0n) return fault(core, VECTOR.GP, because('virtual-interrupt'), 0);
  const reached = may & ~(IF | IOPL);
  return (flags & ~reached & ~VIF) | (image & reached) | ((image & IF) !== 0n ? VIF : 0n);
}

const IO_MAP_BASE = 0x66n;
const MINIMUM_TSS_LIMIT = 103;
const REDIRECTION_BYTES = 32n;
/**
 * Whether INT n in virtual-8086 mode goes to the 8086 program's own handler: with CR4.VME, where the vector's bit in the TSS's redirection map, the 32 bytes below the I/O map,
 * is 0 (table 20-2). Undefined: event set.
 */
export function isRedirected(core: Core, vector: number): boolean | undefined {
  const s = core.state;
  if (!isV86(s) || !cr4Bit(s, CR4.VME)) return false;
  const limit = s.get32(SLOT.LIMIT + SEG.TR);
  if (limit < MINIMUM_TSS_LIMIT) return fault(core, VECTOR.GP, because('redirection-map', limit), 0);
  const base = s.get(SLOT.TR_BASE);
  const map = core.readSystem(tableAddress(core, base, Number(IO_MAP_BASE)), 2);
  if (map === undefined) return undefined;
  const at = Number(map - REDIRECTION_BYTES) + (vector >> 3);
  if (at < 0 || at > limit) return fault(core, VECTOR.GP, because('redirection-map', limit), 0);
  const byte = core.readSystem(tableAddress(core, base, at), 1);
  return byte === undefined ? undefined : ((byte >> BigInt(vector & 7)) & 1n) === 0n;
}

/** Methods 5 and 6 of table 20-2: as in real mode, through the table at linear address 0, and still in virtual-8086 mode. */
export function redirect(core: Core, vector: number): SysResult {
  const s = core.state;
  const entry = core.readSystem(BigInt(vector * 4), 4);
  if (entry === undefined) return SYS_EVENT;
  const virtual = iopl(s) < 3;
  const pushes = new Pushes(core, currentStack(core))
    .push(virtual ? virtualFlags(s) : s.rflags, 2)
    .push(BigInt(s.get32(SLOT.SELECTOR + SEG.CS)), 2)
    .push(core.nextRip, 2);
  if (!pushes.write()) return SYS_EVENT;
  pushes.commit();
  for (const n of [RFLAGS.TF, RFLAGS.RF, virtual ? RFLAGS.VIF : RFLAGS.IF]) s.setSystemFlag(n, false);
  s.setSegment(SEG.CS, v86Segment(Number(entry >> 16n)));
  s.rip = entry & 0xffffn;
  return SYS_JUMPED;
}
