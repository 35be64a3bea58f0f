import { ports, type Device, type DeviceSpec } from '../bus/device';

/** Limit on the codes kept: beyond it, the oldest are dropped. */
const KEPT = 1024;

/**
 * The POST display at port 0x190, where test firmware reports its progress: every code written, in order. Reads
 * return the last one.
 */
export class PostDisplay implements Device {
  private shown: readonly number[] = [];

  /** The codes written so far, oldest first. */
  get codes(): readonly number[] {
    return this.shown;
  }

  read(): number {
    return this.shown.at(-1) ?? 0;
  }
  write(_offset: number, value: number): void {
    this.shown = [...this.shown.slice(1 - KEPT), value];
  }
  save(): readonly number[] {
    return this.shown;
  }
  restore(state: unknown): void {
    this.shown = state as readonly number[];
  }
}

export const POST = {
  name: 'post',
  title: 'the POST display',
  ranges: [ports(0x190, 0x190, ['post_read', 'post_write'])],
  make: () => new PostDisplay(),
} as const satisfies DeviceSpec;
