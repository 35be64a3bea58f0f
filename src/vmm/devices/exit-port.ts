import type { PortDevice } from './device';

/** QEMU's isa-debug-exit at 0xf4: a write ends the run with exit code ((value << 1) | 1) & 0xff; reads answer 0. */
export class ExitPort implements PortDevice {
  readonly name = 'exit-port';
  readonly first = 0xf4;
  readonly last = 0xf7;
  private written: number | undefined;

  read(): number {
    return 0;
  }
  write(port: number, value: number): void {
    // the first byte of a wider OUT decides: the rest lies on the ports behind
    if (port === this.first) this.written = value & 0xff;
  }

  /** What the guest wrote, 0–255; undefined while it has not. */
  get value(): number | undefined {
    return this.written;
  }
  /** The process exit code, odd. */
  get code(): number | undefined {
    return this.written === undefined ? undefined : ((this.written << 1) | 1) & 0xff;
  }

  save(): number | undefined {
    return this.written;
  }
  restore(state: unknown): void {
    this.written = typeof state === 'number' ? state : undefined;
  }
}
