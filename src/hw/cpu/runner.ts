import { condition, carryFlag, arithmeticFlags, setArithmeticFlags } from '../state/lazy-flags';
import { SLOT } from '../state/layout';
import { RFLAGS } from '../../isa/flags';
import { ERROR_CODE_VECTORS, VECTOR } from '../../isa/exceptions';
import { InvariantError } from '../../base/assert';
import { isCanonical } from '../../base/bits';
import { ACCESS_OF_CLASS, CLASS_READ, CLASS_WRITE, WHO_SUPERVISOR, WHO_SUPERVISOR_AC, WHO_USER } from '../paging/access';
import type { Tlb } from '../tlb/tlb';
import type { Block } from './block';
import { type Core, SYS_JUMPED, SYS_NEXT } from './core';
import { HELPERS } from './lift/helpers';
import { checkSegment } from './system/segments';
import { SYSTEM } from './system/table';
import { UOP } from './uop';

const RIP = SLOT.RIP * 2;
const CC_OP = SLOT.CC_OP * 2;
const CC_RES = SLOT.CC_RES;
const CC_A = SLOT.CC_A;
const CC_B = SLOT.CC_B;

/** How a block ended. */
export const RAN_ON = 0;
export const RAN_BRANCH = 1;
export const RAN_EVENT = 2;
export type RunEnd = typeof RAN_ON | typeof RAN_BRANCH | typeof RAN_EVENT;

