import type { Gpa } from '../../base/address';
import { invariant } from '../../base/assert';
import type { UserspaceExit } from '../userspace-exit';

/** One access that only user space can answer. */
export type IoRequest =
  | {
      readonly space: 'mmio';
      readonly write: boolean;
      readonly address: Gpa;
      readonly size: number;
      readonly value: bigint;
    }
  | {
      readonly space: 'pio';
      readonly write: boolean;
      readonly port: number;
      readonly size: number;
      readonly value: bigint;
    };

/**
 * The device accesses of the instruction being emulated. Instructions are restartable: an access without an answer
 * suspends the instruction; once user space has answered, it runs again from its start and earlier answers are
 * replayed in order.
 */
export class IoLog {
  private answers: readonly bigint[] = [];
  private position = 0;
  private waiting: IoRequest | undefined;

  /** Whether this run has passed everything that earlier runs of the instruction did. */
  get replayed(): boolean {
    return this.position >= this.answers.length;
  }
  /** No access of the current instruction has been answered. */
  get empty(): boolean {
    return this.answers.length === 0;
  }
  get pending(): IoRequest | undefined {
    return this.waiting;
  }

  /** Starts a new instruction. */
  clear(): void {
    this.answers = [];
    this.rewind();
  }
  /** Restarts the same instruction. */
  rewind(): void {
    this.position = 0;
    this.waiting = undefined;
  }

  /** The answer to the next access; undefined: it waits for user space. */
  ask(request: IoRequest): bigint | undefined {
    const known = this.answers[this.position];
    if (known !== undefined) {
      this.position++;
      return known;
    }
    this.waiting = request;
    return undefined;
  }
  /** User space's answer to the pending access. */
  answer(value: bigint): void {
    invariant(this.waiting !== undefined, 'an answer follows a question');
    this.answers = [...this.answers, value];
    this.rewind();
  }

  save(): IoLogState {
    return { answers: this.answers, position: this.position, waiting: this.waiting };
  }
  restore(s: IoLogState): void {
    this.answers = s.answers;
    this.position = s.position;
    this.waiting = s.waiting;
  }
}

export interface IoLogState {
  readonly answers: readonly bigint[];
  readonly position: number;
  readonly waiting: IoRequest | undefined;
}

/** The access as KVM_RUN reports it. */
export function exitOf(r: IoRequest): UserspaceExit {
  return r.space === 'mmio'
    ? { reason: 'KVM_EXIT_MMIO', gpa: r.address, isWrite: r.write, size: r.size, value: r.value }
    : { reason: 'KVM_EXIT_IO', direction: r.write ? 'out' : 'in', port: r.port, size: r.size, value: Number(r.value) };
}
