import * as assert from 'node:assert/strict';
import { hpa } from '../../../src/base/address';
import { FrameAllocator } from '../../../src/hw/memory/frames';
import { HostMemory } from '../../../src/hw/memory/host-memory';

describe('the frame allocator', () => {
  it('hands out every frame once, scattered, and the one that came back', () => {
    const memory = new HostMemory(0x1_0000_0000n, 8 << 20);
    const frames = new FrameAllocator(memory);
    const seen = new Set<bigint>();
    for (let f = frames.allocate(); f !== undefined; f = frames.allocate()) seen.add(f);
    assert.equal(seen.size, memory.frames);
    const [first = 0n, second = 0n] = seen;
    assert.notEqual(second - first, 4096n);
    frames.free(hpa(0x1_0000_5000n));
    assert.equal(frames.framesFree, 1);
    assert.equal(frames.allocate(), 0x1_0000_5000n);
    assert.equal(frames.allocate(), undefined);
  });

  it('hands them out in another order with another seed, and every one of them', () => {
    const orderOf = (seed: number): readonly (bigint | undefined)[] => {
      const memory = new HostMemory(0x1_0000_0000n, 8 << 20);
      const frames = new FrameAllocator(memory, seed);
      return Array.from({ length: memory.frames }, () => frames.allocate());
    };
    const orders = [0, 1, 2, 0x7fff_ffff].map(orderOf);
    for (const order of orders) assert.equal(new Set(order).size, order.length);
    assert.equal(new Set(orders.map((order) => order.slice(0, 3).join())).size, orders.length);
    assert.deepEqual(orderOf(1), orders[1]);
  });

  it('gives aligned runs and exact frames, and repeats itself from a snapshot', () => {
    const frames = new FrameAllocator(new HostMemory(0x1_0000_0000n, 8 << 20));
    const run = frames.allocateAligned(512) ?? 1n;
    assert.equal(run % 0x20_0000n, 0n);
    assert.equal(frames.reserve(hpa(run + 0x1000n)), false);
    assert.equal(frames.reserve(hpa(0x1_0000_3000n)), true);
    const saved = frames.save();
    const some = [1, 2, 3].map(() => frames.allocate());
    frames.restore(saved);
    assert.deepEqual(
      [1, 2, 3].map(() => frames.allocate()),
      some,
    );
  });
});
