/**
 * What the code between a function's first instruction and another one does to the stack pointer, the frame pointer and the caller's registers, on every way that leads there.
 * Addresses are offsets in CS.
 */
import { ALL_REGISTERS, flowOf } from '../../asm/index';
import type { Flow, StackEffect } from '../../asm/index';

/** SP and FP as a path from the entry leaves them, told as distances from the SP at the entry, which is where the return address lies. */
export interface Stack {
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
export const SP = 4;
export const FP = 5;

export interface Paths {
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

/** Of the code of one moment: what was found is kept. */
export class StackPaths {
  private readonly flows = new Map<bigint, Flow | undefined>();
  private readonly known = new Map<string, Paths>();
  private work = 0;
  private readonly word: number;
  private readonly mask: bigint;

  /** @param code bytes from an offset in CS on, as many as can be read */
  constructor(
    private readonly bits: 16 | 32 | 64,
    private readonly code: (offset: bigint, length: number) => Uint8Array,
  ) {
    this.word = bits / 8;
    this.mask = (1n << BigInt(bits)) - 1n;
  }

  /** The stacks with which a run from `entry` can stand before `goal`, calls taken as done. */
  between(entry: bigint, goal: bigint): Paths {
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
        : this.apply({ ...stack, written: stack.written | flow.written }, flow.stack, stack.written);
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

  flow(at: bigint): Flow | undefined {
    if (!this.flows.has(at)) this.flows.set(at, flowOf(this.code(at, MAX_INSTRUCTION), at, this.bits));
    return this.flows.get(at);
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
