/**
 * Who called, without unwind tables: the code between a function's first instruction and the present one says how far the return address lies from the stack pointer, or from the
 * frame pointer where that was set up. A return address counts only where a CALL ends right before it that leads to that first instruction (or through a register, to any).
 * Addresses here are offsets in CS and SS.
 */
import { ALL_REGISTERS, flowOf, writtenBy } from '../asm/index';
import type { Flow, StackEffect } from '../asm/index';
import type { InterruptEntries } from './interrupt-entries';

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

/** SP and FP as a path from the entry leaves them, told as distances from the SP at the entry, which is where the return address lies. */
interface Stack {
  readonly sp: number | undefined;
  /** 'caller': as the caller had it. */
  readonly fp: number | 'caller' | undefined;
  /** Where registers of the caller's were pushed, by their numbers. */
  readonly saves: ReadonlyMap<number, number>;
  /** The registers besides SP and FP that are not as the caller had them on some path. */
  readonly written: number;
}
const AT_ENTRY: Stack = { sp: 0, fp: 'caller', saves: new Map(), written: 0 };
/** The numbers of SP and FP. */
const SP = 4;
const FP = 5;

interface Paths {
  readonly reached: readonly Stack[];
  /** Every way was followed to its end: what was not reached cannot be. */
  readonly complete: boolean;
}

const MAX_INSTRUCTION = 15;
const MAX_STEPS = 4000;
/** Steps of one whole stack trace. */
const MAX_WORK = 100_000;
/** Different stacks at one instruction that are followed further. */
const MAX_STACKS = 4;
/** Words above SP that are looked at for a return address where nothing says where it lies. */
const SCANNED = 128;
const CALL_LENGTHS = [5, 2, 3, 6, 7, 4, 8];

export class Unwinder {
  private readonly flows = new Map<bigint, Flow | undefined>();
  private readonly writes = new Map<bigint, number>();
  private readonly known = new Map<string, Paths>();
  private work = 0;
  private readonly word: number;
  private readonly mask: bigint;

  constructor(private readonly source: UnwindSource) {
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
        for (const stack of this.paths(entry, at).reached) {
          const fits = (target: bigint | undefined): boolean =>
            wanted === 'named' ? target === entry : target === undefined;
          const found = this.returnFrom(stack, sp, fp, fits) ?? this.interrupted(entry, stack, sp, fp);
          if (found) return found;
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
      const { reached, complete } = this.paths(back.target, at);
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
      for (const stack of this.paths(target, at).reached)
        if (this.entrySp(stack, sp, fp) === slot) return this.returnFrom(stack, sp, fp, () => true);
    }
    return undefined;
  }

