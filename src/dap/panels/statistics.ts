/** The requests of the KVM Statistics panel (src/protocol/panels/statistics.ts). */
import type { Handlers } from '../requests';

export const statisticsRequests: Handlers<'pagewalk/statistics'> = {
  'pagewalk/statistics'(adapter) {
    return { statistics: adapter.stopped.views.statistics().map(([name, value]) => ({ name, value })) };
  },
};
