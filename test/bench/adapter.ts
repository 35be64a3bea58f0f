/** How long a person waits: the adapter as a process of its own, spoken to as VS Code speaks to it. */
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { Connection } from '../dap/connection';

export interface Times {
  readonly median: number;
  readonly p95: number;
  readonly count: number;
}

export function summary(times: readonly number[]): Times {
  const sorted = [...times].sort((a, b) => a - b);
  const at = (part: number): number => sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))] ?? 0;
  return { median: at(0.5), p95: at(0.95), count: sorted.length };
}

const GUEST = `bits 64
start:
        mov     ecx, 1000000
again:
        add     rax, rcx
        mov     [0x200000], rax
        dec     ecx
        jnz     again
        hlt
`;

/** What VS Code asks at each stop before the editor shows the line and the registers. */
async function look(client: Connection): Promise<void> {
  const { stackFrames } = await client.ask<{ stackFrames: { id: number }[] }>('stackTrace', {
    threadId: 1,
    levels: 20,
  });
  const frameId = stackFrames[0]?.id;
  const { scopes } = await client.ask<{ scopes: { variablesReference: number }[] }>('scopes', { frameId });
  await client.ask('variables', { variablesReference: scopes[0]?.variablesReference });
}

/** One session from the start of the process on; calls back with a client that has stopped at the entry. */
async function session<T>(adapter: string, use: (client: Connection, toStopped: number) => Promise<T>): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), 'pagewalk-bench-'));
  const program = join(folder, 'guest.asm');
  writeFileSync(program, GUEST);
  const start = performance.now();
  const child = spawn(process.execPath, [adapter], { stdio: ['pipe', 'pipe', 'inherit'] });
  try {
    const client = new Connection(child.stdin, child.stdout);
    await client.launch({ program, stopOnEntry: true });
    await client.toStop('configurationDone');
    await look(client);
    return await use(client, performance.now() - start);
  } finally {
    child.kill();
    rmSync(folder, { recursive: true });
  }
}

/** From the start of the process to the first stop with its line and registers: what F5 takes beyond VS Code's own work. */
export async function launchTimes(adapter: string, count: number): Promise<Times> {
  const times: number[] = [];
  for (let i = 0; i < count; i++) times.push(await session(adapter, (_, toStopped) => Promise.resolve(toStopped)));
  return summary(times);
}

/** From a step's request to the line and registers behind it. */
export async function stepTimes(adapter: string, count: number): Promise<Times> {
  return session(adapter, async (client) => {
    const times: number[] = [];
    for (let i = 0; i < count; i++) {
      const start = performance.now();
      await client.toStop('next');
      await look(client);
      times.push(performance.now() - start);
    }
    return summary(times);
  });
}
