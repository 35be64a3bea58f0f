import type { PortDevice } from './device';

/** Codes kept: a machine that shows more than these shows the last ones. */
const KEPT = 1024;

/** The POST display at port 0x190, where test firmware tells how far it got: every code written, in order. Reads answer the last one. */
export class PostDisplay implements PortDevice {
  readonly name = 'post';
  readonly first = 0x190;
  readonly last = 0x190;
  private shown: readonly number[] = [];

  /** The codes written so far, oldest first. */
  get codes(): readonly number[] {
    return this.shown;
  }

  read(): number {
    return this.shown.at(-1) ?? 0;
  }
  write(_port: number, value: number): void {
    this.shown = [...this.shown.slice(1 - KEPT), value & 0xff];
  }
  save(): readonly number[] {
    return this.shown;
  }
  restore(state: unknown): void {
    this.shown = state as readonly number[];
  }
}
