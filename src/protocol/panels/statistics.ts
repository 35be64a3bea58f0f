/** The requests of the KVM Statistics panel. */

export interface Statistic {
  /** By their names in KVM's debugfs, followed by our own counters. */
  readonly name: string;
  readonly value: number;
}

export interface StatisticsRequests {
  'pagewalk/statistics': {
    readonly arguments: Record<string, never>;
    readonly reply: { readonly statistics: readonly Statistic[] };
  };
}
