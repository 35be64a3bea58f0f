/** Looking changes nothing: a run that is stopped at everything and looked at from all sides comes to the same as one left alone. */
import * as assert from 'node:assert/strict';
import type { DebugProtocol as Dap } from '@vscode/debugprotocol';
import type { Program } from '../../src/session/launch/program';
import { Session } from '../../src/session/session';
import { FIRST_TOUCH, FOUR_SPACES, HELLO, PAGE_FAULT, READ_ONLY_SLOT } from './guests';
import { memoryHost } from './hosts';
import { FILE, Scene } from './scene';

/** A session of `source`, and what its machine has come to when asked. */
async function start(source: string): Promise<{ readonly d: Scene; readonly report: () => unknown }> {
  let session: Session | undefined;
  const host = memoryHost({ [FILE]: source }, (program: Program) => {
    const made = Session.create(program);
    if (made.ok) session = made.value;
    return made;
  });
  const d = new Scene(host);
  await d.silently(() => d.launch({ program: FILE, stopOnEntry: true }));
  await d.toStop('configurationDone');
  return { d, report: () => session?.report({ serial: '', debugcon: '' }) };
}

async function lookAtEverything(d: Scene): Promise<void> {
  const { scopes } = await d.ask<Dap.ScopesResponse['body']>('scopes', { frameId: 1 });
  for (const { variablesReference } of scopes) {
    const { variables } = await d.ask<Dap.VariablesResponse['body']>('variables', {
      variablesReference,
      start: 0,
      count: 20,
    });
    for (const each of variables.filter(({ variablesReference: below }) => below > 0)) {
      await d.ask('variables', { variablesReference: each.variablesReference, start: 0, count: 20 });
    }
  }
  await d.stack();
  for (const space of ['gva', 'gpa', 'hva', 'hpa']) {
    for (const access of ['r', 'w', 'x']) await d.ask('pagewalk/translate', { expression: 'rbx', space, access });
  }
  await d.ask('pagewalk/tlb', {});
  await d.ask('pagewalk/controlStructure', {});
  await d.ask('pagewalk/compare', { methods: 'ept', start: true });
  await d.ask('pagewalk/memoryMap', { from: '0x0', to: '0x200000' });
  await d.send('pagewalk/hover', { lineText: '        mov     rax, [rbx + 8]', column: 24 });
  await d.ask('readMemory', { memoryReference: '0x200000', count: 4096 });
  await d.ask('disassemble', { memoryReference: '0x100000', instructionOffset: -10, instructionCount: 50 });
  await d.say(
    'info tlb',
    'info mem',
    'info registers',
    'x /8xg rsp',
    'gva2gpa rbx',
    'hpa2gva 0x1a2b3000',
    'qword [rbx]',
  );
}

/** What a run comes to that nobody looks at. */
async function alone(source: string): Promise<unknown> {
  const { d, report } = await start(source);
  await d.ask('continue', { threadId: 1 });
  await d.ends();
  assert.ok(report());
  return report();
}

/** These guests stop some hundred times at most. */
const MOST_STOPS = 2000;

/** Asks for more running until the guest ends, with `atStop` between; the number of stops. */
async function untilEnd(d: Scene, command: string, atStop: () => Promise<void>): Promise<number> {
  const end = d.event('exited').then(() => false);
  for (let stops = 0; stops < MOST_STOPS; stops++) {
    await d.ask(command, { threadId: 1 });
    const stop = d.event('stopped').then(
      () => true,
      () => false,
    );
    if (!(await Promise.race([stop, end]))) return stops;
    await atStop();
  }
  throw new Error(`the guest has not ended after ${MOST_STOPS} stops`);
}

async function isNeutral(source: string): Promise<void> {
  const { d, report } = await start(source);
  await d.ask('setExceptionBreakpoints', { filters: ['vm-exit', 'ept-violation', 'guest-pf'] });
  await d.ask('setFunctionBreakpoints', {
    breakpoints: [{ name: 'exit:*', condition: 'log "{reason} {rip}"' }, { name: 'start' }],
  });
  await lookAtEverything(d);
  const stops = await untilEnd(d, 'continue', () => lookAtEverything(d));
  assert.ok(stops > 5, `${stops} stops`);
  assert.deepEqual(report(), await alone(source));
}

async function isTheSameStepped(source: string, command: string): Promise<void> {
  const { d, report } = await start(source);
  const stops = await untilEnd(d, command, () => Promise.resolve());
  assert.ok(stops > 4, `${stops} stops`);
  assert.deepEqual(report(), await alone(source));
}

describe('debug adapter: looking changes nothing', () => {
  for (const [name, source] of Object.entries({ HELLO, FIRST_TOUCH, FOUR_SPACES, READ_ONLY_SLOT, PAGE_FAULT })) {
    it(name.toLowerCase().replaceAll('_', ' '), () => isNeutral(source));
    it(`${name.toLowerCase().replaceAll('_', ' ')}, stepped into all the hypervisor does`, () =>
      isTheSameStepped(source, 'stepIn'));
    it(`${name.toLowerCase().replaceAll('_', ' ')}, stepped over its exits`, () => isTheSameStepped(source, 'next'));
  }
});
