import { condition, carryFlag, arithmeticFlags, setArithmeticFlags } from '../state/lazy-flags';
import { SLOT } from '../state/layout';
import { RFLAGS } from '../../isa/flags';
import { ERROR_CODE_VECTORS, VECTOR } from '../../isa/exceptions';
import { because } from '../../isa/reasons/index';
import { InvariantError } from '../../base/assert';
import { isCanonical, joinHalves } from '../../base/bits';
import {
  ACCESS_OF_CLASS,
  CLASS_READ,
  CLASS_WRITE,
  WHO_SUPERVISOR,
  WHO_SUPERVISOR_AC,
  WHO_USER,
} from '../paging/access';
import type { Tlb } from '../tlb/tlb';
import type { Block } from './block';
import { type Core, SYS_JUMPED, SYS_NEXT } from './core';
import { helperFault } from './helper-faults';
import { HELPERS } from './lift/helpers';
import { checksAlignment } from './system/alignment';
import { checkSegment } from './system/segments';
import { SYSTEM } from './system/table';

const RIP = SLOT.RIP * 2;
const CC_OP = SLOT.CC_OP * 2;
const CC_RES = SLOT.CC_RES;
const CC_A = SLOT.CC_A;
const CC_B = SLOT.CC_B;
const SLOT_RIP = SLOT.RIP;
const RIGHTS = SLOT.RIGHTS;
const LIMIT = SLOT.LIMIT;
const SEG_BASE = SLOT.SEG_BASE;

/** How a block ended. */
export const RAN_ON = 0;
export const RAN_BRANCH = 1;
export const RAN_EVENT = 2;
export type RunEnd = typeof RAN_ON | typeof RAN_BRANCH | typeof RAN_EVENT;

/** The access class base of data accesses now: by CPL and, for supervisors, RFLAGS.AC. */
function dataWho(core: Core): number {
  if (core.state.cpl === 3) return WHO_USER;
  return core.state.systemFlag(RFLAGS.AC) ? WHO_SUPERVISOR_AC : WHO_SUPERVISOR;
}

/**
 * The micro-op interpreter: runs one block on one core. Fast memory accesses go through the TLB's words; everything else through the core's port.
 * `tlb` is the CPU's, or one without ways for KVM's emulator (every access is then the port's).
 */
export class Runner {
  /** Instructions that completed in the last `run`. */
  retired = 0;

  constructor(
    private readonly core: Core,
    private readonly tlb: Tlb,
  ) {}

