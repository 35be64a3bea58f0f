/** A debug session over a real machine, told as a script and compared with its golden transcript. */
import type { DebugProtocol as Dap } from '@vscode/debugprotocol';
import { Session } from '../../src/session/session';
import { Driver } from './driver';
import { assertGolden } from './golden';
import type { MemoryHost } from './hosts';
import { memoryHost } from './hosts';

export const FILE = '/guests/guest.asm';

/** The 1-based line of `source` that holds `text`. */
export function lineOf(source: string, text: string): number {
  const at = source.split('\n').findIndex((line) => line.includes(text));
  if (at < 0) throw new Error(`no line holds ${text}`);
  return at + 1;
}

/** A client of a machine, with the questions that a person's clicks ask. */
export class Scene extends Driver {
  constructor(readonly host: MemoryHost) {
    super(host);
  }

  async breakAt(...lines: number[]): Promise<void> {
    await this.ask('setBreakpoints', { source: { path: FILE }, breakpoints: lines.map((line) => ({ line })) });
  }

  /** Opens rows of the Variables view from a scope on, by name, and shows what the last of them holds. */
  async open(scope: string, ...names: string[]): Promise<readonly Dap.Variable[]> {
    const rows = async (variablesReference: number): Promise<readonly Dap.Variable[]> =>
      (await this.ask<Dap.VariablesResponse['body']>('variables', { variablesReference })).variables;
    let reference = await this.scope(scope);
    let shown = names.length === 0 ? await rows(reference) : [];
    for (const name of names) {
      shown = await this.silently(() => rows(reference));
      const row = shown.find((each) => each.name === name);
      if (!row) throw new Error(`no row ${name} among ${shown.map((each) => each.name).join(', ')}`);
      reference = row.variablesReference;
      shown = await rows(reference);
    }
    return shown;
  }

  async scope(name: string): Promise<number> {
    const { scopes } = await this.silently(() => this.ask<Dap.ScopesResponse['body']>('scopes', { frameId: 1 }));
    const found = scopes.find((each) => each.name === name);
    if (!found) throw new Error(`no scope ${name}`);
    return found.variablesReference;
  }

  /** The top frames of the call stack. */
  async stack(levels = 20): Promise<readonly Dap.StackFrame[]> {
    return (await this.ask<Dap.StackTraceResponse['body']>('stackTrace', { threadId: 1, levels })).stackFrames;
  }

  async say(...expressions: string[]): Promise<void> {
    for (const expression of expressions) await this.send('evaluate', { expression, context: 'repl' });
  }

  async ends(): Promise<number> {
    const { exitCode } = await this.event<Dap.ExitedEvent>('exited');
    await this.event('terminated');
    return exitCode;
  }
}

/** Plays a session with `source` and compares its transcript; the guest stands before its first instruction, nothing is set. */
export async function scene(
  name: string,
  source: string,
  play: (d: Scene) => Promise<void>,
  fields: object = {},
): Promise<void> {
  const d = new Scene(memoryHost({ [FILE]: source }, Session.create));
  await d.launch({ program: FILE, stopOnEntry: true, ...fields });
  await play(d);
  await d.silently(() => d.ask('disconnect'));
  assertGolden(name, d.transcript);
}