  /** Code that several handlers lead to. */
  private byHandlers(at: bigint, sp: bigint, fp: bigint | undefined): Caller | undefined {
    for (const entry of this.source.handlers.keys()) {
      for (const stack of this.paths(entry, at).reached) {
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
    if (!source.isSameSegment(cs) || !this.flow(ip)) return undefined;
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
      const flow = this.flow(site);
      if (flow?.goes === 'call' && flow.length === length) return { ip, site, target: flow.target };
    }
    return undefined;
  }

  // ---- paths

  /** The stacks with which a run from `entry` can stand before `goal`, calls taken as done. */
  private paths(entry: bigint, goal: bigint): Paths {
    const key = `${entry} ${goal}`;
    let found = this.known.get(key);
    if (!found) this.known.set(key, (found = this.follow(entry, goal)));
    return found;
  }

  private follow(entry: bigint, goal: bigint): Paths {
    const seen = new Map<bigint, Map<string, Stack>>();
    const open: [at: bigint, stack: Stack][] = [];
    let complete = true;
    const visit = (at: bigint, stack: Stack): void => {
      const here = seen.get(at) ?? new Map<string, Stack>();
      const key = `${stack.sp} ${stack.fp} ${stack.saves.get(FP)}`;
      const before = here.get(key);
      if (!before && here.size >= MAX_STACKS) {
        complete = false;
        return;
      }
      const now = before ? meet(before, stack) : stack;
      if (now === before) return;
      seen.set(at, here.set(key, now));
      open.push([at, now]);
    };
    const reached = (): readonly Stack[] => [...(seen.get(goal)?.values() ?? [])];
    visit(entry, AT_ENTRY);
    for (let steps = 0; ; steps++) {
      const next = open.pop();
      // a way that was not followed may have written any register
      if (!next)
        return { reached: complete ? reached() : reached().map((s) => ({ ...s, written: ALL_REGISTERS })), complete };
      if (steps >= MAX_STEPS || this.work++ >= MAX_WORK) return { reached: reached().map(fpAlone), complete: false };
      const [at, stack] = next;
      const flow = this.flow(at);
      if (!flow) continue;
      if (flow.goes === 'nowhere') complete = false;
      const after = (at + BigInt(flow.length)) & this.mask;
      // a call of the next instruction pushes its address, and never returns
      const isPush = flow.goes === 'call' && flow.target === after;
      const then = isPush
        ? this.apply(stack, { kind: 'move', by: -this.word })
        : this.apply({ ...stack, written: stack.written | this.written(at) }, flow.stack, stack.written);
      if ((flow.goes === 'jump' || flow.goes === 'branch') && flow.target !== undefined) visit(flow.target, then);
      if (flow.goes === 'on' || flow.goes === 'branch' || flow.goes === 'call') visit(after, then);
    }
  }

  /** @param written what was written before the instruction */
  private apply(s: Stack, e: StackEffect, written = s.written): Stack {
    const moved = (by: number): number | undefined => (s.sp === undefined ? undefined : s.sp + by);
    switch (e.kind) {
      case 'none':
        return s;
      case 'move':
        return withSp(s, moved(e.by));
      case 'push':
        return this.push(s, e.register, e.size, (written & (1 << e.register)) === 0);
      case 'pop':
        return this.pop(s, e.register, e.size);
      case 'fp-from-sp':
        return { ...s, fp: moved(e.offset) };
      case 'sp-from-fp':
        return withSp(s, typeof s.fp === 'number' ? s.fp + e.offset : undefined);
      case 'leave':
        return this.pop({ ...s, sp: typeof s.fp === 'number' ? s.fp : undefined }, FP, e.size);
      case 'enter': {
        const pushed = this.push(s, FP, e.size, true);
        return { ...pushed, fp: pushed.sp, sp: pushed.sp === undefined ? undefined : pushed.sp - e.locals };
      }
      case 'lost':
        return { ...s, ...(e.sp ? { sp: undefined } : {}), ...(e.fp ? { fp: undefined } : {}) };
    }
  }
  private push(s: Stack, register: number, size: number, untouched: boolean): Stack {
    const sp = s.sp === undefined ? undefined : s.sp - size;
    const isCallers = register === FP ? s.fp === 'caller' : untouched && register !== SP;
    if (sp === undefined || !isCallers || size !== this.word) return { ...s, sp };
    // what was pushed before stays longer; FP goes by the last one
    if (s.saves.has(register) && register !== FP) return { ...s, sp };
    return { ...s, sp, saves: new Map(s.saves).set(register, sp) };
  }
  /** Popped from where the caller's was pushed it is the caller's again. */
  private pop(s: Stack, register: number, size: number): Stack {
    const isCallers = s.sp !== undefined && s.sp === s.saves.get(register) && size === this.word;
    const popped = withSp(s, s.sp === undefined ? undefined : s.sp + size);
    if (register === FP) return { ...popped, fp: isCallers ? 'caller' : undefined };
    return isCallers ? { ...popped, written: popped.written & ~(1 << register) } : popped;
  }

  private written(at: bigint): number {
    const known = this.writes.get(at);
    if (known !== undefined) return known;
    const found = writtenBy(this.source.code(at, MAX_INSTRUCTION), at, this.source.bits);
    this.writes.set(at, found);
    return found;
  }
  private flow(at: bigint): Flow | undefined {
    if (!this.flows.has(at)) this.flows.set(at, flowOf(this.source.code(at, MAX_INSTRUCTION), at, this.source.bits));
    return this.flows.get(at);
  }
  private up(offset: bigint, by: number): bigint {
    return (offset + BigInt(by)) & this.mask;
  }
}

/** With SP there: what was pushed below it is gone. */
function withSp(s: Stack, sp: number | undefined): Stack {
  const gone = sp === undefined ? [] : [...s.saves].filter(([, at]) => at < sp);
  if (gone.length === 0) return { ...s, sp };
  return { ...s, sp, saves: new Map([...s.saves].filter(([, at]) => sp === undefined || at >= sp)) };
}

/** What is so on both paths; `a` itself where `b` takes nothing away. */
function meet(a: Stack, b: Stack): Stack {
  const written = a.written | b.written;
  const saves = [...a.saves].filter(([register, at]) => b.saves.get(register) === at);
  if (written === a.written && saves.length === a.saves.size) return a;
  return { ...a, written, saves: new Map(saves) };
}

/** Of a search that was given up: other paths may have done anything to the registers that the key of a stack does not hold. */
const fpAlone = (s: Stack): Stack => ({
  ...s,
  saves: new Map([...s.saves].filter(([register]) => register === FP)),
  written: ALL_REGISTERS,
});
