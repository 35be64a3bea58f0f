import { err, ok, type Result } from '../../base/result';
import type { Diagnostic } from '../../base/diagnostic';
import type { Machine } from '../../vmm/machine';
import { sessionError } from '../diagnostics';
import type { GuestView } from '../guest/view';
import type { MemoryAccess } from '../guest/memory';
import type { Names } from './names';
import type { Evaluation } from '../types';

/** What the commands look at. */
export interface MonitorContext {
  readonly guest: GuestView;
  readonly memory: MemoryAccess;
  readonly names: Names;
  readonly machine: Machine;
  /** KVM's counters and the hardware's, by name. */
  statistics(): readonly (readonly [string, number])[];
}

export type MonitorAnswer = Result<Evaluation, readonly Diagnostic[]>;

export const text = (lines: readonly string[]): MonitorAnswer => ok({ text: lines.join('\n'), kind: 'text' });
export const refuse = (code: Parameters<typeof sessionError>[0], message: string): MonitorAnswer =>
  err([sessionError(code, message, 'command')]);
