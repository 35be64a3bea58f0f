import type { ByteSink, PortDevice } from './device';

/** Bochs's and QEMU's debug console: bytes written to port 0xe9 appear; reads answer 0xe9, so that a guest can find it. */
export class DebugConsole implements PortDevice {
  readonly name = 'debugcon';
  readonly first = 0xe9;
  readonly last = 0xe9;

  constructor(private readonly sink: ByteSink) {}

  read(): number {
    return 0xe9;
  }
  write(_port: number, value: number): void {
    this.sink(value & 0xff);
  }
  save(): null {
    return null;
  }
  restore(): void {
    // stateless
  }
}
