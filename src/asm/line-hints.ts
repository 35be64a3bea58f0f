/** The hint after a source line: its address and bytes. */
import { counted } from '../base/plural';

/** Further bytes are only counted. */
const MAX_BYTES = 8;

/** A stretch of addresses that one line produced. */
interface Stretch {
  readonly line: number;
  readonly address: bigint;
  /** In bytes. */
  readonly length: number;
}

interface LineHint {
  /** From 1. */
  readonly line: number;
  readonly label: string;
  readonly tooltip: string;
}

/**
 * @param stretches of one file, by address
 * @param image its first byte lies at `origin`
 * @param isPlaced false: where the guest is placed when it starts decides its address
 */
export function lineHints(
  stretches: Iterable<Stretch>,
  image: Uint8Array,
  origin: bigint,
  isPlaced: boolean,
): readonly LineHint[] {
  const byLine = new Map<number, Stretch[]>();
  for (const each of stretches) {
    if (each.length === 0) continue;
    const list = byLine.get(each.line);
    if (list) list.push(each);
    else byLine.set(each.line, [each]);
  }
  return [...byLine].map(([line, own]): LineHint => {
    const address = (own[0]?.address ?? 0n).toString(16);
    const total = own.reduce((sum, { length }) => sum + length, 0);
    const bytes = own.flatMap((each) => bytesOf(image, origin, each));
    const shown = bytes.slice(0, MAX_BYTES).map((byte) => byte.toString(16).padStart(2, '0'));
    const more = total > shown.length ? ` … ${counted(total, 'byte')}` : '';
    const where = isPlaced ? '' : ', where the guest is placed when it starts';
    return {
      line,
      label: `${address}: ${shown.join(' ')}${more}`,
      tooltip: `${counted(total, 'byte')} at 0x${address}${where}`,
    };
  });
}

/** The bytes of a stretch; none where it lies outside the image (reserved space, a section with its own vstart). */
function bytesOf(image: Uint8Array, origin: bigint, { address, length }: Stretch): number[] {
  const at = address - origin;
  return at >= 0n && at + BigInt(length) <= BigInt(image.length)
    ? [...image.subarray(Number(at), Number(at) + Math.min(length, MAX_BYTES))]
    : [];
}
