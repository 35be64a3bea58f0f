/**
 * A core over flat memory: linear address = offset, modulo the memory's size; no paging, no TLB, no devices. What instruction tests run on.
 */
import { CPU_AREA_SIZE, HostMemory } from '../../../src/hw/memory/host-memory';
import type { Block } from '../../../src/hw/cpu/block';
import { buildBlock, MAX_BLOCK_INSTRUCTIONS } from '../../../src/hw/cpu/block-builder';
import { Core, type IoPort, type MemoryPort } from '../../../src/hw/cpu/core';
import { PAGEWALK_X64, type CpuidModel } from '../../../src/hw/cpu/cpuid-model';
import { RAN_EVENT, Runner } from '../../../src/hw/cpu/runner';
import { isAligned } from '../../../src/hw/cpu/system/alignment';
import { codeMode } from '../../../src/hw/cpu/system/modes';
import { resetState } from '../../../src/hw/cpu/system/reset';
import type { Access } from '../../../src/hw/paging/access';
import { CpuState } from '../../../src/hw/state/cpu-state';
import type { FaultEvent } from '../../../src/hw/state/event';
import { SEG, SLOT } from '../../../src/hw/state/layout';
import { Tlb } from '../../../src/hw/tlb/tlb';

/** Says which fault an access of `size` bytes at a linear address meets, if any. */
export type Guard = (linear: bigint, size: number, write: boolean) => FaultEvent | undefined;

/** Memory that answers every address, unless a guard objects. */
export class FlatPort implements MemoryPort {
  readonly bytes: Uint8Array;
  private readonly mask: bigint;
  guard: Guard | undefined;
  /** Linear addresses of the bytes stored so far. */
  readonly stored: bigint[] = [];

  constructor(memory: HostMemory, size: number) {
    this.bytes = memory.u8.subarray(CPU_AREA_SIZE, CPU_AREA_SIZE + size);
    this.mask = BigInt(size - 1);
  }
  private at(linear: bigint): number {
    return Number(linear & this.mask);
  }
  private allowed(core: Core, linear: bigint, size: number, write: boolean): boolean {
    const fault = this.guard?.(linear, size, write);
    if (fault !== undefined) core.event = fault;
    return fault === undefined;
  }
  load(core: Core, linear: bigint, size: number, access: Access, dst: number, intent: boolean): boolean {
    if (!isAligned(core, linear, size, access) || !this.allowed(core, linear, size, intent)) return false;
    let value = 0n;
    for (let i = size - 1; i >= 0; i--)
      value = (value << 8n) | BigInt(this.bytes[this.at(linear + BigInt(i))] as number);
    core.state.set(dst, value);
    return true;
  }
  store(core: Core, linear: bigint, size: number, access: Access, src: number): boolean {
    if (!isAligned(core, linear, size, access) || !this.allowed(core, linear, size, true)) return false;
    let value = core.state.get(src);
    for (let i = 0; i < size; i++, value >>= 8n) {
      this.stored.push(linear + BigInt(i));
      this.bytes[this.at(linear + BigInt(i))] = Number(value & 0xffn);
    }
    return true;
  }
  probe(core: Core, linear: bigint, size: number, access: Access): boolean {
    return isAligned(core, linear, size, access) && this.allowed(core, linear, size, access.op === 'write');
  }
  readPhysical(_core: Core, address: bigint): bigint {
    let value = 0n;
    for (let i = 7; i >= 0; i--) value = (value << 8n) | BigInt(this.bytes[this.at(address + BigInt(i))] as number);
    return value;
  }
  controlsChanged(): void {}
  cr3Loaded(): void {}
  flush(): void {}
  invlpg(): void {}
}

const NO_IO: IoPort = {
  in: (core, _port, _size, dst) => {
    core.state.set(dst, 0n);
    return true;
  },
  out: () => true,
};

/** A core with its flat memory and a runner. */
export class FlatCore {
  readonly state: CpuState;
  readonly port: FlatPort;
  readonly core: Core;
  private readonly runner: Runner;
  private readonly blocks = new Map<string, Block>();

  /** @param size bytes of memory, a power of two */
  constructor(size: number, io: IoPort = NO_IO, model: CpuidModel = PAGEWALK_X64) {
    const memory = new HostMemory(0n, size);
    this.state = new CpuState(memory, 0);
    resetState(this.state, model);
    this.port = new FlatPort(memory, size);
    this.core = new Core(this.state, this.port, io, model);
    this.runner = new Runner(this.core, new Tlb(memory, 0, 0, 0));
  }

  /** Bytes from the instruction pointer on. */
  private fetch(): Uint8Array {
    const linear = this.state.segmentBase(SEG.CS) + this.state.rip;
    const out = new Uint8Array(64);
    const size = this.port.bytes.length;
    for (let i = 0; i < out.length; i++)
      out[i] = this.port.bytes[(Number(linear & BigInt(size - 1)) + i) % size] as number;
    return out;
  }

  /** Runs one instruction (one iteration of a repeated one). False: `core.event` says why not. */
  step(): boolean {
    return this.run(1);
  }
  /** Runs a block of up to `instructions`. */
  run(instructions = MAX_BLOCK_INSTRUCTIONS): boolean {
    const bytes = this.fetch();
    const mode = codeMode(this.state);
    const key = `${mode.bits}/${mode.stackBits}/${instructions}/${Buffer.from(bytes).toString('latin1')}`;
    let block = this.blocks.get(key);
    if (block === undefined) {
      block = buildBlock({ bytes, mode, maxInstructions: instructions, offset: 0, secondPage: -1, key: 0 });
      if (block === undefined) throw new Error('64 bytes hold an instruction');
      if (this.blocks.size > 4096) this.blocks.clear();
      this.blocks.set(key, block);
    }
    this.core.event = undefined;
    return this.runner.run(block) !== RAN_EVENT;
  }
  get retired(): bigint {
    return this.state.get(SLOT.RETIRED);
  }
}