/** The access class base of data accesses now: by CPL and, for supervisors, RFLAGS.AC. */
export function dataWho(core: Core): number {
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
    const tlbWords = tlb.words;
    const ways = tlb.ways;
    const setMask = tlb.setMask;
    const view = state.memory.view;
    const who = dataWho(core);
    const readBit = 1 << (CLASS_READ + who);
    const writeBit = 1 << (CLASS_WRITE + who);
    let end = w.length;
    let pc = 0;

    while (pc < end) {
      const word = w[pc] as number;
      const d = w[pc + 1] as number;
      const a = w[pc + 2] as number;
      const b = w[pc + 3] as number;
      pc += 4;
      switch (word & 0xff) {
        case UOP.MOV:
          r[d] = r[a] as bigint;
          break;
        case UOP.CONST:
          r32[d * 2] = a;
          r32[d * 2 + 1] = b;
          break;
        case UOP.ZX8:
          r32[d * 2] = (r32[a * 2] as number) & 0xff;
          r32[d * 2 + 1] = 0;
          break;
        case UOP.ZX8H:
          r32[d * 2] = ((r32[a * 2] as number) >>> 8) & 0xff;
          r32[d * 2 + 1] = 0;
          break;
        case UOP.ZX16:
          r32[d * 2] = (r32[a * 2] as number) & 0xffff;
          r32[d * 2 + 1] = 0;
          break;
        case UOP.ZX32:
          r32[d * 2] = r32[a * 2] as number;
          r32[d * 2 + 1] = 0;
          break;
        case UOP.SX8: {
          const v = ((r32[a * 2] as number) << 24) >> 24;
          r32[d * 2] = v;
          r32[d * 2 + 1] = v >> 31;
          break;
        }
        case UOP.SX16: {
          const v = ((r32[a * 2] as number) << 16) >> 16;
          r32[d * 2] = v;
          r32[d * 2 + 1] = v >> 31;
          break;
        }
        case UOP.SX32: {
          const v = r32[a * 2] as number;
          r32[d * 2] = v;
          r32[d * 2 + 1] = v >> 31;
          break;
        }
        case UOP.PUT8:
          r32[d * 2] = ((r32[d * 2] as number) & ~0xff) | ((r32[a * 2] as number) & 0xff);
          break;
        case UOP.PUT8H:
          r32[d * 2] = ((r32[d * 2] as number) & ~0xff00) | (((r32[a * 2] as number) & 0xff) << 8);
          break;
        case UOP.PUT16:
          r32[d * 2] = ((r32[d * 2] as number) & ~0xffff) | ((r32[a * 2] as number) & 0xffff);
          break;

        case UOP.ADD64:
          r[d] = (r[a] as bigint) + (r[b] as bigint);
          break;
        case UOP.SUB64:
          r[d] = (r[a] as bigint) - (r[b] as bigint);
          break;
        case UOP.AND64:
          r[d] = (r[a] as bigint) & (r[b] as bigint);
          break;
        case UOP.OR64:
          r[d] = (r[a] as bigint) | (r[b] as bigint);
          break;
        case UOP.XOR64:
          r[d] = (r[a] as bigint) ^ (r[b] as bigint);
          break;
        case UOP.MUL64:
          r[d] = (r[a] as bigint) * (r[b] as bigint);
          break;
        case UOP.ADD32:
          r32[d * 2] = (r32[a * 2] as number) + (r32[b * 2] as number);
          r32[d * 2 + 1] = 0;
          break;
        case UOP.SUB32:
          r32[d * 2] = (r32[a * 2] as number) - (r32[b * 2] as number);
          r32[d * 2 + 1] = 0;
          break;
        case UOP.AND32:
          r32[d * 2] = (r32[a * 2] as number) & (r32[b * 2] as number);
          r32[d * 2 + 1] = 0;
          break;
        case UOP.OR32:
          r32[d * 2] = (r32[a * 2] as number) | (r32[b * 2] as number);
          r32[d * 2 + 1] = 0;
          break;
        case UOP.XOR32:
          r32[d * 2] = (r32[a * 2] as number) ^ (r32[b * 2] as number);
          r32[d * 2 + 1] = 0;
          break;
        case UOP.MUL32:
          r32[d * 2] = Math.imul(r32[a * 2] as number, r32[b * 2] as number);
          r32[d * 2 + 1] = 0;
          break;
        case UOP.ADDI64: {
          const x = r32[a * 2] as number;
          const lo = (x + b) | 0;
          r32[d * 2 + 1] = (r32[a * 2 + 1] as number) + (b >> 31) + (lo >>> 0 < x >>> 0 ? 1 : 0);
          r32[d * 2] = lo;
          break;
        }
        case UOP.ADDI32:
          r32[d * 2] = (r32[a * 2] as number) + b;
          r32[d * 2 + 1] = 0;
          break;
        case UOP.SHLI64: {
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
        case UOP.SHLI32:
          r32[d * 2] = (r32[a * 2] as number) << b;
          r32[d * 2 + 1] = 0;
          break;
        case UOP.SHRI64: {
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
        case UOP.SHRI32:
          r32[d * 2] = (r32[a * 2] as number) >>> b;
          r32[d * 2 + 1] = 0;
          break;
        case UOP.SARI64: {
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
        case UOP.SARI32:
          r32[d * 2] = (r32[a * 2] as number) >> b;
          r32[d * 2 + 1] = 0;
          break;

        case UOP.FLAGS:
          r32[CC_OP] = word >>> 8;
          r[CC_RES] = r[d] as bigint;
          r[CC_A] = r[a] as bigint;
          r[CC_B] = r[b] as bigint;
          break;
        case UOP.FLAGS_RESULT:
          r32[CC_OP] = word >>> 8;
          r[CC_RES] = r[d] as bigint;
          break;
        case UOP.FLAGS_INCDEC: {
          const cf = carryFlag(r32);
          r32[CC_OP] = word >>> 8;
          r[CC_RES] = r[d] as bigint;
          r32[CC_B * 2] = cf;
          break;
        }
        case UOP.GETCF:
          r32[d * 2] = carryFlag(r32);
          r32[d * 2 + 1] = 0;
          break;
        case UOP.SETCC:
          r32[d * 2] = condition(r32, word >>> 8) ? 1 : 0;
          r32[d * 2 + 1] = 0;
          break;
        case UOP.CSEL:
          r[d] = (condition(r32, word >>> 8) ? r[a] : r[b]) as bigint;
          break;
        case UOP.GETFLAGS:
          r32[d * 2] = arithmeticFlags(r32);
          r32[d * 2 + 1] = 0;
          break;
        case UOP.PUTFLAGS:
          setArithmeticFlags(r32, r32[a * 2] as number);
          break;

        case UOP.BR:
          pc = b * 4;
          break;
        case UOP.BRZ:
          if (((r32[a * 2] as number) | (r32[a * 2 + 1] as number)) === 0) pc = b * 4;
          break;
        case UOP.BRNZ:
          if (((r32[a * 2] as number) | (r32[a * 2 + 1] as number)) !== 0) pc = b * 4;
          break;
        case UOP.BRCC:
          if (condition(r32, word >>> 8)) pc = b * 4;
          break;

        case UOP.LIN: {
          const modifier = word >>> 8;
          const segment = modifier & 0xf;
          let offset = ((r32[a * 2] as number) + b) | 0;
          if (modifier >> 12 === 0) offset &= 0xffff;
          const size = 1 << ((modifier >> 4) & 0xf);
          const rights = r32[(SLOT.RIGHTS + segment) * 2] as number;
          // the usual case: a present, writable, expand-up data segment and an offset within its limit
          if ((rights & 0x1009e) !== 0x92 || (offset >>> 0) + size - 1 > (r32[(SLOT.LIMIT + segment) * 2] as number) >>> 0) {
            if (!checkSegment(core, segment, offset >>> 0, size, ((modifier >> 8) & 1) === 1)) return this.failed(block, pc);
          }
          r32[d * 2] = (r32[(SLOT.SEG_BASE + segment) * 2] as number) + offset;
          r32[d * 2 + 1] = 0;
          break;
        }

        case UOP.LD8:
        case UOP.LD16:
        case UOP.LD32:
        case UOP.LD64: {
          const x = r32[a * 2] as number;
          const lo = (x + b) | 0;
          const hi = ((r32[a * 2 + 1] as number) + (b >> 31) + (lo >>> 0 < x >>> 0 ? 1 : 0)) | 0;
          const size = 1 << ((word & 0xff) - UOP.LD8);
          const page = lo & 0xfff;
          const intent = (word & 0x100) !== 0;
          if (page + size <= 4096) {
            const vpn = (lo >>> 12) | (hi << 20);
            const high = (hi >> 12) & 0xfffff;
            const bit = intent ? writeBit : readBit;
            let e = (vpn & setMask) * ways * 16;
            let hit = false;
            for (let way = 0; way < ways; way++, e += 16) {
              if (tlbWords[e] === vpn && ((tlbWords[e + 2] as number) & bit) !== 0) {
                const tag = tlbWords[e + 1] as number;
                if (tag === (high | tlb.tag) || tag === (high | tlb.globalTag)) {
                  hit = true;
                  break;
                }
              }
            }
            if (hit) {
              tlb.hits++;
              const at = ((tlbWords[e + 3] as number) >>> 0) + page;
              if (size === 8) {
                r32[d * 2] = view.getInt32(at, true);
                r32[d * 2 + 1] = view.getInt32(at + 4, true);
              } else {
                r32[d * 2] = size === 4 ? view.getInt32(at, true) : size === 1 ? view.getUint8(at) : view.getUint16(at, true);
                r32[d * 2 + 1] = 0;
              }
              break;
            }
          }
          const linear = linear64(lo, hi);
          const access = ACCESS_OF_CLASS[CLASS_READ + who];
          if (access === undefined || !core.port.load(core, linear, size, access, d, intent)) return this.failedAccess(block, pc, word);
          break;
        }

        case UOP.ST8:
        case UOP.ST16:
        case UOP.ST32:
        case UOP.ST64: {
          const x = r32[a * 2] as number;
          const lo = (x + b) | 0;
          const hi = ((r32[a * 2 + 1] as number) + (b >> 31) + (lo >>> 0 < x >>> 0 ? 1 : 0)) | 0;
          const size = 1 << ((word & 0xff) - UOP.ST8);
          const page = lo & 0xfff;
          if (page + size <= 4096) {
            const vpn = (lo >>> 12) | (hi << 20);
            const high = (hi >> 12) & 0xfffff;
            let e = (vpn & setMask) * ways * 16;
            let hit = false;
            for (let way = 0; way < ways; way++, e += 16) {
              if (tlbWords[e] === vpn && ((tlbWords[e + 2] as number) & writeBit) !== 0) {
                const tag = tlbWords[e + 1] as number;
                if (tag === (high | tlb.tag) || tag === (high | tlb.globalTag)) {
                  hit = true;
                  break;
                }
              }
            }
            if (hit) {
              tlb.hits++;
              const at = ((tlbWords[e + 3] as number) >>> 0) + page;
              if (size === 8) {
                view.setInt32(at, r32[d * 2] as number, true);
                view.setInt32(at + 4, r32[d * 2 + 1] as number, true);
              } else if (size === 4) view.setInt32(at, r32[d * 2] as number, true);
              else if (size === 1) view.setInt8(at, r32[d * 2] as number);
              else view.setInt16(at, r32[d * 2] as number, true);
              break;
            }
          }
          const linear = linear64(lo, hi);
          const access = ACCESS_OF_CLASS[CLASS_WRITE + who];
          if (access === undefined || !core.port.store(core, linear, size, access, d)) return this.failedAccess(block, pc, word);
          // the store may have hit this very block: finish the instruction, then decode afresh
          if (!block.valid && end === w.length) end = this.instructionEnd(block, pc);
          break;
        }
        case UOP.PROBE: {
          const x = r32[a * 2] as number;
          const lo = (x + b) | 0;
          const hi = ((r32[a * 2 + 1] as number) + (b >> 31) + (lo >>> 0 < x >>> 0 ? 1 : 0)) | 0;
          const access = ACCESS_OF_CLASS[((word & 0x100) !== 0 ? CLASS_WRITE : CLASS_READ) + who];
          if (access === undefined || !core.port.probe(core, linear64(lo, hi), d, access)) return this.failedAccess(block, pc, word);
          break;
        }

        case UOP.TARGET:
          if (!this.targetAllowed(block, a, word >>> 8)) return this.badTarget(block, pc);
          break;
        case UOP.JCC:
          return condition(r32, (word >>> 8) & 0xf) ? this.branch(block, pc, d, a, word >>> 12) : this.fallThrough(block, a);
        case UOP.JMP:
          return this.branch(block, pc, d, a, word >>> 12);
        case UOP.JNZ:
          return ((r32[b * 2] as number) | (r32[b * 2 + 1] as number)) !== 0 ? this.branch(block, pc, d, a, word >>> 12) : this.fallThrough(block, a);
        case UOP.JZ:
          return ((r32[b * 2] as number) | (r32[b * 2 + 1] as number)) === 0 ? this.branch(block, pc, d, a, word >>> 12) : this.fallThrough(block, a);
        case UOP.JMPR:
          r[SLOT.RIP] = r[a] as bigint;
          this.retired = block.insns.length;
          return RAN_BRANCH;
        case UOP.END:
          return this.fallThrough(block, a);

        case UOP.HELP: {
          const helper = HELPERS[word >>> 8];
          const fault = helper === undefined ? VECTOR.UD + 1 : helper(state, d, a, b);
          if (fault !== 0) {
            core.raise(fault - 1, ERROR_CODE_VECTORS.has(fault - 1) ? 0 : undefined);
            return this.failed(block, pc);
          }
          break;
        }
        case UOP.SYS: {
          const insn = block.insns[d];
          const system = SYSTEM[word >>> 8];
          if (insn === undefined || system === undefined) throw new InvariantError('a SYS micro-op names its instruction and function');
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
    r[SLOT.RIP] = (r[SLOT.RIP] as bigint) + BigInt(next.offset);
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
      if (top !== 0 && top !== -1 && this.core.model.linearBits === 48) return this.badTarget(block, pc);
    } else {
      hi = 0;
      if (width === 0) lo &= 0xffff;
      if (block.mode.bits !== 64 && lo >>> 0 > state.get32(SLOT.LIMIT + 1)) return this.badTarget(block, pc);
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
    return block.mode.bits === 64 || state.get32(slot) <= state.get32(SLOT.LIMIT + 1);
  }
  private badTarget(block: Block, pc: number): RunEnd {
    this.core.raise(VECTOR.GP, 0);
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
    if ((word & 0x200) !== 0 && e?.kind === 'fault' && e.vector === VECTOR.GP) this.core.raise(VECTOR.SS, 0);
    return this.failed(block, pc);
  }
}

const halves = new Int32Array(2);
const whole = new BigUint64Array(halves.buffer);
function linear64(lo: number, hi: number): bigint {
  halves[0] = lo;
  halves[1] = hi;
  return whole[0] as bigint;
}
