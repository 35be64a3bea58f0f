import { InvariantError } from '../../base/assert';
import { joinHalves } from '../../base/bits';
import { denyFetch } from './system/raise';
import { CLASS_FETCH, WHO_SUPERVISOR, WHO_USER } from '../paging/access';
import { SEG, SLOT } from '../state/layout';
import type { Tlb } from '../tlb/tlb';
import type { Block } from './block';
import { type BlockCache, modeId } from './block-cache';
import { buildBlock, MAX_BLOCK_INSTRUCTIONS } from './block-builder';
import type { Core } from './core';
import { NO_INSTRUCTION } from './decoded';
import type { CodeMode } from './lift/emitter';
import type { Mmu } from './mmu';
import { codeBytesInLimit, codeMode } from './system/modes';

const RIP = SLOT.RIP * 2;
const CS_BASE = (SLOT.SEG_BASE + SEG.CS) * 2;
const FETCH_LINEAR = SLOT.FETCH_LINEAR * 2;
const FETCH_OFFSET = SLOT.FETCH_OFFSET * 2;
const CONTINUES = SLOT.FETCH_CONTINUES * 2;

/**
 * Instruction fetch: from CS:RIP to a decoded block. The TLB is asked at a page change, after a taken branch and after a flush (SLOT.FETCH_CONTINUES says that none of them
 * happened), so that its counts are the same whether a guest is stepped or run.
 */
export class Fetcher {
  /** Told of code that is decoded, not of code that is executed again: the linear address of a block's first instruction, and the mode. */
  decoded: ((linear: bigint, bits: CodeMode['bits']) => void) | undefined;

  constructor(
    private readonly core: Core,
    private readonly mmu: Mmu,
    private readonly tlb: Tlb,
    private readonly blocks: BlockCache,
    private readonly entered?: (offset: number, mode: CodeMode) => void,
  ) {}

  /** The block at RIP, of one instruction with `single`; undefined with `core.event` set when it cannot be fetched. */
  next(single: boolean): Block | undefined {
    const s = this.core.state;
    const r32 = s.r32;
    const mode = codeMode(s);
    let lo = r32[RIP] as number;
    let hi = r32[RIP + 1] as number;
    const room = codeBytesInLimit(s, mode);
    if (mode.bits !== 64) {
      if (room <= 0) return this.beyondLimit();
      lo = (lo + (r32[CS_BASE] as number)) | 0;
      hi = 0;
    }
    let offset: number;
    if (r32[CONTINUES] !== 0 && r32[FETCH_LINEAR] === (lo & ~0xfff) && r32[FETCH_LINEAR + 1] === hi) {
      offset = ((r32[FETCH_OFFSET] as number) >>> 0) + (lo & 0xfff);
    } else {
      offset = this.translate(lo, hi);
      if (offset < 0) return undefined;
      if (this.entered !== undefined) this.entered(offset, mode);
      r32[CONTINUES] = 1;
      r32[FETCH_LINEAR] = lo & ~0xfff;
      r32[FETCH_LINEAR + 1] = hi;
      r32[FETCH_OFFSET] = offset - (lo & 0xfff);
    }
    const block = this.block(mode, offset, single, lo, hi, room);
    if (block === undefined || block.length <= room) return block;
    // the limit cuts the block off, or its first instruction
    const first = block.insns.length > 1 ? this.block(mode, offset, true, lo, hi, room) : block;
    return first === undefined || first.length <= room ? first : this.beyondLimit();
  }
  private beyondLimit(): undefined {
    denyFetch(this.core);
    this.core.insn = NO_INSTRUCTION;
    return undefined;
  }

  /** The block at `offset`, out of the cache where it is there. */
  private block(
    mode: CodeMode,
    offset: number,
    single: boolean,
    lo: number,
    hi: number,
    room: number,
  ): Block | undefined {
    const id = modeId(mode);
    const found = this.blocks.find(offset, id, single);
    if (found !== undefined) {
      if (found.secondPage < 0) return found;
      if (4096 - (lo & 0xfff) >= room) return this.beyondLimit();
      const second = this.secondPage(lo, hi, mode);
      if (second < 0) return undefined;
      if (second === found.secondPage) return found;
    }
    return this.build(mode, id, offset, single, lo, hi, room);
  }

  /** Offset in the machine's memory of the code byte at a linear address, through the TLB; −1 with the event set. */
  private translate(lo: number, hi: number): number {
    const tlb = this.tlb;
    const e = tlb.findFast(lo, hi, 1 << (CLASS_FETCH + (this.core.state.cpl === 3 ? WHO_USER : WHO_SUPERVISOR)));
    if (e >= 0) {
      tlb.hits++;
      return tlb.offsetOf(e) + (lo & 0xfff);
    }
    const at = this.mmu.fetch(this.core, joinHalves(lo, hi));
    if (at < 0) this.core.insn = NO_INSTRUCTION;
    return at;
  }
  private secondPage(lo: number, hi: number, mode: CodeMode): number {
    const next = ((lo & ~0xfff) + 4096) | 0;
    return this.translate(next, next === 0 && mode.bits === 64 ? (hi + 1) | 0 : hi);
  }

  private build(
    mode: CodeMode,
    id: number,
    offset: number,
    single: boolean,
    lo: number,
    hi: number,
    room: number,
  ): Block | undefined {
    const u8 = this.core.state.memory.u8;
    const here = 4096 - (lo & 0xfff);
    const key = this.blocks.key(offset, id, single);
    const maxInstructions = single ? 1 : MAX_BLOCK_INSTRUCTIONS;
    let block = buildBlock({
      bytes: u8.subarray(offset, offset + here),
      mode,
      maxInstructions,
      offset,
      secondPage: -1,
      key,
    });
    if (block === undefined) {
      // the first instruction goes on in the next page
      if (here >= room) return this.beyondLimit();
      const second = this.secondPage(lo, hi, mode);
      if (second < 0) return undefined;
      const bytes = new Uint8Array(15);
      bytes.set(u8.subarray(offset, offset + here));
      bytes.set(u8.subarray(second, second + 15 - here), here);
      block = buildBlock({ bytes, mode, maxInstructions: 1, offset, secondPage: second, key });
      if (block === undefined) throw new InvariantError('15 bytes always decode to an instruction or an error');
    }
    this.blocks.add(block);
    this.decoded?.(joinHalves(lo, hi), mode.bits);
    return block;
  }
}
