import { VECTOR } from '../../../isa/exceptions';
import { because } from '../../../isa/reasons/index';
import { CR0, CR4 } from '../../../isa/flags';
import { FXSAVE_SIZE, XSAVE_SIZE, XSTATE } from '../../../isa/xstate';
import { unpackExtended } from '../../fpu/float';
import type { CpuState } from '../../state/cpu-state';
import { SLOT } from '../../state/layout';
import { SYS_EVENT, SYS_NEXT, type Core } from '../core';
import { readLinear, writeLinear, dataAccess } from '../system/access';
import { cr0Bit, cr4Bit, isLong64, isParagraphMode } from '../system/modes';
import { GPR, memoryOperand, operandAddress } from '../system/operand';
import { deny } from '../system/raise';
import type { SystemFunction } from '../system/table';
import {
  controlWord,
  initialize,
  rawSt,
  refreshSummary,
  setControlWord,
  setStatusWord,
  statusWord,
  top,
} from './registers';

/** Blocks of state in memory: FSTENV, FSAVE, FXSAVE, XSAVE and their reverses (SDM vol. 1, 8.1.10, 10.5, 13). */

/** Bits of MXCSR that exist; bit 6 is DAZ. Setting others is #GP(0). */
const MXCSR_MASK = 0xffff;

/** Reads or writes fields of a checked region of memory; each answers false once something failed, with the event set. */
class Region {
  failed = false;
  constructor(
    private readonly core: Core,
    private readonly base: bigint,
  ) {}
  read(at: number, size: number): bigint {
    if (this.failed) return 0n;
    const v = readLinear(this.core, this.base + BigInt(at), size);
    if (v === undefined) this.failed = true;
    return v ?? 0n;
  }
  write(at: number, size: number, value: bigint | number): void {
    if (this.failed) return;
    if (!writeLinear(this.core, this.base + BigInt(at), size, BigInt(value))) this.failed = true;
  }
  /** Eight bytes by words: 80-bit values in a row are aligned to no more, and the block's own alignment is that of the environment before them. */
  readSignificand(at: number): bigint {
    let v = 0n;
    for (let i = 6; i >= 0; i -= 2) v = (v << 16n) | this.read(at + i, 2);
    return v;
  }
  writeSignificand(at: number, value: bigint): void {
    for (let i = 0; i < 8; i += 2) this.write(at + i, 2, (value >> BigInt(8 * i)) & 0xffffn);
  }
}

/** The memory operand as a region of `size` bytes, every page of it checked first. `alignment`: another address is #GP(0). Undefined: event set. */
function region(core: Core, size: number, write: boolean, alignment = 1): Region | undefined {
  const linear = operandAddress(core, memoryOperand(core, 0), 0, size, write);
  if (linear === undefined) return undefined;
  if (Number(linear & 0xfffn) % alignment !== 0) {
    core.raise(VECTOR.GP, because('operand-alignment', linear, alignment), 0);
    return undefined;
  }
  if (!core.port.probe(core, linear, size, dataAccess(core, write ? 'write' : 'read'))) return undefined;
  return new Region(core, linear);
}

// ---- the environment

/** Two bits for each physical register: 0 valid, 1 zero, 2 special (denormals, infinities, NaNs, unsupported), 3 empty. */
function fullTags(s: CpuState): number {
  let word = 0;
  for (let r = 0; r < 8; r++) {
    const empty = ((s.get32(SLOT.FTW) >> r) & 1) === 0;
    const at = SLOT.FPR + 2 * r;
    const f = unpackExtended(s.get32(at + 1), s.get(at));
    const tag = empty ? 3 : f.kind === 'zero' ? 1 : f.kind === 'finite' && !f.denormal ? 0 : 2;
    word |= tag << (2 * r);
  }
  return word;
}
function setFullTags(s: CpuState, word: number): void {
  let present = 0;
  for (let r = 0; r < 8; r++) if (((word >> (2 * r)) & 3) !== 3) present |= 1 << r;
  s.set32(SLOT.FTW, present);
}

/** Whether the environment is the 14-byte one of 16-bit operands. */
const isShort = (core: Core): boolean => [14, 94].includes(memoryOperand(core, 0).size);
const environmentSize = (core: Core): number => (isShort(core) ? 14 : 28);

