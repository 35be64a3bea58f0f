import type { MachineEnd } from '../../vmm/machine-stop';
import type { EndInfo, StopInfo } from '../types';

/** The end of a run as reports and adapters show it. */
export const endOf = ({ kind, code, rip, why, unserved, reason = [] }: MachineEnd): EndInfo => ({
  ...(unserved ? { unserved } : {}),
  kind,
  code,
  rip,
  why,
  reason,
});

/** An end that a person should look at before the session goes away; undefined for the ordinary ones. */
export function stopOfEnd(end: EndInfo): StopInfo | undefined {
  const stop = (kind: StopInfo['kind'], title: string): StopInfo => ({
    kind,
    title,
    why: end.why,
    breakpoints: [],
    final: true,
    ...(end.reason.length === 0 ? {} : { reason: end.reason }),
  });
  switch (end.kind) {
    case 'halt':
    case 'idle':
    case 'exit-port':
      return undefined;
    case 'triple-fault':
      return stop('triple-fault', 'triple fault');
    case 'limit':
      return stop('limit', 'instruction limit');
    case 'entry-failure':
      return stop('entry-failure', 'VM entry failed');
    case 'internal-error':
      if (!end.unserved) return stop('internal-error', 'KVM internal error');
      // nobody serves what led there: an exception of the guest's, or a call of the BIOS
      return stop('guest-exception', end.reason[0]?.event ?? 'no BIOS');
  }
}
