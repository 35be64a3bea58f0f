/** What every row of the table of devices must be. */
import assert from 'node:assert/strict';
import { OPTIONS } from '../../../src/session/launch/option-table';
import { launchSchema } from '../../../src/session/launch/launch-schema';
import { DEVICES, USUAL_DEVICES } from '../../../src/vmm/devices/table';
import type { DeviceSpec } from '../../../src/vmm/bus/device';
import { stateHash } from '../../../src/vmm/state-hash';
import { DeviceBus } from '../support/device-bus';
import { random } from '../../kvm/support/living-host';

/** Writes and reads all over a device's ranges. */
function poke(bus: DeviceBus, spec: DeviceSpec, next: (below: number) => number): void {
  for (let i = 0; i < 300; i++)
    for (const { space, first, last } of spec.ranges) {
      const address = first + BigInt(next(Number(last - first) + 1));
      if (next(3) === 0) bus.read(space, address, 1);
      else bus.write(space, address, 1, BigInt(next(256)));
    }
}

describe('table of devices', () => {
  it('has devices that do not overlap, but for the debug console at one port of pc-testdev', () => {
    const ranges = DEVICES.flatMap(({ name, ranges: all }) => all.map((range) => ({ name, range })));
    const overlaps = ranges.flatMap((a, i) =>
      ranges
        .slice(i + 1)
        .filter((b) => b.range.space === a.range.space)
        .filter((b) => b.range.first <= a.range.last && b.range.last >= a.range.first)
        .map((b) => `${a.name} ${b.name}`),
    );
    assert.deepEqual(overlaps, ['debugcon pc-testdev']);
  });

  it('gives the options their devices', () => {
    const asked = DEVICES.filter((d) => !USUAL_DEVICES.includes(d)).map((d) => d.name);
    assert.deepEqual(Object.keys(OPTIONS.device.values), asked);
    assert.deepEqual(launchSchema()['device']?.items?.enum, asked);
    const outputs = DEVICES.filter((d) => d.output !== undefined).map((d) => d.name);
    assert.deepEqual(
      Object.keys(OPTIONS).filter((key) => outputs.includes(key)),
      outputs,
    );
  });

  for (const spec of DEVICES)
    it(`${spec.name}: a restored device goes on as the saved one did, and what is saved stays as it is`, () => {
      const [one, other] = [new DeviceBus(spec), new DeviceBus(spec)];
      poke(one, spec, random(1));
      const saved = one.save();
      const hash = stateHash(saved);
      const goOn = (bus: DeviceBus): unknown => {
        bus.out.length = 0;
        const next = random(2);
        poke(bus, spec, next);
        const reads = spec.ranges.map(({ space, first, last }) =>
          Array.from({ length: 256 }, () => bus.read(space, first + BigInt(next(Number(last - first) + 1)), 1)),
        );
        return { reads, out: bus.out.slice(), state: stateHash(bus.save()) };
      };
      const went = goOn(one);
      assert.equal(stateHash(saved), hash);
      poke(other, spec, random(3));
      other.restore(saved);
      assert.equal(stateHash(other.save()), hash);
      assert.deepEqual(goOn(other), went);
    });
});