/**
 * The environment (SDM vol. 1, figures 8-9 to 8-12): control, status and tag word, then the exception pointers, each in a field of 2 or 4 bytes. In protected mode
 *
 *   … │ FIP │ FOP:selector │ FDP │ selector        (the opcode only in the 4-byte form; selectors are zero, as CPUID.7.0:EBX bit 13 says)
 *
 * and in real mode  │ FIP 15:0 │ FIP 19:16 (or 31:16) << 12 | FOP │ FDP 15:0 │ FDP 19:16 (or 31:16) << 12 │
 */
function writeEnvironment(core: Core, m: Region): void {
  const s = core.state;
  const short = isShort(core);
  const size = short ? 2 : 4;
  const fip = s.get32(SLOT.FIP);
  const fdp = s.get32(SLOT.FDP);
  const fop = s.get32(SLOT.FOP) & 0x7ff;
  const ones = short ? 0 : 0xffff_0000;
  const words = [controlWord(s) | ones, statusWord(s) | ones, fullTags(s) | ones];
  const upper = (v: number): number => (short ? (v >>> 16) & 15 : v >>> 16) << 12;
  if (isParagraphMode(s)) words.push((fip & 0xffff) | ones, upper(fip) | fop, (fdp & 0xffff) | ones, upper(fdp));
  else words.push(fip, short ? 0 : fop << 16, fdp, short ? 0 : ones);
  words.forEach((w, i) => m.write(i * size, size, BigInt(w >>> 0)));
}
interface Environment {
  readonly fcw: number;
  readonly fsw: number;
  readonly ftw: number;
  readonly fop: number;
  readonly fip: number;
  readonly fdp: number;
}
function readEnvironment(core: Core, m: Region): Environment {
  const short = isShort(core);
  const size = short ? 2 : 4;
  const words = Array.from({ length: 7 }, (_, i) => Number(m.read(i * size, size)));
  const [fcw = 0, fsw = 0, ftw = 0, a = 0, b = 0, c = 0, d = 0] = words;
  if (isParagraphMode(core.state)) {
    const join = (low: number, high: number): number => ((low & 0xffff) | ((high >>> 12) << 16)) >>> 0;
    return { fcw, fsw, ftw, fop: b & 0x7ff, fip: join(a, b), fdp: join(c, d) };
  }
  return { fcw, fsw, ftw, fop: short ? 0 : (b >>> 16) & 0x7ff, fip: a, fdp: c };
}
function loadEnvironment(s: CpuState, e: Environment): void {
  setControlWord(s, e.fcw);
  setStatusWord(s, e.fsw & 0xffff);
  setFullTags(s, e.ftw);
  s.set32(SLOT.FOP, e.fop);
  s.set32(SLOT.FIP, e.fip);
  s.set32(SLOT.FDP, e.fdp);
  refreshSummary(s);
}

/** FNSTENV: afterwards every exception is masked. */
export const fnstenv: SystemFunction = (core) => {
  const m = region(core, environmentSize(core), true);
  if (m === undefined) return SYS_EVENT;
  writeEnvironment(core, m);
  if (m.failed) return SYS_EVENT;
  setControlWord(core.state, controlWord(core.state) | 0x3f);
  refreshSummary(core.state);
  return SYS_NEXT;
};

export const fldenv: SystemFunction = (core) => {
  const m = region(core, environmentSize(core), false);
  if (m === undefined) return SYS_EVENT;
  const e = readEnvironment(core, m);
  if (m.failed) return SYS_EVENT;
  loadEnvironment(core.state, e);
  return SYS_NEXT;
};

/** FNSAVE: environment, ST(0)–ST(7) as 80-bit values, then FNINIT. */
export const fnsave: SystemFunction = (core) => {
  const s = core.state;
  const environment = environmentSize(core);
  const m = region(core, environment + 80, true);
  if (m === undefined) return SYS_EVENT;
  writeEnvironment(core, m);
  for (let i = 0; i < 8; i++) {
    const { signExponent, significand } = rawSt(s, i);
    m.writeSignificand(environment + 10 * i, significand);
    m.write(environment + 10 * i + 8, 2, signExponent);
  }
  if (m.failed) return SYS_EVENT;
  initialize(s);
  return SYS_NEXT;
};

