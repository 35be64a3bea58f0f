import { invariant } from '../../../base/assert';
import { VECTOR } from '../../../isa/exceptions';
import { because } from '../../../isa/reasons/index';
import { RFLAGS } from '../../../isa/flags';
import { RIGHTS, SEG, SLOT } from '../../state/layout';
import type { VmExit } from '../../state/event';
import { SYS_EVENT, SYS_JUMPED, SYS_NEXT, type Core } from '../core';
import { dataAccess, linearAddress, linearUnchecked, readLinear, writeLinear } from './access';
import { SYS_TYPE, tableAddress, typeOf } from './descriptor';
import { iopl, isProtected, isV86 } from './modes';
import { GPR, memoryOperand, operand, putGpr } from './operand';
import { deny } from './raise';
import type { SystemFunction } from './table';

const IO_MAP_BASE = 0x66;
const MINIMUM_TSS_LIMIT = 103;

/**
 * Permission of a port access (SDM vol. 1, 18.5): CPL ≤ IOPL outside virtual-8086 mode, or every one of the port's `size` bits clear in the I/O map of a 32- or
 * 64-bit TSS. The map's two bytes around the port are read at once and must both be inside the TSS. False: #GP(0), or a fault of the TSS.
 */
function ioAllowed(core: Core, port: number, size: number): boolean {
  const s = core.state;
  if (!isProtected(s) || (s.cpl <= iopl(s) && !isV86(s))) return true;
  const limit = s.get32(SLOT.LIMIT + SEG.TR);
  const rights = s.get32(SLOT.RIGHTS + SEG.TR);
  if ((rights & RIGHTS.UNUSABLE) !== 0 || typeOf(rights) !== SYS_TYPE.TSS32_BUSY || limit < MINIMUM_TSS_LIMIT)
    return deny(core, VECTOR.GP, because('io-tss', port, s.cpl), 0);
  const base = s.get(SLOT.TR_BASE);
  const map = core.readSystem(tableAddress(core, base, IO_MAP_BASE), 2);
  if (map === undefined) return false;
  const at = Number(map) + (port >>> 3);
  if (at + 1 > limit) return deny(core, VECTOR.GP, because('io-map-limit', port, at, limit), 0);
  const word = core.readSystem(tableAddress(core, base, at), 2);
  if (word === undefined) return false;
  const wanted = ((1 << size) - 1) << (port & 7);
  return (Number(word) & wanted) === 0 || deny(core, VECTOR.GP, because('io-map', port, size), 0);
}

function portOf(core: Core, i: number): { readonly port: number; readonly immediate: boolean } {
  const o = operand(core, i);
  if (o.kind === 'immediate') return { port: Number(o.value & 0xffn), immediate: true };
  return { port: Number(core.state.get(GPR.RDX) & 0xffffn), immediate: false };
}

function accumulatorBytes(core: Core, i: number): number {
  const o = operand(core, i);
  invariant(o.kind === 'gpr', 'IN and OUT use the accumulator');
  return o.width / 8;
}

/** IN AL/AX/EAX, imm8 or DX. */
export const inPort: SystemFunction = (core) => {
  const size = accumulatorBytes(core, 0);
  const { port, immediate } = portOf(core, 1);
  if (!ioAllowed(core, port, size)) return SYS_EVENT;
  const exit = core.intercepts?.io(core, { write: false, port, size, string: false, rep: false, immediate });
  if (exit) return core.exit(exit);
  if (!core.io.in(core, port, size, SLOT.VALUE)) return SYS_EVENT;
  core.portAccessed(port, size);
  putGpr(core.state, GPR.RAX, size * 8, core.state.get(SLOT.VALUE));
  return SYS_NEXT;
};

/** OUT imm8 or DX, AL/AX/EAX. */
export const outPort: SystemFunction = (core) => {
  const size = accumulatorBytes(core, 1);
  const { port, immediate } = portOf(core, 0);
  if (!ioAllowed(core, port, size)) return SYS_EVENT;
  const exit = core.intercepts?.io(core, { write: true, port, size, string: false, rep: false, immediate });
  if (exit) return core.exit(exit);
  core.state.set(SLOT.VALUE, BigInt.asUintN(size * 8, core.state.get(GPR.RAX)));
  if (!core.io.out(core, port, size, SLOT.VALUE)) return SYS_EVENT;
  core.portAccessed(port, size);
  return SYS_NEXT;
};

const ADDRESS_SIZE: Readonly<Record<16 | 32 | 64, number>> = { 16: 0, 32: 1, 64: 2 };

/**
 * INS and OUTS. A repeated one does one element and jumps to itself while the count lasts, so that an interrupt or a fault finds the progress in the
 * registers. The exit's instruction information is the address size in bits 9:7 and, for OUTS, the segment in 17:15 (SDM vol. 3, 27.2.5).
 */
const stringIo =
  (write: boolean, size: number): SystemFunction =>
  (core) => {
    const s = core.state;
    const { insn } = core;
    const width = insn.addressBits;
    const rep = insn.rep || insn.repne;
    const count = BigInt.asUintN(width, s.get(GPR.RCX));
    const port = Number(s.get(GPR.RDX) & 0xffffn);
    if (!ioAllowed(core, port, size)) return SYS_EVENT;
    if (rep && count === 0n) return SYS_NEXT;

    const { base: pointer, segment } = memoryOperand(core, write ? 1 : 0);
    const offset = BigInt.asUintN(width, s.get(pointer));
    const exit = stringExit(core, write, port, size, rep, linearUnchecked(core, segment, offset), segment);
    if (exit) return core.exit(exit);
    const linear = linearAddress(core, segment, offset, size, !write);
    if (linear === undefined) return SYS_EVENT;
    if (write) {
      if (readLinear(core, linear, size) === undefined || !core.io.out(core, port, size, SLOT.VALUE)) return SYS_EVENT;
    } else {
      // the device is read only once the memory is known to take the value
      if (!core.port.probe(core, linear, size, dataAccess(core, 'write')) || !core.io.in(core, port, size, SLOT.VALUE))
        return SYS_EVENT;
      if (!writeLinear(core, linear, size, s.get(SLOT.VALUE))) return SYS_EVENT;
    }
    core.portAccessed(port, size);
    putGpr(s, pointer, width, BigInt.asUintN(width, offset + BigInt(s.systemFlag(RFLAGS.DF) ? -size : size)));
    if (!rep) return SYS_NEXT;
    putGpr(s, GPR.RCX, width, count - 1n);
    return count === 1n ? SYS_NEXT : SYS_JUMPED;
  };

function stringExit(
  core: Core,
  write: boolean,
  port: number,
  size: number,
  rep: boolean,
  linear: bigint,
  segment: number,
): VmExit | undefined {
  const info = (ADDRESS_SIZE[core.insn.addressBits] << 7) | (write ? segment << 15 : 0);
  return core.intercepts?.io(core, { write, port, size, string: true, rep, immediate: false, linear, info });
}

export const insb = stringIo(false, 1);
export const insw = stringIo(false, 2);
export const insd = stringIo(false, 4);
export const outsb = stringIo(true, 1);
export const outsw = stringIo(true, 2);
export const outsd = stringIo(true, 4);
