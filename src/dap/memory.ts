/** Memory and code: readMemory, writeMemory, disassemble. References carry their space: `gpa:0x5000`; without one, linear. */
import type { DebugProtocol as Dap } from '@vscode/debugprotocol';
import { u64 } from '../base/bits';
import { hex, hexBytes } from '../base/hex';
import { formatReference, parseReference } from '../session/guest/memory';
import type { DisassembledLine, SpaceAddress } from '../session/types';
import { compact } from './compact';
import type { AdapterContext } from './context';
import { requestError } from './errors';
import type { Handlers } from './requests';

/** Bytes that one request may read or write. VS Code asks for some kilobytes at a time. */
const MOST_BYTES = 16 << 20;
const MOST_INSTRUCTIONS = 10_000;
/** Node's own decoder skips over what is not. */
const BASE64 = /^[A-Za-z0-9+/]*={0,2}$/;

function addressOf(reference: string, offset: number): SpaceAddress {
  const at = parseReference(reference);
  if (!at) {
    throw requestError(
      'badReference',
      `${reference} is not an address; write 0x and hex digits, with gpa:, hva: or hpa: in front for another space`,
    );
  }
  return { space: at.space, value: u64(at.value + BigInt(offset)) };
}

/** A reference that must be linear: where instructions are. */
export function linearAddress(reference: string, offset: number): bigint {
  const { space, value } = addressOf(reference, offset);
  if (space !== 'gva')
    throw requestError('badReference', `${reference} is not a linear address; instructions are found by those`);
  return value;
}

function limit(count: number, most: number, what: string): number {
  if (!Number.isInteger(count) || count < 0 || count > most)
    throw requestError('tooMuch', `${count} ${what} at once; at most ${most}`);
  return count;
}

function instruction(adapter: AdapterContext, line: DisassembledLine): Dap.DisassembledInstruction {
  const { client } = adapter;
  return compact<Dap.DisassembledInstruction>({
    address: hex(line.address),
    instructionBytes: hexBytes(line.bytes),
    instruction: line.text,
    symbol: line.symbol,
    location: line.location && client.source(line.location.file),
    line: line.location && client.lineIn(line.location.file, line.location.line),
    presentationHint: line.valid ? undefined : 'invalid',
  });
}

export const memoryRequests: Handlers<'readMemory' | 'writeMemory' | 'disassemble'> = {
  readMemory(adapter, args) {
    const { stopped } = adapter;
    const at = addressOf(args.memoryReference, args.offset ?? 0);
    const count = limit(args.count, MOST_BYTES, 'bytes');
    const { address, bytes, unreadable } = stopped.memory.read(at, count);
    adapter.memory.note(args.memoryReference, args.offset ?? 0, at, count, bytes);
    return compact<NonNullable<Dap.ReadMemoryResponse['body']>>({
      address: hex(address.value),
      unreadableBytes: unreadable > 0 ? unreadable : undefined,
      data: Buffer.from(bytes).toString('base64'),
    });
  },

  writeMemory(adapter, args) {
    const { stopped } = adapter;
    if (!BASE64.test(args.data) || args.data.replace(/=+$/, '').length % 4 === 1)
      throw requestError('badArgument', '`data` must be bytes in base64; nothing is written');
    const bytes = Buffer.from(args.data, 'base64');
    limit(bytes.length, MOST_BYTES, 'bytes');
    const at = addressOf(args.memoryReference, args.offset ?? 0);
    if (args.allowPartial !== true && stopped.memory.read(at, bytes.length).unreadable > 0) {
      throw requestError(
        'badArgument',
        `not all of the ${bytes.length} bytes at ${formatReference(at)} are mapped; nothing is written`,
      );
    }
    const written = adapter.change(() => adapter.unwrap(stopped.memory.edit(at, bytes)), {
      written: (count) => ({ memoryReference: args.memoryReference, offset: args.offset ?? 0, count }),
    });
    return { bytesWritten: written };
  },

  disassemble(adapter, args) {
    const { stopped } = adapter;
    const from = linearAddress(args.memoryReference, args.offset ?? 0);
    const count = limit(args.instructionCount, MOST_INSTRUCTIONS, 'instructions');
    const before = args.instructionOffset ?? 0;
    limit(Math.abs(before), MOST_INSTRUCTIONS, 'instructions away');
    return { instructions: stopped.disassembly.around(from, before, count).map((line) => instruction(adapter, line)) };
  },
};