export const frstor: SystemFunction = (core) => {
  const s = core.state;
  const environment = environmentSize(core);
  const m = region(core, environment + 80, false);
  if (m === undefined) return SYS_EVENT;
  const e = readEnvironment(core, m);
  const registers = Array.from(
    { length: 8 },
    (_, i) => [m.readSignificand(environment + 10 * i), m.read(environment + 10 * i + 8, 2)] as const,
  );
  if (m.failed) return SYS_EVENT;
  loadEnvironment(s, e);
  registers.forEach(([significand, signExponent], i) => putRegister(s, i, significand, signExponent));
  return SYS_NEXT;
};
/** ST(i), without touching its tag. */
function putRegister(s: CpuState, i: number, significand: bigint, signExponent: bigint): void {
  const at = SLOT.FPR + 2 * ((top(s) + i) & 7);
  s.set(at, significand);
  s.set(at + 1, signExponent & 0xffffn);
}

// ---- FXSAVE and XSAVE

/**
 * The 512 bytes of FXSAVE (SDM vol. 1, table 10-2):
 *
 *     0 FCW · 2 FSW · 4 abridged FTW · 6 FOP · 8 FIP · 16 FDP · 24 MXCSR · 28 MXCSR_MASK · 32 ST(0)–ST(7), 16 bytes each · 160 XMM0–XMM15
 *
 * With REX.W FIP and FDP have 8 bytes; without, 4 and a selector, which is zero. The last 96 bytes are not touched. Outside 64-bit mode there are only XMM0–XMM7.
 */
const ST_AT = 32;
const XMM_AT = 160;

const wide = (core: Core): boolean => isLong64(core.state) && core.insn.operandBits === 64;
const xmmCount = (core: Core): number => (isLong64(core.state) ? 16 : 8);

function writeX87(core: Core, m: Region): void {
  const s = core.state;
  const pointer = (slot: number): bigint => (wide(core) ? s.get(slot) : s.get(slot) & 0xffff_ffffn);
  m.write(0, 2, controlWord(s));
  m.write(2, 2, statusWord(s));
  m.write(4, 2, s.get32(SLOT.FTW));
  m.write(6, 2, s.get32(SLOT.FOP) & 0x7ff);
  m.write(8, 8, pointer(SLOT.FIP));
  m.write(16, 8, pointer(SLOT.FDP));
  for (let i = 0; i < 8; i++) {
    const { signExponent, significand } = rawSt(s, i);
    m.write(ST_AT + 16 * i, 8, significand);
    m.write(ST_AT + 16 * i + 8, 8, signExponent);
  }
}
function writeXmm(core: Core, m: Region): void {
  for (let i = 0; i < 2 * xmmCount(core); i++) m.write(XMM_AT + 8 * i, 8, core.state.get(SLOT.XMM + i));
}
function writeMxcsr(core: Core, m: Region): void {
  m.write(24, 4, core.state.get32(SLOT.MXCSR));
  m.write(28, 4, MXCSR_MASK);
}

/** What a restore will put into registers, read in full before the first is written. */
type Commit = () => void;
function readX87(core: Core, m: Region): Commit {
  const s = core.state;
  const [fcw, fsw, ftw, fop] = [0, 2, 4, 6].map((at) => Number(m.read(at, 2))) as [number, number, number, number];
  const pointer = (at: number): bigint => (wide(core) ? m.read(at, 8) : m.read(at, 4));
  const fip = pointer(8);
  const fdp = pointer(16);
  const registers = Array.from(
    { length: 8 },
    (_, i) => [m.read(ST_AT + 16 * i, 8), m.read(ST_AT + 16 * i + 8, 2)] as const,
  );
  return () => {
    setControlWord(s, fcw);
    setStatusWord(s, fsw);
    s.set32(SLOT.FTW, ftw & 0xff);
    s.set32(SLOT.FOP, fop & 0x7ff);
    s.set(SLOT.FIP, fip);
    s.set(SLOT.FDP, fdp);
    registers.forEach(([significand, signExponent], i) => putRegister(s, i, significand, signExponent));
    refreshSummary(s);
  };
}
function readXmm(core: Core, m: Region): Commit {
  const values = Array.from({ length: 2 * xmmCount(core) }, (_, i) => m.read(XMM_AT + 8 * i, 8));
  return () => values.forEach((v, i) => core.state.set(SLOT.XMM + i, v));
}
const readMxcsr = (m: Region): number => Number(m.read(24, 4));
const hasReserved = (mxcsr: number): boolean => (mxcsr & ~MXCSR_MASK) !== 0;

