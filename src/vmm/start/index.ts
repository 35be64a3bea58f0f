import type { Result } from '../../base/result';
import { err, ok } from '../../base/result';
import type { StartKind } from '../options';
import { flatStart } from './flat';
import type { RamRange, StartPlan } from './plan';
import { bootStart, flat16Start } from './real';

/**
 * The prepared start of `kind` with its first instruction at `entry`; the error explains what the guest's RAM lacks.
 */
export function planStart(kind: StartKind, entry: bigint, ram: readonly RamRange[]): Result<StartPlan, string> {
  switch (kind) {
    case 'boot':
      return ok(bootStart());
    case 'flat16':
      return entry < 0x1_0000n ? ok(flat16Start(entry)) : err('a flat16 guest is entered below 64 KiB');
    case 'flat32':
    case 'flat64':
      return flatStart(kind, entry, ram);
  }
}
