/**
 * A core in a chosen mode, with a GDT, an IDT and a TSS in flat memory, that runs one instruction of source at a time. Selectors:
 *
 *   08 code level 0 · 10 data level 0 · 1b code level 3 · 23 data level 3 · 28 TSS (16 bytes) · 38 conforming code level 0 · 40 and up are the test's own
 */
import assert from 'node:assert/strict';
import { because } from '../../../src/isa/reasons/index';
import { assemble } from '../../../src/asm/index';
import { VECTOR, vectorName } from '../../../src/isa/exceptions';
import type { IoPort } from '../../../src/hw/cpu/core';
import type { CpuidModel } from '../../../src/hw/cpu/cpuid-model';
import { decodeDescriptor } from '../../../src/hw/cpu/system/descriptor';
import { deliver, type Delivered, type Delivery } from '../../../src/hw/cpu/system/deliver';
import { codeMode } from '../../../src/hw/cpu/system/modes';
import { v86Segment } from '../../../src/hw/cpu/system/segments';
import type { CpuEvent } from '../../../src/hw/state/event';
import { RIGHTS, SEG, SLOT } from '../../../src/hw/state/layout';
import { FlatCore } from '../support/flat-core';

export type Mode = 'real' | 'v86' | 'protected' | 'long' | 'compat';

export const GDT = 0x1000;
export const IDT = 0x2000;
export const TSS = 0x3000;
export const CODE = 0x8000;
export const STACK0 = 0x7000;
export const STACK3 = 0x6000;

/** A segment or system descriptor; limit in bytes minus one (above 1 MiB with G). `access`: byte 5, P DPL S type. `flags`: G 8, D/B 4, L 2. */
export function descriptor(access: number, base = 0, limit = 0xffff_ffff, flags = 0xc): bigint {
  const l = (flags & 8) !== 0 ? limit >>> 12 : limit;
  return (
    BigInt(l & 0xffff) |
    (BigInt(base & 0xff_ffff) << 16n) |
    (BigInt(access) << 40n) |
    (BigInt((l >>> 16) & 15) << 48n) |
    (BigInt(flags) << 52n) |
    (BigInt(base >>> 24) << 56n)
  );
}
/** An interrupt, trap, call or task gate's first quadword. `low`: parameter count or IST. */
export function gate(access: number, selector: number, offset: number, low = 0): bigint {
  return (
    BigInt(offset & 0xffff) |
    (BigInt(selector) << 16n) |
    (BigInt(low) << 32n) |
    (BigInt(access) << 40n) |
    (BigInt(offset >>> 16) << 48n)
  );
}

export class Machine {
  readonly flat: FlatCore;
  constructor(
    readonly mode: Mode,
    io?: IoPort,
    model?: CpuidModel,
  ) {
    this.flat = new FlatCore(0x10_0000, io, model);
    const s = this.state;
    this.entry(8, descriptor(0x9b, 0, undefined, mode === 'long' ? 0xa : 0xc));
    this.entry(0x10, descriptor(0x93));
    this.entry(0x18, descriptor(0xfb, 0, undefined, mode === 'long' ? 0xa : 0xc));
    this.entry(0x20, descriptor(0xf3));
    this.entry(0x28, descriptor(0x8b, TSS, 0x1fff, 0));
    this.entry(0x30, 0n);
    this.entry(0x38, descriptor(0x9f, 0, undefined, mode === 'long' ? 0xa : 0xc));
    s.set(SLOT.GDTR_BASE, BigInt(GDT));
    s.set32(SLOT.GDTR_LIMIT, 0x7f);
    s.set(SLOT.IDTR_BASE, BigInt(mode === 'real' ? 0 : IDT));
    s.set32(SLOT.IDTR_LIMIT, 0x7ff);
    s.rip = BigInt(CODE);
    s.set(4, BigInt(STACK0));
    if (mode === 'real') {
      for (let i = 0; i < 6; i++)
        s.setSegment(i, { selector: 0, base: 0n, limit: 0xffff, rights: i === SEG.CS ? 0x9b : 0x93 });
      return;
    }
    s.set(SLOT.CR0, 0x11n);
    if (mode === 'long' || mode === 'compat') {
      s.set(SLOT.CR0, 0x8000_0011n);
      s.set(SLOT.CR4, 0x20n);
      s.set(SLOT.EFER, 0xd01n);
    }
    this.load(SEG.TR, 0x28);
    this.setLevel(0);
    if (mode === 'v86') {
      s.rflags = 0x2_3002n;
      s.cpl = 3;
      for (let i = 0; i < 6; i++) s.setSegment(i, v86Segment(0));
    }
    const word = mode === 'long' || mode === 'compat' ? 8 : 4;
    this.write(TSS + 4, word, BigInt(STACK0));
    if (word === 4) this.write(TSS + 8, 4, 0x10n);
  }

