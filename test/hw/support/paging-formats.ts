/** How a test builds tables for one page: CR4 bits, whether in IA-32e mode, and where the tables have their indices, root first. PAE's third level lives in registers. */
export interface Format {
  readonly name: string;
  readonly cr4: bigint;
  readonly long: boolean;
  readonly shifts: readonly number[];
  readonly entryBytes: 4 | 8;
  readonly indexMask: bigint;
}
const PSE = 1n << 4n;
const PAE = 1n << 5n;
const LA57 = 1n << 12n;
export const FORMATS: readonly Format[] = [
  { name: '32-bit', cr4: 0n, long: false, shifts: [22, 12], entryBytes: 4, indexMask: 0x3ffn },
  { name: '32-bit, 4 MiB', cr4: PSE, long: false, shifts: [22], entryBytes: 4, indexMask: 0x3ffn },
  { name: 'PAE', cr4: PAE, long: false, shifts: [21, 12], entryBytes: 8, indexMask: 0x1ffn },
  { name: 'PAE, 2 MiB', cr4: PAE, long: false, shifts: [21], entryBytes: 8, indexMask: 0x1ffn },
  { name: '4-level', cr4: PAE, long: true, shifts: [39, 30, 21, 12], entryBytes: 8, indexMask: 0x1ffn },
  { name: '4-level, 2 MiB', cr4: PAE, long: true, shifts: [39, 30, 21], entryBytes: 8, indexMask: 0x1ffn },
  { name: '4-level, 1 GiB', cr4: PAE, long: true, shifts: [39, 30], entryBytes: 8, indexMask: 0x1ffn },
  { name: '5-level', cr4: PAE | LA57, long: true, shifts: [48, 39, 30, 21, 12], entryBytes: 8, indexMask: 0x1ffn },
  { name: '5-level, 2 MiB', cr4: PAE | LA57, long: true, shifts: [48, 39, 30, 21], entryBytes: 8, indexMask: 0x1ffn },
];
