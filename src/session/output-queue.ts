import type { Output } from './types';

/** What guest, breakpoints and host script have written since it was last taken, in the order of time. */
export class OutputQueue {
  private written: Output[] = [];

  /** One text for a run of bytes to one device. */
  add(output: Output): void {
    const last = this.written.at(-1);
    if (last?.channel === output.channel && output.channel !== 'log')
      this.written[this.written.length - 1] = { ...last, text: last.text + output.text };
    else this.written.push(output);
  }
  take(): readonly Output[] {
    return this.written.splice(0);
  }
}
