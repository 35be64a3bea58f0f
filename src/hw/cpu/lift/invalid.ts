import { because, type FaultReason } from '../../../isa/reasons/index';
import { InstructionDecoder, isInvalid } from '../decode';
import type { Decoded } from '../decoded';

const LOCK = 0xf0;
const LEGACY_PREFIXES: ReadonlySet<number> = new Set([
  0x26,
  0x2e,
  0x36,
  0x3e,
  0x64,
  0x65,
  0x66,
  0x67,
  LOCK,
  0xf2,
  0xf3,
]);
const decoder = new InstructionDecoder();

/** Why bytes that the decoder refuses are not an instruction: a register that does not exist, a LOCK prefix, or no such opcode. */
export function invalidReason({ bytes, bits }: Decoded): FaultReason {
  let i = 0;
  let lock = -1;
  for (; LEGACY_PREFIXES.has(bytes[i] ?? 0); i++) if (bytes[i] === LOCK) lock = i;
  const rex = bits === 64 && ((bytes[i] ?? 0) & 0xf0) === 0x40 ? (bytes[i++] as number) : 0;
  const twoBytes = bytes[i] === 0x0f;
  const opcode = bytes[twoBytes ? i + 1 : i];
  const field = ((bytes[twoBytes ? i + 2 : i + 1] ?? 0) >> 3) & 7;
  // REX.R is bit 3 of the register's number
  const register = field | ((rex & 4) << 1);
  if (!twoBytes && opcode === 0x8e && field === 1) return because('load-cs');
  if (twoBytes && (opcode === 0x20 || opcode === 0x22)) return because('control-register', register);
  if (twoBytes && (opcode === 0x21 || opcode === 0x23)) return because('debug-register', register);
  if (lock >= 0) {
    const without = decoder.decode(
      bytes.filter((_, at) => at !== lock),
      bits,
      0,
    );
    if (without && !isInvalid(without)) return because('lock-prefix');
  }
  return because('opcode-invalid', bits);
}
