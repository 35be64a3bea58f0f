/**
 * Who called, without unwind tables: the code between a function's first instruction and the present one says how far the return address lies from the stack pointer, or from the
 * frame pointer where that was set up. A return address counts only where a CALL ends right before it that leads to that first instruction (or through a register, to any).
 * Addresses here are offsets in CS and SS.
 */
import { ALL_REGISTERS } from '../../asm/index';
import type { InterruptEntries } from './interrupt-entries';
import { FP, SP, StackPaths, type Stack } from './paths';

/** What of a guest unwinding needs to see. */
export interface UnwindSource {
  readonly bits: 16 | 32 | 64;
  /** Code bytes from an offset in CS on, as many as can be read. */
  code(offset: bigint, length: number): Uint8Array;
  /** A word of the stack: `bits` / 8 bytes. */
  stackWord(offset: bigint): bigint | undefined;
  /** Where functions may begin at or before an address, nearest first. */
  entriesBefore(offset: bigint): readonly bigint[];
  readonly handlers: InterruptEntries;
  /** Whether the code runs in the segment that it was called or interrupted from: `selector` was pushed. */
  isSameSegment(selector: bigint): boolean;
  /** Whether an interrupt from the code segment `selector` switched stacks, and so pushed SS and SP in 32-bit code too. */
  switchesStack(selector: bigint): boolean;
}

export interface Registers {
  readonly ip: bigint;
  readonly sp: bigint;
  readonly fp: bigint | undefined;
}
export interface Caller extends Registers {
  /** The CALL; for an interrupted instruction its own address. */
  readonly site: bigint;
  readonly interrupted: boolean;
  /** Where words of the caller's lie on the stack, as offsets in SS: IP always, FLAGS and SP where an interrupt pushed them. */
  readonly slots: { readonly ip: bigint; readonly flags?: bigint; readonly sp?: bigint };
  /** Where the callee pushed registers of the caller's, by their numbers. */
  readonly saved: ReadonlyMap<number, bigint>;
  /** The registers that the callee has as the caller had them: bit n is the register of number n. */
  readonly kept: number;
}

/** Words above SP that are looked at for a return address where nothing says where it lies. */
const SCANNED = 128;
const CALL_LENGTHS = [5, 2, 3, 6, 7, 4, 8];

export class Unwinder {
  private readonly paths: StackPaths;
  private readonly word: number;
  private readonly mask: bigint;

  constructor(private readonly source: UnwindSource) {
    this.paths = new StackPaths(source.bits, (offset, length) => source.code(offset, length));
    this.word = source.bits / 8;
    this.mask = (1n << BigInt(source.bits)) - 1n;
  }

  /** @param at the instruction that a frame stands before, or its CALL that has not returned */
  caller(at: bigint, { sp, fp }: Pick<Registers, 'sp' | 'fp'>): Caller | undefined {
    return (
      this.byEntries(at, sp, fp) ??
      this.byFramePointer(at, sp, fp) ??
      this.byScan(at, sp, fp) ??
      this.byHandlers(at, sp, fp)
    );
  }

  /** The labels before. */
  private byEntries(at: bigint, sp: bigint, fp: bigint | undefined): Caller | undefined {
    const entries = this.source.entriesBefore(at);
    // a CALL through a register may lead to any of them: those that say where they lead come first
    for (const wanted of ['named', 'any'] as const) {
      for (const entry of entries) {
        for (const stack of this.paths.between(entry, at).reached) {
          const fits = (target: bigint | undefined): boolean =>
            wanted === 'named' ? target === entry : target === undefined;
          const found = this.returnFrom(stack, sp, fp, fits);
          // a CALL through a register may have led to code that changed registers and then jumped here
          if (found) return wanted === 'named' ? found : { ...found, kept: found.kept & (1 << FP) };
          const interrupted = this.interrupted(entry, stack, sp, fp);
          if (interrupted) return interrupted;
        }
      }
    }
    return undefined;
  }

  /** The frame pointer's chain, unless the code says otherwise. */
  private byFramePointer(at: bigint, sp: bigint, fp: bigint | undefined): Caller | undefined {
    if (fp === undefined || fp < sp || fp === 0n) return undefined;
    const [slot, next] = [this.up(fp, this.word), this.source.stackWord(fp)];
    const back = this.returnAddress(slot);
    // the chain must climb, or it is none
    if (!back || next === undefined || (next !== 0n && next <= fp)) return undefined;
    if (back.target !== undefined) {
      const { reached, complete } = this.paths.between(back.target, at);
      if (complete && !reached.some((stack) => this.entrySp(stack, sp, fp) === slot)) return undefined;
    }
    return {
      ip: back.ip,
      site: back.site,
      sp: this.up(slot, this.word),
      fp: next,
      interrupted: false,
      slots: { ip: slot },
      saved: new Map([[FP, fp]]),
      kept: 0,
    };
  }

