/** What an access wants, as the walkers and permission checks see it. */
export interface Access {
  readonly op: 'read' | 'write' | 'fetch';
  /** CPL 3 and not an implicit supervisor access. */
  readonly user: boolean;
  /** Supervisor access to a system structure (descriptor tables, TSS, exception stack): SMAP's AC override does not apply. */
  readonly implicit: boolean;
}

/**
 * Access classes: op × who, as bit positions in a TLB entry's fast word.
 *   op:  0 read, 3 write, 6 fetch
 *   who: 0 user, 1 supervisor with AC = 0 (or implicit), 2 supervisor with AC = 1
 */
export const CLASS_READ = 0;
export const CLASS_WRITE = 3;
export const CLASS_FETCH = 6;
export const WHO_USER = 0;
export const WHO_SUPERVISOR = 1;
export const WHO_SUPERVISOR_AC = 2;
export const CLASSES = 9;

const OPS = ['read', 'write', 'fetch'] as const;
/** The access records of the nine classes, so that no access allocates one. */
export const ACCESS_OF_CLASS: readonly Access[] = Array.from({ length: CLASSES }, (_, c) => ({
  op: OPS[Math.floor(c / 3)] as Access['op'],
  user: c % 3 === WHO_USER,
  implicit: c % 3 === WHO_SUPERVISOR,
}));
