import type { ShadowFaultKind } from '../../kvm/mmu/shadow/fault';

/** What a title needs of an exit. */
export interface TitledExit {
  readonly reason: number;
  readonly name: string;
  readonly qualification: bigint;
  readonly gpa?: bigint | undefined;
  readonly gva?: bigint | undefined;
  readonly fault?: ShadowFaultKind | undefined;
}
