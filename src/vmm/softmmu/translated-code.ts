import type { HostMemory } from '../../hw/memory/host-memory';
import { buildBlock, MAX_BLOCK_INSTRUCTIONS } from '../../hw/cpu/block-builder';
import type { CodeMode } from '../../hw/cpu/lift/emitter';
import { endsStraightLine } from '../../hw/cpu/straight-line';

const LONGEST = 15;

/**
 * How much code a dynamic translator would have translated (tb_gen_code of QEMU): each instruction once, when control
 * reaches it by a branch, on a new page or by falling through, and again after the guest wrote to it. Called only
 * when the fetch consults the TLB, so stepping and running give the same counts.
 */
export class TranslatedCode {
  /** Blocks and guest instructions translated so far. */
  blocks = 0;
  instructions = 0;
  /** By frame: at each byte where a translated instruction starts, its length. */
  private readonly pages = new Map<number, Uint8Array>();
  private lastFrame = -1;
  private lastPage: Uint8Array | undefined;

  constructor(private readonly memory: HostMemory) {
    memory.onCodeWrite((at, length) => this.written(at, length));
  }

  /** Code at `offset` of the machine's memory is about to run, reached other than by falling through within a page. */
  entered(offset: number, mode: CodeMode): void {
    const frame = this.memory.frameOf(offset);
    if (frame !== this.lastFrame) {
      this.lastFrame = frame;
      this.lastPage = this.pages.get(frame);
    }
    if (this.lastPage !== undefined && this.lastPage[offset & 0xfff] !== 0) return;
    this.translate(offset, mode, frame);
  }

  private translate(start: number, mode: CodeMode, frame: number): void {
    let page = this.pages.get(frame);
    if (!page) this.pages.set(frame, (page = new Uint8Array(4096)));
    this.lastPage = page;
    const end = start - (start & 0xfff) + 4096;
    for (let at = start; at < end;) {
      const block = buildBlock({
        bytes: this.memory.u8.subarray(at, end),
        mode,
        maxInstructions: MAX_BLOCK_INSTRUCTIONS,
        offset: at,
        secondPage: -1,
        key: 0,
      });
      this.blocks++;
      if (!block) {
        // the page's last instruction, which continues on the next
        page[at & 0xfff] = Math.min(LONGEST, end - at);
        this.instructions++;
        return;
      }
      for (const { length, mnemonic } of block.insns) {
        if (page[at & 0xfff] !== 0) return;
        page[at & 0xfff] = Math.min(length, LONGEST);
        this.instructions++;
        at += length;
        if (endsStraightLine(mnemonic)) return;
      }
    }
  }

  /** tb_invalidate_phys_range: drops the page's translated code that the guest wrote to. */
  private written(at: number, length: number): void {
    const first = this.memory.frameOf(at);
    for (let frame = first; frame <= this.memory.frameOf(at + length - 1); frame++) {
      const page = this.pages.get(frame);
      if (!page || !hits(page, (at & 0xfff) - (frame - first) * 4096, length)) continue;
      this.pages.delete(frame);
      if (frame === this.lastFrame) this.lastPage = undefined;
    }
  }

  save(): TranslatedCodeState {
    const { blocks, instructions } = this;
    return { blocks, instructions, pages: [...this.pages].map(([frame, page]) => [frame, page.slice()] as const) };
  }
  restore(s: TranslatedCodeState): void {
    this.blocks = s.blocks;
    this.instructions = s.instructions;
    this.pages.clear();
    for (const [frame, page] of s.pages) this.pages.set(frame, page.slice());
    this.lastFrame = -1;
  }
}

/** Whether bytes [at, at + length) touch an instruction; `at` may lie before the page. */
function hits(page: Uint8Array, at: number, length: number): boolean {
  for (let start = Math.max(0, at - LONGEST + 1); start < Math.min(4096, at + length); start++)
    if (start + (page[start] ?? 0) > at && page[start] !== 0) return true;
  return false;
}

export interface TranslatedCodeState {
  readonly blocks: number;
  readonly instructions: number;
  readonly pages: readonly (readonly [frame: number, page: Uint8Array])[];
}