  get state(): FlatCore['state'] {
    return this.flat.state;
  }
  get core(): FlatCore['core'] {
    return this.flat.core;
  }
  /** Puts the CPU at a privilege level, with its flat segments and stack. */
  setLevel(cpl: 0 | 3): this {
    const s = this.state;
    this.load(SEG.CS, cpl === 0 ? 8 : 0x1b);
    for (const i of [SEG.ES, SEG.SS, SEG.DS, SEG.FS, SEG.GS]) this.load(i, cpl === 0 ? 0x10 : 0x23);
    s.cpl = cpl;
    s.set(4, BigInt(cpl === 0 ? STACK0 : STACK3));
    return this;
  }
  /** Loads a segment register from the GDT with no checks. */
  load(index: number, selector: number): void {
    const d = decodeDescriptor(selector, this.read(GDT + (selector & 0xfff8), 8));
    this.state.setSegment(index, { selector, base: d.base, limit: d.limit, rights: d.rights });
  }
  entry(selector: number, raw: bigint): this {
    this.write(GDT + (selector & 0xfff8), 8, raw);
    return this;
  }
  read(at: number, size: number): bigint {
    let v = 0n;
    for (let i = size - 1; i >= 0; i--) v = (v << 8n) | BigInt(this.flat.port.bytes[at + i] as number);
    return v;
  }
  write(at: number, size: number, value: bigint): void {
    for (let i = 0; i < size; i++) this.flat.port.bytes[at + i] = Number((value >> BigInt(8 * i)) & 0xffn);
  }
  /** Writes to linear addresses from `from` below `to` are #PF. */
  denyWrites(from: number, to: number): void {
    this.flat.port.guard = (linear, size, write) =>
      write && linear + BigInt(size) > BigInt(from) && linear < BigInt(to)
        ? { kind: 'fault', why: because('injected'), vector: VECTOR.PF, errorCode: 2, cr2: linear }
        : undefined;
  }
  /** The words on the stack from the top, each `size` bytes. */
  stack(count: number, size: number): bigint[] {
    const sp = Number(this.state.get(4) & 0xf_ffffn);
    return Array.from({ length: count }, (_, i) => this.read(sp + i * size, size));
  }
  selector(index: number): number {
    return this.state.get32(SLOT.SELECTOR + index);
  }

  /** Runs one instruction at RIP; what happened in words: `ok`, `#GP(40)`, `INT 0x21`, `exit 28`. */
  run(source: string): string {
    const assembled = assemble(`bits ${codeMode(this.state).bits}\norg ${this.state.rip}\n${source}\n`, {
      fileName: 'test.asm',
    });
    assert.deepEqual(
      assembled.diagnostics.filter((d) => d.severity === 'error'),
      [],
    );
    const linear = Number(this.state.segmentBase(SEG.CS) + this.state.rip);
    this.flat.port.bytes.set(assembled.image, linear);
    return this.flat.step() ? 'ok' : describeEvent(this.core.event);
  }
  deliverEvent(e: Delivery): Delivered {
    return deliver(this.core, e);
  }
  /** Delivers an event; `ok`, or what came instead. */
  deliver(e: Delivery): string {
    const d = this.deliverEvent(e);
    return d.ok ? 'ok' : describeEvent(d.event);
  }
}

export function describeEvent(e: CpuEvent | undefined): string {
  if (e === undefined) return 'nothing';
  if (e.kind === 'exit') return `exit ${e.exit.reason}`;
  if (e.kind !== 'fault') return e.kind;
  const name = vectorName(e.vector);
  return e.errorCode === undefined ? name : `${name}(${e.errorCode.toString(16)})`;
}

export { RIGHTS, SEG, SLOT, VECTOR };
