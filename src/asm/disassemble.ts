import { Decoder, DecoderOptions, Formatter, FormatterSyntax, Instruction } from 'iced-x86';
import type { Bits } from './code-size';

export interface DisassembledInstruction {
  readonly address: bigint;
  readonly length: number;
  readonly bytes: Uint8Array;
  /** In NASM's syntax; `db 0x…` if the bytes are not an instruction. */
  readonly text: string;
  readonly valid: boolean;
}

/**
 * Decodes up to `count` instructions. Undecodable bytes are returned one by one, so the caller always advances.
 * @param symbolOf names an address; its name is put beside branch targets
 */
export function disassemble(
  bytes: Uint8Array,
  address: bigint,
  bits: Bits,
  count: number,
  symbolOf?: (a: bigint) => string | undefined,
): DisassembledInstruction[] {
  const out: DisassembledInstruction[] = [];
  const decoder = new Decoder(bits, bytes, DecoderOptions.None);
  const formatter = new Formatter(FormatterSyntax.Nasm);
  const instruction = new Instruction();
  try {
    formatter.hexPrefix = '0x';
    formatter.hexSuffix = '';
    formatter.uppercaseHex = false;
    formatter.smallHexNumbersInDecimal = true;
    formatter.spaceAfterOperandSeparator = true;
    formatter.branchLeadingZeros = false;
    decoder.ip = BigInt.asUintN(64, address);
    while (out.length < count && decoder.canDecode) {
      const at = decoder.position;
      const ip = decoder.ip;
      decoder.decodeOut(instruction);
      if (instruction.isInvalid) {
        const b = bytes[at] ?? 0;
        out.push({
          address: ip,
          length: 1,
          bytes: bytes.slice(at, at + 1),
          text: `db 0x${b.toString(16).padStart(2, '0')}`,
          valid: false,
        });
        decoder.position = at + 1;
        decoder.ip = ip + 1n;
        continue;
      }
      const length = instruction.length;
      const target =
        instruction.isJccShortOrNear ||
        instruction.isJmpShortOrNear ||
        instruction.isCallNear ||
        instruction.isLoop ||
        instruction.isLoopcc ||
        instruction.isJcxShort
          ? symbolOf?.(instruction.nearBranchTarget)
          : instruction.isIpRelMemoryOperand
            ? symbolOf?.(instruction.ipRelMemoryAddress)
            : undefined;
      const text = formatter.format(instruction) + (target === undefined ? '' : `  ; ${target}`);
      out.push({ address: ip, length, bytes: bytes.slice(at, at + length), text, valid: true });
    }
  } finally {
    instruction.free();
    formatter.free();
    decoder.free();
  }
  return out;
}
