import type { Output } from '../types';

/** Lines between two looks: a run that nobody takes the output of may write for ever. */
const MOST = 100_000;

/** What guest, breakpoints and host script have written since it was last taken, in the order of time. */
export class OutputQueue {
  private written: Output[] = [];

  /** One text for a run of bytes to one device. */
  add(output: Output): void {
    const last = this.written.at(-1);
    if (last?.channel === output.channel && output.channel !== 'log')
      this.written[this.written.length - 1] = { ...last, text: last.text + output.text };
    else if (output.channel !== 'log' || this.written.length < MOST) this.written.push(output);
    else if (this.written.length === MOST)
      this.written.push({ channel: 'log', text: '… further lines are left out\n' });
  }
  take(): readonly Output[] {
    return this.written.splice(0);
  }
}