  /** Return addresses above SP whose CALL leads here, over exactly as much stack as lies between. */
  private byScan(at: bigint, sp: bigint, fp: bigint | undefined): Caller | undefined {
    for (let i = 0; i < SCANNED; i++) {
      const slot = this.up(sp, i * this.word);
      const target = this.returnAddress(slot)?.target;
      if (target === undefined) continue;
      for (const stack of this.paths.between(target, at).reached)
        if (this.entrySp(stack, sp, fp) === slot) return this.returnFrom(stack, sp, fp, () => true);
    }
    return undefined;
  }

  /** Code that several handlers lead to. */
  private byHandlers(at: bigint, sp: bigint, fp: bigint | undefined): Caller | undefined {
    for (const entry of this.source.handlers.keys()) {
      for (const stack of this.paths.between(entry, at).reached) {
        const found = this.interrupted(entry, stack, sp, fp);
        if (found) return found;
      }
    }
    return undefined;
  }

  private returnFrom(
    stack: Stack,
    sp: bigint,
    fp: bigint | undefined,
    fits: (target: bigint | undefined) => boolean,
  ): Caller | undefined {
    const slot = this.entrySp(stack, sp, fp);
    const back = slot === undefined ? undefined : this.returnAddress(slot);
    if (slot === undefined || !back || !fits(back.target)) return undefined;
    return {
      ip: back.ip,
      site: back.site,
      sp: this.up(slot, this.word),
      fp: this.callersFp(stack, slot, fp),
      interrupted: false,
      slots: { ip: slot },
      ...this.registersOf(stack, slot, sp),
    };
  }

  /** What an interrupt or exception pushed: (error code,) IP, CS, flags, and in 64-bit mode SP and SS. */
  private interrupted(entry: bigint, stack: Stack, sp: bigint, fp: bigint | undefined): Caller | undefined {
    const top = this.entrySp(stack, sp, fp);
    if (top === undefined) return undefined;
    for (const errorCode of this.source.handlers.get(entry) ?? []) {
      const found = this.frameAt(this.up(top, errorCode ? this.word : 0));
      if (found)
        return { ...found, fp: this.callersFp(stack, top, fp), interrupted: true, ...this.registersOf(stack, top, sp) };
    }
    return undefined;
  }
  private frameAt(frame: bigint): Pick<Caller, 'ip' | 'site' | 'sp' | 'slots'> | undefined {
    const { source, word } = this;
    const [ip, cs, flags] = [0, 1, 2].map((i) => source.stackWord(this.up(frame, i * word)));
    // bit 1 of the flags is always 1
    if (ip === undefined || cs === undefined || flags === undefined || (flags & 2n) === 0n) return undefined;
    if (!source.isSameSegment(cs) || !this.paths.flow(ip)) return undefined;
    const outer = this.up(frame, 3 * word);
    const switches = source.switchesStack(cs);
    const sp = switches ? source.stackWord(outer) : outer;
    const slots = { ip: frame, flags: this.up(frame, 2 * word), ...(switches ? { sp: outer } : {}) };
    return sp === undefined ? undefined : { ip, site: ip, sp, slots };
  }

  /** Where SP stood at the function's entry. */
  private entrySp(stack: Stack, sp: bigint, fp: bigint | undefined): bigint | undefined {
    if (stack.sp !== undefined) return this.up(sp, -stack.sp);
    return typeof stack.fp === 'number' && fp !== undefined ? this.up(fp, -stack.fp) : undefined;
  }
  private callersFp(stack: Stack, entrySp: bigint, fp: bigint | undefined): bigint | undefined {
    if (stack.fp === 'caller') return fp;
    const saved = stack.saves.get(FP);
    return saved === undefined ? undefined : this.source.stackWord(this.up(entrySp, saved));
  }
  private registersOf(stack: Stack, entrySp: bigint, sp: bigint): Pick<Caller, 'saved' | 'kept'> {
    const places = [...stack.saves].map(([register, by]) => [register, this.up(entrySp, by)] as const);
    const kept = ALL_REGISTERS & ~stack.written & ~(1 << SP) & ~(1 << FP);
    return {
      // what lies below SP is no longer there
      saved: new Map(places.filter(([, slot]) => slot >= sp)),
      kept: stack.fp === 'caller' ? kept | (1 << FP) : kept,
    };
  }

  /** What lies in a slot, where a CALL ends right before it; `target`: where that leads, if it says so. */
  private returnAddress(slot: bigint): { ip: bigint; site: bigint; target: bigint | undefined } | undefined {
    const ip = this.source.stackWord(slot);
    if (ip === undefined || ip === 0n) return undefined;
    for (const length of CALL_LENGTHS) {
      const site = (ip - BigInt(length)) & this.mask;
      const flow = this.paths.flow(site);
      if (flow?.goes === 'call' && flow.length === length) return { ip, site, target: flow.target };
    }
    return undefined;
  }

  private up(offset: bigint, by: number): bigint {
    return (offset + BigInt(by)) & this.mask;
  }
}
