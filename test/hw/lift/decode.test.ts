import * as assert from 'node:assert/strict';
import { Mnemonic } from 'iced-x86';
import { InstructionDecoder } from '../../../src/hw/cpu/decode';
import type { Decoded } from '../../../src/hw/cpu/decoded';

const decoder = new InstructionDecoder();

/** Decodes hex bytes at a mode. */
function decode(bits: 16 | 32 | 64, hex: string): Decoded | undefined {
  return decoder.decode(Uint8Array.from(Buffer.from(hex.replaceAll(' ', ''), 'hex')), bits, 0);
}
function decoded(bits: 16 | 32 | 64, hex: string): Decoded {
  const insn = decode(bits, hex);
  assert.ok(insn !== undefined, `${hex} is whole`);
  return insn;
}

describe('decoder', () => {
  it('gives operand and address sizes with prefixes and the 64-bit defaults of branches and stack operations', () => {
    const sizes = (bits: 16 | 32 | 64, hex: string): string => {
      const i = decoded(bits, hex);
      return `${i.operandBits}/${i.addressBits}`;
    };
    assert.equal(sizes(16, '8b 07'), '16/16');
    assert.equal(sizes(16, '66 67 8b 00'), '32/32');
    assert.equal(sizes(32, '66 8b 00'), '16/32');
    assert.equal(sizes(64, '48 8b 00'), '64/64');
    assert.equal(sizes(64, '48 66 8b 00'), '16/64', 'REX that is not right before the opcode is ignored');
    assert.equal(sizes(64, '50'), '64/64');
    assert.equal(sizes(64, 'c3'), '64/64');
    assert.equal(sizes(64, '66 e9 00 00 00 00'), '64/64', '66 has no effect on near branches (Intel)');
    assert.equal(sizes(64, '67 e3 00'), '64/32');
  });

  it('chooses segments: SS by base register, overrides, and only FS and GS in 64-bit mode', () => {
    const segment = (bits: 16 | 32 | 64, hex: string): number | undefined => {
      const o = decoded(bits, hex).operands.find((x) => x.kind === 'memory');
      return o?.kind === 'memory' ? o.memory.segment : undefined;
    };
    assert.equal(segment(16, '8b 46 02'), 2);
    assert.equal(segment(16, '26 8b 46 02'), 0);
    assert.equal(segment(32, '8b 04 24'), 2);
    assert.equal(segment(64, '26 8b 04 24'), 2);
    assert.equal(segment(64, '65 26 8b 04 24'), 5);
    assert.equal(segment(16, '2e ac'), 1, 'LODSB takes an override');
    assert.equal(segment(16, '2e aa'), 0, 'STOSB does not');
  });

  it('extends immediates to their operand and gives branch offsets from the instruction start', () => {
    const value = (hex: string): bigint | undefined => {
      const o = decoded(64, hex).operands[1];
      return o?.kind === 'immediate' ? o.value : undefined;
    };
    assert.equal(value('83 c0 ff'), 0xffff_ffffn);
    assert.equal(value('48 83 c0 ff'), 0xffff_ffff_ffff_ffffn);
    assert.equal(value('c0 e0 ff'), 0xffn);
    assert.deepEqual(decoded(16, 'e8 f0 ff').operands[0], { kind: 'near', offset: -13 });
    assert.deepEqual(decoded(64, 'eb 05').operands[0], { kind: 'near', offset: 7 });
  });

  it('makes RIP-relative displacements relative to the instruction start', () => {
    const o = decoded(64, '48 8b 05 f0 ff ff ff').operands[1];
    assert.ok(o?.kind === 'memory' && o.memory.ripRelative);
    assert.equal(o.memory.displacement, -9n);
  });

  it('tells apart bytes that end early, opcodes that do not exist and instructions above 15 bytes', () => {
    assert.equal(decode(64, '48'), undefined);
    assert.equal(decode(64, '66'.repeat(12) + '0f'), undefined);
    assert.equal(decoded(64, '0f ff c0').mnemonic, Mnemonic.Ud0);
    assert.equal(decoded(64, 'f0 01 c0').mnemonic, Mnemonic.INVALID, 'LOCK on a register destination');
    const overlong = decoded(64, '66'.repeat(15) + '90');
    assert.equal(overlong.mnemonic, Mnemonic.INVALID);
    assert.ok(overlong.length > 15);
    assert.equal(decoded(64, '66'.repeat(14) + '90').length, 15);
  });
});