export const fxsave: SystemFunction = (core) => {
  const m = region(core, FXSAVE_SIZE, true, 16);
  if (m === undefined) return SYS_EVENT;
  writeX87(core, m);
  writeMxcsr(core, m);
  writeXmm(core, m);
  return m.failed ? SYS_EVENT : SYS_NEXT;
};

export const fxrstor: SystemFunction = (core) => {
  const m = region(core, FXSAVE_SIZE, false, 16);
  if (m === undefined) return SYS_EVENT;
  const x87 = readX87(core, m);
  const xmm = readXmm(core, m);
  const mxcsr = readMxcsr(m);
  if (m.failed) return SYS_EVENT;
  if (hasReserved(mxcsr)) return core.raise(VECTOR.GP, because('mxcsr', mxcsr), 0);
  x87();
  xmm();
  core.state.set32(SLOT.MXCSR, mxcsr);
  return SYS_NEXT;
};

const HEADER = FXSAVE_SIZE;

/** #UD unless the operating system enabled XSAVE, then #NM. */
function xsaveAllowed(core: Core): boolean {
  if (!cr4Bit(core.state, CR4.OSXSAVE)) return deny(core, VECTOR.UD, because('not-enabled', 'CR4.OSXSAVE'));
  return !cr0Bit(core.state, CR0.TS) || deny(core, VECTOR.NM, because('fpu-switched'));
}
/** The components an XSAVE or XRSTOR is asked for: EDX:EAX within XCR0. */
const requested = (s: CpuState): bigint =>
  ((BigInt(s.get32(GPR.RDX)) << 32n) | BigInt(s.get32(GPR.RAX))) & s.get(SLOT.XCR0);

/** XSAVE, standard form. Every component counts as in use, so that all that are asked for are written. */
export const xsave: SystemFunction = (core) => {
  if (!xsaveAllowed(core)) return SYS_EVENT;
  const m = region(core, XSAVE_SIZE, true, 64);
  if (m === undefined) return SYS_EVENT;
  const components = requested(core.state);
  const header = m.read(HEADER, 8);
  if ((components & XSTATE.X87) !== 0n) writeX87(core, m);
  if ((components & XSTATE.SSE) !== 0n) {
    writeMxcsr(core, m);
    writeXmm(core, m);
  }
  m.write(HEADER, 8, header | components);
  return m.failed ? SYS_EVENT : SYS_NEXT;
};

/** XRSTOR, standard form: components that the header says are in their initial configuration are put into it. MXCSR comes from memory whenever SSE is asked for. */
export const xrstor: SystemFunction = (core) => {
  if (!xsaveAllowed(core)) return SYS_EVENT;
  const s = core.state;
  const m = region(core, XSAVE_SIZE, false, 64);
  if (m === undefined) return SYS_EVENT;
  const components = requested(s);
  const [present = 0n, compaction = 0n, reserved = 0n] = [0, 8, 16].map((at) => m.read(HEADER + at, 8));
  if (m.failed) return SYS_EVENT;
  const xcr0 = s.get(SLOT.XCR0);
  if ((present & ~xcr0) !== 0n || compaction !== 0n || reserved !== 0n)
    return core.raise(VECTOR.GP, because('xsave-header', present, compaction, xcr0), 0);
  const commits: Commit[] = [];
  if ((components & XSTATE.X87) !== 0n)
    commits.push((present & XSTATE.X87) !== 0n ? readX87(core, m) : () => initialX87(s));
  if ((components & XSTATE.SSE) !== 0n) {
    const mxcsr = readMxcsr(m);
    if (hasReserved(mxcsr)) return core.raise(VECTOR.GP, because('mxcsr', mxcsr), 0);
    commits.push(
      () => s.set32(SLOT.MXCSR, mxcsr),
      (present & XSTATE.SSE) !== 0n ? readXmm(core, m) : () => s.r.fill(0n, SLOT.XMM, SLOT.XMM + 2 * xmmCount(core)),
    );
  }
  if (m.failed) return SYS_EVENT;
  for (const commit of commits) commit();
  return SYS_NEXT;
};
/** FNINIT's words and zero registers (SDM vol. 1, 13.6). */
function initialX87(s: CpuState): void {
  initialize(s);
  s.r.fill(0n, SLOT.FPR, SLOT.FPR + 16);
}