  /**
   * Runs `block` from its first instruction, with RIP at it. RAN_EVENT: `core.event` is set and RIP is the instruction that did not complete;
   * RAN_BRANCH: a taken branch or a system function set RIP; RAN_ON: execution goes on at the next instruction in sequence.
   */
  run(block: Block): RunEnd {
    const core = this.core;
    const state = core.state;
    const r = state.r;
    const r32 = state.r32;
    const w = block.words;
    const tlb = this.tlb;
    const view = state.memory.view;
    const who = dataWho(core);
    // with alignment checks no access is fast: the port looks at each
    const fast = checksAlignment(state) ? 0 : 1;
    const readBit = fast << (CLASS_READ + who);
    const writeBit = fast << (CLASS_WRITE + who);
    let end = w.length;
    let pc = 0;

    while (pc < end) {
      const word = w[pc] as number;
      const d = w[pc + 1] as number;
      const a = w[pc + 2] as number;
      const b = w[pc + 3] as number;
      pc += 4;
      // Literal labels, so that the engine compiles a jump table; a test holds them against UOP.
      switch (word & 0xff) {
        case 0: // MOV
          r[d] = r[a] as bigint;
          break;
        case 1: // CONST
          r32[d * 2] = a;
          r32[d * 2 + 1] = b;
          break;
        case 2: // ZX8
          r32[d * 2] = (r32[a * 2] as number) & 0xff;
          r32[d * 2 + 1] = 0;
          break;
        case 3: // ZX8H
          r32[d * 2] = ((r32[a * 2] as number) >>> 8) & 0xff;
          r32[d * 2 + 1] = 0;
          break;
        case 4: // ZX16
          r32[d * 2] = (r32[a * 2] as number) & 0xffff;
          r32[d * 2 + 1] = 0;
          break;
        case 5: // ZX32
          r32[d * 2] = r32[a * 2] as number;
          r32[d * 2 + 1] = 0;
          break;
        case 6: {
          // SX8
          const v = ((r32[a * 2] as number) << 24) >> 24;
          r32[d * 2] = v;
          r32[d * 2 + 1] = v >> 31;
          break;
        }
        case 7: {
          // SX16
          const v = ((r32[a * 2] as number) << 16) >> 16;
          r32[d * 2] = v;
          r32[d * 2 + 1] = v >> 31;
          break;
        }
        case 8: {
          // SX32
          const v = r32[a * 2] as number;
          r32[d * 2] = v;
          r32[d * 2 + 1] = v >> 31;
          break;
        }
        case 9: // PUT8
          r32[d * 2] = ((r32[d * 2] as number) & ~0xff) | ((r32[a * 2] as number) & 0xff);
          break;
        case 10: // PUT8H
          r32[d * 2] = ((r32[d * 2] as number) & ~0xff00) | (((r32[a * 2] as number) & 0xff) << 8);
          break;
        case 11: // PUT16
          r32[d * 2] = ((r32[d * 2] as number) & ~0xffff) | ((r32[a * 2] as number) & 0xffff);
          break;

        case 12: // ADD64
          r[d] = (r[a] as bigint) + (r[b] as bigint);
          break;
        case 13: // SUB64
          r[d] = (r[a] as bigint) - (r[b] as bigint);
          break;
        case 14: // AND64
          r[d] = (r[a] as bigint) & (r[b] as bigint);
          break;
        case 15: // OR64
          r[d] = (r[a] as bigint) | (r[b] as bigint);
          break;
        case 16: // XOR64
          r[d] = (r[a] as bigint) ^ (r[b] as bigint);
          break;
        case 17: // MUL64
          r[d] = (r[a] as bigint) * (r[b] as bigint);
          break;
        case 18: // ADD32
          r32[d * 2] = (r32[a * 2] as number) + (r32[b * 2] as number);
          r32[d * 2 + 1] = 0;
          break;
        case 19: // SUB32
          r32[d * 2] = (r32[a * 2] as number) - (r32[b * 2] as number);
          r32[d * 2 + 1] = 0;
          break;
        case 20: // AND32
          r32[d * 2] = (r32[a * 2] as number) & (r32[b * 2] as number);
          r32[d * 2 + 1] = 0;
          break;
        case 21: // OR32
          r32[d * 2] = (r32[a * 2] as number) | (r32[b * 2] as number);
          r32[d * 2 + 1] = 0;
          break;
        case 22: // XOR32
          r32[d * 2] = (r32[a * 2] as number) ^ (r32[b * 2] as number);
          r32[d * 2 + 1] = 0;
          break;
        case 23: // MUL32
          r32[d * 2] = Math.imul(r32[a * 2] as number, r32[b * 2] as number);
          r32[d * 2 + 1] = 0;
          break;
        case 24: {
          // ADDI64
          const x = r32[a * 2] as number;
          const lo = (x + b) | 0;
          r32[d * 2 + 1] = (r32[a * 2 + 1] as number) + (b >> 31) + (lo >>> 0 < x >>> 0 ? 1 : 0);
          r32[d * 2] = lo;
          break;
        }
        case 25: // ADDI32
          r32[d * 2] = (r32[a * 2] as number) + b;
          r32[d * 2 + 1] = 0;
          break;
        case 26: {
          // SHLI64
          const lo = r32[a * 2] as number;
          const hi = r32[a * 2 + 1] as number;
          if (b === 0) r[d] = r[a] as bigint;
          else if (b < 32) {
            r32[d * 2] = lo << b;
            r32[d * 2 + 1] = (hi << b) | (lo >>> (32 - b));
          } else {
            r32[d * 2] = 0;
            r32[d * 2 + 1] = lo << (b - 32);
          }
          break;
        }
        case 27: // SHLI32
          r32[d * 2] = (r32[a * 2] as number) << b;
          r32[d * 2 + 1] = 0;
          break;
        case 28: {
          // SHRI64
          const lo = r32[a * 2] as number;
          const hi = r32[a * 2 + 1] as number;
          if (b === 0) r[d] = r[a] as bigint;
          else if (b < 32) {
            r32[d * 2] = (lo >>> b) | (hi << (32 - b));
            r32[d * 2 + 1] = hi >>> b;
          } else {
            r32[d * 2] = hi >>> (b - 32);
            r32[d * 2 + 1] = 0;
          }
          break;
        }
        case 29: // SHRI32
          r32[d * 2] = (r32[a * 2] as number) >>> b;
          r32[d * 2 + 1] = 0;
          break;
        case 30: {
          // SARI64
          const lo = r32[a * 2] as number;
          const hi = r32[a * 2 + 1] as number;
          if (b === 0) r[d] = r[a] as bigint;
          else if (b < 32) {
            r32[d * 2] = (lo >>> b) | (hi << (32 - b));
            r32[d * 2 + 1] = hi >> b;
          } else {
            r32[d * 2] = hi >> (b - 32);
            r32[d * 2 + 1] = hi >> 31;
          }
          break;
        }
        case 31: // SARI32
          r32[d * 2] = (r32[a * 2] as number) >> b;
          r32[d * 2 + 1] = 0;
          break;

        case 32: // FLAGS
          r32[CC_OP] = word >>> 8;
          r[CC_RES] = r[d] as bigint;
          r[CC_A] = r[a] as bigint;
          r[CC_B] = r[b] as bigint;
          break;
        case 62: // FLAGS_RESULT
          r32[CC_OP] = word >>> 8;
          r[CC_RES] = r[d] as bigint;
          break;
        case 33: {
          // FLAGS_INCDEC
          const cf = carryFlag(r32);
          r32[CC_OP] = word >>> 8;
          r[CC_RES] = r[d] as bigint;
          r32[CC_B * 2] = cf;
          break;
        }
        case 34: // GETCF
          r32[d * 2] = carryFlag(r32);
          r32[d * 2 + 1] = 0;
          break;
        case 35: // SETCC
          r32[d * 2] = condition(r32, word >>> 8) ? 1 : 0;
          r32[d * 2 + 1] = 0;
          break;
        case 36: // CSEL
          r[d] = (condition(r32, word >>> 8) ? r[a] : r[b]) as bigint;
          break;
        case 37: // GETFLAGS
          r32[d * 2] = arithmeticFlags(r32);
          r32[d * 2 + 1] = 0;
          break;
        case 38: // PUTFLAGS
          setArithmeticFlags(r32, r32[a * 2] as number);
          break;

        case 39: // BR
          pc = b * 4;
          break;
        case 40: // BRZ
          if (((r32[a * 2] as number) | (r32[a * 2 + 1] as number)) === 0) pc = b * 4;
          break;
        case 41: // BRNZ
          if (((r32[a * 2] as number) | (r32[a * 2 + 1] as number)) !== 0) pc = b * 4;
          break;
        case 42: // BRCC
          if (condition(r32, word >>> 8)) pc = b * 4;
          break;

        case 43: {
          // LIN
          const modifier = word >>> 8;
          const segment = modifier & 0xf;
          let offset = ((r32[a * 2] as number) + b) | 0;
          if (modifier >> 12 === 0) offset &= 0xffff;
          const size = 1 << ((modifier >> 4) & 0xf);
          const rights = r32[(RIGHTS + segment) * 2] as number;
          // the usual case: a present, writable, expand-up data segment and an offset within its limit
          if ((rights & 0x1009e) !== 0x92 || (offset >>> 0) + size - 1 > (r32[(LIMIT + segment) * 2] as number) >>> 0) {
            if (!checkSegment(core, segment, offset >>> 0, size, ((modifier >> 8) & 1) === 1))
              return this.failed(block, pc);
          }
          r32[d * 2] = (r32[(SEG_BASE + segment) * 2] as number) + offset;
          r32[d * 2 + 1] = 0;
          break;
        }

        case 44: // LD8
        case 45: // LD16
        case 46: // LD32
        case 47: {
          // LD64
          const x = r32[a * 2] as number;
          const lo = (x + b) | 0;
          const hi = ((r32[a * 2 + 1] as number) + (b >> 31) + (lo >>> 0 < x >>> 0 ? 1 : 0)) | 0;
          const size = 1 << ((word & 0xff) - 44);
          const page = lo & 0xfff;
          const intent = (word & 0x100) !== 0;
          if (page + size <= 4096) {
            const e = tlb.findFast(lo, hi, intent ? writeBit : readBit);
            if (e >= 0) {
              tlb.hits++;
              const at = tlb.offsetOf(e) + page;
              if (size === 8) {
                r32[d * 2] = view.getInt32(at, true);
                r32[d * 2 + 1] = view.getInt32(at + 4, true);
              } else {
                r32[d * 2] =
                  size === 4 ? view.getInt32(at, true) : size === 1 ? view.getUint8(at) : view.getUint16(at, true);
                r32[d * 2 + 1] = 0;
              }
              break;
            }
          }
          const linear = joinHalves(lo, hi);
          const access = ACCESS_OF_CLASS[CLASS_READ + who];
          if (access === undefined || !core.port.load(core, linear, size, access, d, intent))
            return this.failedAccess(block, pc, word);
          break;
        }

        case 48: // ST8
        case 49: // ST16
        case 50: // ST32
        case 51: {
          // ST64
          const x = r32[a * 2] as number;
          const lo = (x + b) | 0;
          const hi = ((r32[a * 2 + 1] as number) + (b >> 31) + (lo >>> 0 < x >>> 0 ? 1 : 0)) | 0;
          const size = 1 << ((word & 0xff) - 48);
          const page = lo & 0xfff;
          if (page + size <= 4096) {
            const e = tlb.findFast(lo, hi, writeBit);
            if (e >= 0) {
              tlb.hits++;
              const at = tlb.offsetOf(e) + page;
              if (size === 8) {
                view.setInt32(at, r32[d * 2] as number, true);
                view.setInt32(at + 4, r32[d * 2 + 1] as number, true);
              } else if (size === 4) view.setInt32(at, r32[d * 2] as number, true);
              else if (size === 1) view.setInt8(at, r32[d * 2] as number);
              else view.setInt16(at, r32[d * 2] as number, true);
              break;
            }
          }
          const linear = joinHalves(lo, hi);
          const access = ACCESS_OF_CLASS[CLASS_WRITE + who];
          if (access === undefined || !core.port.store(core, linear, size, access, d))
            return this.failedAccess(block, pc, word);
          // the store may have hit this very block: finish the instruction, then decode afresh
          if (!block.valid && end === w.length) end = this.instructionEnd(block, pc);
          break;
        }
        case 52: {
          // PROBE
          const x = r32[a * 2] as number;
          const lo = (x + b) | 0;
          const hi = ((r32[a * 2 + 1] as number) + (b >> 31) + (lo >>> 0 < x >>> 0 ? 1 : 0)) | 0;
          const access = ACCESS_OF_CLASS[((word & 0x100) !== 0 ? CLASS_WRITE : CLASS_READ) + who];
          if (access === undefined || !core.port.probe(core, joinHalves(lo, hi), d, access))
            return this.failedAccess(block, pc, word);
          break;
        }

        case 61: // TARGET
          if (!this.targetAllowed(block, a, word >>> 8)) return this.badTarget(block, pc, state.get(a));
          break;
        case 53: // JCC
          return condition(r32, (word >>> 8) & 0xf)
            ? this.branch(block, pc, d, a, word >>> 12)
            : this.fallThrough(block, a);
        case 54: // JMP
          return this.branch(block, pc, d, a, word >>> 12);
        case 57: // JNZ
          return ((r32[b * 2] as number) | (r32[b * 2 + 1] as number)) !== 0
            ? this.branch(block, pc, d, a, word >>> 12)
            : this.fallThrough(block, a);
        case 58: // JZ
          return ((r32[b * 2] as number) | (r32[b * 2 + 1] as number)) === 0
            ? this.branch(block, pc, d, a, word >>> 12)
            : this.fallThrough(block, a);
        case 55: // JMPR
          r[SLOT_RIP] = r[a] as bigint;
          this.retired = block.insns.length;
          return RAN_BRANCH;
        case 56: // END
          return this.fallThrough(block, a);

        case 59: {
          // HELP
          const helper = HELPERS[word >>> 8];
          if (helper === undefined) throw new InvariantError('a HELP micro-op names its helper');
          const answer = helper(state, d, a, b);
          if (answer !== 0) {
            const end = this.failed(block, pc);
            const { vector, why } = helperFault(answer, state, core.insn, d, a, b);
            core.raise(vector, why, ERROR_CODE_VECTORS.has(vector) ? 0 : undefined);
            return end;
          }
          break;
        }
        case 60: {
          // SYS
          const insn = block.insns[d];
          const system = SYSTEM[word >>> 8];
          if (insn === undefined || system === undefined)
            throw new InvariantError('a SYS micro-op names its instruction and function');
          const start = state.rip;
          const mask = block.mode.bits === 64 ? 0xffff_ffff_ffff_ffffn : 0xffff_ffffn;
          state.rip = (start + BigInt(insn.offset)) & mask;
          core.insn = insn;
          core.nextRip = (start + BigInt(insn.offset + insn.length)) & mask;
          core.completed = d;
          const result = system(core, a, b);
          core.completed = 0;
          if (result === SYS_NEXT) {
            state.rip = core.nextRip;
            this.retired = d + 1;
            return RAN_ON;
          }
          if (result === SYS_JUMPED) {
            this.retired = d + 1;
            return RAN_BRANCH;
          }
          this.retired = d;
          return RAN_EVENT;
        }
        default:
          throw new InvariantError(`unknown micro-op ${word & 0xff}`);
      }
    }
    // only after a store into the block's own code: go on behind the instruction that stored
    const i = block.starts.indexOf(end / 4);
    const next = block.insns[i];
    if (next === undefined) throw new InvariantError('a block ends in a branch, END or SYS');
    r[SLOT_RIP] = (r[SLOT.RIP] as bigint) + BigInt(next.offset);
    this.retired = i;
    return RAN_ON;
  }

