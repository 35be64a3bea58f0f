/** A guest in a debug adapter of this process, for panels to ask: run to a place, and step on from there. */
import type { DebugProtocol as Dap } from '@vscode/debugprotocol';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { Adapter } from '../../../src/dap/index';
import type { Moment } from '../../../src/protocol/panels';
import { Session } from '../../../src/session/session';
import { Connection } from '../../dap/connection';
import { memoryHost } from '../../dap/hosts';

const ROOT = fileURLToPath(new URL('../../..', import.meta.url));

export interface Guest {
  /** A file of examples/, or `source`. */
  readonly example?: string;
  readonly source?: string;
  /** Launch configuration: `{ mmu: 'shadow' }`. */
  readonly options?: Readonly<Record<string, unknown>>;
  /** The label to stop at; absent: before the first instruction. */
  readonly at?: string;
  /** Stops there so many times before (default: the first). */
  readonly times?: number;
}

export const sourceOf = ({ example, source }: Guest): string =>
  source ?? readFileSync(join(ROOT, 'examples', example ?? ''), 'utf8');

export class Live extends Connection {
  private adapter: Adapter;
  private number = 1;
  standing: Moment['standing'] = 'stopped';
  readonly file: string;

  private constructor(guest: Guest) {
    const [toAdapter, fromAdapter] = [new PassThrough(), new PassThrough()];
    super(toAdapter, fromAdapter);
    this.file = `/guests/${guest.example ?? 'guest.asm'}`;
    this.adapter = new Adapter(memoryHost({ [this.file]: sourceOf(guest) }, Session.create));
    this.adapter.setRunAsServer(true);
    this.adapter.start(toAdapter, fromAdapter);
  }

  /** Launches and runs to the place. */
  static async start(guest: Guest): Promise<Live> {
    const live = new Live(guest);
    await live.launch({ program: live.file, stopOnEntry: true, ...guest.options });
    await live.toStop('configurationDone', {});
    for (let times = guest.at === undefined ? 0 : (guest.times ?? 1); times > 0; times--)
      await live.runTo(guest.at ?? '');
    return live;
  }

  get moment(): Moment {
    return { standing: this.standing, number: this.number, session: 'live', stop: this.number };
  }

  async runTo(label: string): Promise<void> {
    await this.ask('setFunctionBreakpoints', { breakpoints: [{ name: label }] });
    await this.go('continue');
  }

  /** Run control that ends in a stop: `continue`, `next`, `stepIn`. */
  async go(command: string, granularity: 'instruction' | 'line' = 'instruction'): Promise<Dap.StoppedEvent['body']> {
    const stop = await this.toStop(command, { threadId: 1, granularity });
    this.number++;
    return stop;
  }

  /** Answers a panel's request, as the extension would. */
  async answer(name: string, args: object): Promise<{ readonly reply: unknown } | { readonly refused: string }> {
    const response = await this.send(name, args);
    return response.success ? { reply: response.body as unknown } : { refused: response.message ?? '' };
  }

  close(): void {
    this.adapter.close();
  }
}
