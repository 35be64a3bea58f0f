/** What one CPU's hardware counted. A reference is one paging-structure entry loaded by a walk that completed; walks that failed are counted apart. */
export interface CpuCounters {
  /** Entries of the guest's own tables, and of EPT, loaded by completed walks. */
  guestReferences: number;
  nestedReferences: number;
  /** The same by walks that ended in a fault, violation or misconfiguration. */
  failedGuestReferences: number;
  failedNestedReferences: number;
  walks: number;
  failedWalks: number;
  /** A or D bits set in entries. */
  accessedDirtyWrites: number;
}

export const newCounters = (): CpuCounters => ({
  guestReferences: 0,
  nestedReferences: 0,
  failedGuestReferences: 0,
  failedNestedReferences: 0,
  walks: 0,
  failedWalks: 0,
  accessedDirtyWrites: 0,
});