  /** RIP + offset without a branch; the whole block has retired. */
  private fallThrough(block: Block, offset: number): RunEnd {
    const r32 = this.core.state.r32;
    const x = r32[RIP] as number;
    const lo = (x + offset) | 0;
    r32[RIP] = lo;
    if (block.mode.bits === 64 && lo >>> 0 < x >>> 0) r32[RIP + 1] = (r32[RIP + 1] as number) + 1;
    this.retired = block.insns.length;
    return RAN_ON;
  }

  /** A taken relative branch: target = RIP(start) + next + displacement, truncated to the operand size, checked against CS or canonical form. */
  private branch(block: Block, pc: number, displacement: number, next: number, width: number): RunEnd {
    const state = this.core.state;
    const r32 = state.r32;
    const x = r32[RIP] as number;
    const n = (x + next) | 0;
    let hi = (r32[RIP + 1] as number) + (n >>> 0 < x >>> 0 ? 1 : 0);
    let lo = (n + displacement) | 0;
    hi = (hi + (displacement >> 31) + (lo >>> 0 < n >>> 0 ? 1 : 0)) | 0;
    if (width === 2) {
      // 48-bit canonical form: bits 63:47 all equal; wider linear addresses are checked at the fetch
      const top = hi >> 15;
      if (top !== 0 && top !== -1 && this.core.model.linearBits === 48)
        return this.badTarget(block, pc, joinHalves(lo, hi));
    } else {
      hi = 0;
      if (width === 0) lo &= 0xffff;
      if (block.mode.bits !== 64 && lo >>> 0 > state.get32(LIMIT + 1))
        return this.badTarget(block, pc, joinHalves(lo, hi));
    }
    r32[RIP] = lo;
    r32[RIP + 1] = hi;
    const last = block.insns.length - 1;
    // one iteration of a repeated string instruction branches to itself and has not retired
    this.retired = displacement < 0 && this.repeats(block.insns[last], displacement) ? last : last + 1;
    return RAN_BRANCH;
  }
  private repeats(insn: Block['insns'][number] | undefined, displacement: number): boolean {
    return insn !== undefined && (insn.rep || insn.repne) && displacement === -insn.length;
  }
  /** Whether a slot holds an address that a near branch of the operand width (0: 16, 1: 32, 2: 64 bits) may go to. */
  private targetAllowed(block: Block, slot: number, width: number): boolean {
    const state = this.core.state;
    if (width === 2 && block.mode.bits === 64) return isCanonical(state.get(slot), this.core.model.linearBits);
    return block.mode.bits === 64 || state.get32(slot) <= state.get32(LIMIT + 1);
  }
  private badTarget(block: Block, pc: number, target: bigint): RunEnd {
    const { state, model } = this.core;
    const why =
      block.mode.bits === 64
        ? because('target-canonical', target, model.linearBits)
        : because('target-limit', target, state.get32(LIMIT + 1));
    this.core.raise(VECTOR.GP, why, 0);
    return this.failed(block, pc);
  }

