import { hpa, type Hpa } from '../../base/address';
import type { Cpu } from '../../hw/cpu/cpu';
import type { HostMemory } from '../../hw/memory/host-memory';

/** VMCS regions and VMCBs take one frame each. */
const SIZE = 4096;

/** A past copy of a VMCS or VMCB: `Vmcs` and `Vmcb` read it like the one in memory. */
export class ControlImage {
  readonly buffer = new ArrayBuffer(SIZE);
  readonly view = new DataView(this.buffer);
  readonly u8 = new Uint8Array(this.buffer);
  address: Hpa = hpa(0n);
  /** Number of the exit that left it in this state, from 0; −1: none yet. */
  exit = -1;

  offsetOf(address: bigint): number {
    return address === this.address ? 0 : -1;
  }
}

/**
 * The VMCS (on SVM the VMCB) as the hardware left it at each of the last two VM exits, to show what changed between
 * them: exit information and guest state by the second exit, everything else by the hypervisor's VMWRITEs in between.
 */
export class ControlImages {
  private latest = new ControlImage();
  private older = new ControlImage();

  /** Called at a VM exit, before it is handled. */
  take(cpu: Cpu, exit: number): void {
    const address = cpu.vmx.current?.address ?? cpu.svm.vmcb?.address;
    if (address === undefined) return;
    const image = this.older;
    this.older = this.latest;
    this.latest = image;
    image.address = address;
    image.exit = exit;
    copy(cpu.memory, address, image);
  }

  /** The structure at `address` as the second-to-last exit left it; undefined: it had not exited yet. */
  before(address: Hpa): ControlImage | undefined {
    return this.older.exit >= 0 && this.older.address === address ? this.older : undefined;
  }

  save(): ControlImagesState {
    return [this.older, this.latest].map(({ address, exit, u8 }) => ({ address, exit, bytes: u8.slice() }));
  }
  restore(s: ControlImagesState): void {
    for (const [i, image] of [this.older, this.latest].entries()) {
      const saved = s[i];
      image.address = saved?.address ?? hpa(0n);
      image.exit = saved?.exit ?? -1;
      if (saved) image.u8.set(saved.bytes);
    }
  }
}

function copy(memory: HostMemory, address: Hpa, to: ControlImage): void {
  const at = memory.offsetOf(address);
  to.u8.set(memory.u8.subarray(at, at + SIZE));
}

export type ControlImagesState = readonly {
  readonly address: Hpa;
  readonly exit: number;
  readonly bytes: Uint8Array;
}[];
