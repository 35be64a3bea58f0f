import type { Hpa } from '../../base/address';
import { hpa as asHpa } from '../../base/address';
import { invariant } from '../../base/assert';

/**
 * The machine's one memory. A single WebAssembly.Memory holds, at fixed offsets:
 *
 *   0 ............ CPU_AREA_SIZE   CPU states and TLBs (see hw/state and hw/tlb)
 *   CPU_AREA_SIZE ...              host physical memory; HPA = base + (offset − CPU_AREA_SIZE)
 *
 * Guest RAM, guest page tables, EPT, host page tables and VMCSs are all bytes of the second part.
 */
export const CPU_AREA_SIZE = 0x10_0000;
const WASM_PAGE = 0x1_0000;
/** 3 GiB: what is left of WebAssembly's 4 GiB stays free for compiled code's needs. */
export const MAX_HOST_MEMORY = 0xc000_0000;

/** Called before bytes in a frame that holds decoded code change: `length` bytes at offset `at` of the machine's memory. */
export type CodeWriteListener = (at: number, length: number) => void;

export class HostMemory {
  private readonly memory: WebAssembly.Memory;
  readonly buffer: ArrayBuffer;
  readonly view: DataView;
  readonly u8: Uint8Array;
  /** Per frame: 1 while some CPU caches decoded blocks of it. Stores into such frames go through noteWrite. */
  readonly codeFrames: Uint8Array;
  private readonly listeners: CodeWriteListener[] = [];

  /**
   * @param base HPA of the first byte, 4 KiB aligned
   * @param size bytes, a multiple of 4 KiB, at most MAX_HOST_MEMORY
   */
  constructor(
    readonly base: bigint,
    readonly size: number,
  ) {
    invariant(
      size > 0 && size % 4096 === 0 && size <= MAX_HOST_MEMORY,
      'host memory is 4 KiB to 3 GiB, in whole frames',
    );
    invariant(base % 4096n === 0n, 'host memory base is frame aligned');
    this.memory = new WebAssembly.Memory({ initial: Math.ceil((CPU_AREA_SIZE + size) / WASM_PAGE) });
    this.buffer = this.memory.buffer;
    this.view = new DataView(this.buffer);
    this.u8 = new Uint8Array(this.buffer);
    this.codeFrames = new Uint8Array(size / 4096);
  }

  get frames(): number {
    return this.size / 4096;
  }

  /** Offset of `address` in the WebAssembly memory, or −1 where there is no memory. */
  offsetOf(address: bigint): number {
    const n = address - this.base;
    return n >= 0n && n < BigInt(this.size) ? CPU_AREA_SIZE + Number(n) : -1;
  }

  contains(address: bigint, length = 1): boolean {
    const n = address - this.base;
    return n >= 0n && n + BigInt(length) <= BigInt(this.size);
  }

  /** Index of the host frame that holds an offset of the machine's memory. */
  frameOf(offset: number): number {
    return (offset - CPU_AREA_SIZE) >>> 12;
  }
  hpaOf(offset: number): Hpa {
    return asHpa(this.base + BigInt(offset - CPU_AREA_SIZE));
  }

  private at(address: Hpa, length: number): number {
    invariant(this.contains(address, length), 'host physical access inside host memory');
    return CPU_AREA_SIZE + Number(address - this.base);
  }

  read8(a: Hpa): number {
    return this.view.getUint8(this.at(a, 1));
  }
  read32(a: Hpa): number {
    return this.view.getUint32(this.at(a, 4), true);
  }
  read64(a: Hpa): bigint {
    return this.view.getBigUint64(this.at(a, 8), true);
  }
  write8(a: Hpa, value: number): void {
    const at = this.at(a, 1);
    this.noteWrite(at, 1);
    this.view.setUint8(at, value);
  }
  write32(a: Hpa, value: number): void {
    const at = this.at(a, 4);
    this.noteWrite(at, 4);
    this.view.setUint32(at, value, true);
  }
  write64(a: Hpa, value: bigint): void {
    const at = this.at(a, 8);
    this.noteWrite(at, 8);
    this.view.setBigUint64(at, value, true);
  }
  /** A copy of `length` bytes. */
  read(a: Hpa, length: number): Uint8Array {
    const at = this.at(a, length);
    return this.u8.slice(at, at + length);
  }
  write(a: Hpa, bytes: Uint8Array): void {
    const at = this.at(a, bytes.length);
    this.noteWrite(at, bytes.length);
    this.u8.set(bytes, at);
  }
  fill(a: Hpa, length: number, value: number): void {
    const at = this.at(a, length);
    this.noteWrite(at, length);
    this.u8.fill(value, at, at + length);
  }

  onCodeWrite(listener: CodeWriteListener): void {
    this.listeners.push(listener);
  }

  /** To be called before a store of `length` bytes at WebAssembly offset `at`: drops decoded blocks of the frames touched. */
  noteWrite(at: number, length: number): void {
    const first = (at - CPU_AREA_SIZE) >>> 12;
    const last = (at - CPU_AREA_SIZE + length - 1) >>> 12;
    for (let f = first; f <= last; f++) {
      if (this.codeFrames[f]) {
        for (const l of this.listeners) l(at, length);
        return;
      }
    }
  }
}
