import { hex } from '../../base/hex';
import { segmentKind, segmentName } from './descriptors';
import { rule } from './rule';

const bytes = (n: number): string => `${n} ${n === 1 ? 'byte' : 'bytes'}`;
const notCanonical = (what: string, address: bigint, width: number): string =>
  `${what} ${hex(address)} is not canonical: bits 63:${width - 1} are not all the same`;

/** Segment limits and types, canonical addresses, alignment. */
export const MEMORY_RULES = {
  'segment-limit': rule('SDM vol. 3, 5.3', (segment: number, limit: number, offset: number, size: number) => {
    const where = `${segmentName(segment)} limit ${limit > 0xffff ? hex(limit) : limit} is below`;
    return offset > limit
      ? `${where} offset ${hex(offset)}`
      : `${where} the end of ${bytes(size)} at offset ${hex(offset)}`;
  }),
  'segment-limit-down': rule('SDM vol. 3, 5.3', (segment: number, limit: number, offset: number, size: number) => {
    return `${segmentName(segment)} expands down: ${bytes(size)} at offset ${hex(offset)} are not all above its limit ${hex(limit)}`;
  }),
  'segment-null': rule('SDM vol. 3, 5.4.1', (segment: number, selector: number) => {
    return `${segmentName(segment)} holds the null selector ${selector}, through which no memory can be accessed`;
  }),
  'segment-write': rule('SDM vol. 3, 5.5', (segment: number, rights: number) => {
    return `${segmentName(segment)} holds ${segmentKind(rights)}, which cannot be written`;
  }),
  'segment-read': rule('SDM vol. 3, 5.5', (segment: number) => {
    return `${segmentName(segment)} holds an execute-only code segment, which cannot be read`;
  }),
  'address-canonical': rule('SDM vol. 1, 3.3.7.1', (address: bigint, width: number) => {
    return notCanonical('the address', address, width);
  }),
  'fetch-limit': rule('SDM vol. 3, 5.3', (ip: bigint, limit: number) => {
    return `the instruction at ${hex(ip)} is not inside the CS limit ${hex(limit)}`;
  }),
  'target-limit': rule('SDM vol. 3, 5.3', (ip: bigint, limit: number) => {
    return `the target ${hex(ip)} is beyond the CS limit ${hex(limit)}`;
  }),
  'target-canonical': rule('SDM vol. 1, 3.3.7.1', (ip: bigint, width: number) => notCanonical('the target', ip, width)),
  alignment: rule('SDM vol. 3, 6.15', (address: bigint, size: number) => {
    return `${bytes(size)} at ${hex(address)} are not aligned, and CR0.AM and RFLAGS.AC check alignment at CPL 3`;
  }),
  'operand-alignment': rule('SDM vol. 1, 4.1.1', (address: bigint, alignment: number) => {
    return `the operand at ${hex(address)} must be aligned to ${alignment} bytes`;
  }),
  'instruction-length': rule('SDM vol. 2, 2.3.11', () => 'the instruction is longer than 15 bytes'),
  'physical-memory': rule('arch/x86/kvm/x86.c, load_pdptrs', (address: bigint) => {
    return `no memory slot holds the PDPTEs at GPA ${hex(address)}`;
  }),
} as const;