  /** Index of the instruction that micro-op position `pc` (just behind the failing one) belongs to. */
  private instructionAt(block: Block, pc: number): number {
    const uop = pc / 4 - 1;
    let i = block.starts.length - 1;
    while (i > 0 && (block.starts[i] as number) > uop) i--;
    return i;
  }
  private instructionEnd(block: Block, pc: number): number {
    const next = block.starts[this.instructionAt(block, pc) + 1];
    return next === undefined ? block.words.length : next * 4;
  }
  /** RIP to the failing instruction; those before it have retired. */
  private failed(block: Block, pc: number): RunEnd {
    const i = this.instructionAt(block, pc);
    const insn = block.insns[i];
    if (insn === undefined) throw new InvariantError('a micro-op belongs to an instruction');
    const state = this.core.state;
    const rip = state.rip + BigInt(insn.offset);
    state.rip = block.mode.bits === 64 ? rip : rip & 0xffff_ffffn;
    this.core.insn = insn;
    this.retired = i;
    return RAN_EVENT;
  }
  /** A non-canonical address is #SS(0) through the stack segment, #GP(0) otherwise; the port reports #GP. */
  private failedAccess(block: Block, pc: number, word: number): RunEnd {
    const e = this.core.event;
    if ((word & 0x200) !== 0 && e?.kind === 'fault' && e.vector === VECTOR.GP) this.core.raise(VECTOR.SS, e.why, 0);
    return this.failed(block, pc);
  }
}
