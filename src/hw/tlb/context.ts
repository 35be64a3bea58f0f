/** What a cached translation belongs to. PCID is −1 for global entries; `eptp` is bits 51:12 of the EPTP, 0 without EPT. */
export interface TlbContext {
  readonly vpid: number;
  readonly pcid: number;
  readonly eptp: bigint;
}
