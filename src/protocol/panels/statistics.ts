/** The requests of the KVM Statistics panel. */

export interface Statistic {
  /** As KVM's debugfs files spell it, and our own counters behind them. */
  readonly name: string;
  readonly value: number;
}

export interface StatisticsRequests {
  'pagewalk/statistics': {
    readonly arguments: Record<string, never>;
    readonly reply: { readonly statistics: readonly Statistic[] };
  };
}
