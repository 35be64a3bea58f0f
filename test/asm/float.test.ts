import assert from 'node:assert';
import fc from 'fast-check';
import { floatBytes } from '../../src/asm/float';

describe('asm: floating-point constants', () => {
  it('rounds floating-point constants as the hardware does', () => {
    fc.assert(
      fc.property(fc.double({ noNaN: true, noDefaultInfinity: true, min: 0 }), (x) => {
        const view = new DataView(new ArrayBuffer(12));
        view.setFloat64(0, x, true);
        view.setFloat32(8, x, true);
        const text = /[.e]/.test(String(x)) ? String(x) : `${x}.0`;
        assert.deepStrictEqual([...(floatBytes(text, false, 8) ?? [])], [...new Uint8Array(view.buffer, 0, 8)], text);
        assert.deepStrictEqual([...(floatBytes(text, false, 4) ?? [])], [...new Uint8Array(view.buffer, 8, 4)], text);
      }),
      { seed: 5, numRuns: 500 },
    );
  });
});
