/** The names of exception filters, which a client takes before the launch: those of the method that the guest will run under. */
import * as assert from 'node:assert/strict';
import type { DebugProtocol as Dap } from '@vscode/debugprotocol';
import { Session } from '../../src/session/session';
import { Driver } from './driver';
import { memoryHost } from './hosts';
import { FILE } from './scene';

const NEUTRAL = 'vm-exit ept-violation=EPT violation, NPF or hidden #PF guest-pf guest-exception';
const EPT = 'vm-exit ept-violation=EPT violation guest-pf guest-exception';
const NPT = 'vm-exit ept-violation=NPF (nested page fault) guest-pf guest-exception';
const SHADOW = 'vm-exit ept-violation=Hidden #PF guest-pf guest-exception';

/** `fields`: what whoever starts the adapter says that will be launched. */
async function check(fields: Readonly<Record<string, unknown>> | undefined, source: string, expected: string) {
  const d = new Driver(memoryHost({ [FILE]: source, '/guests/kernel.elf': '\x7fELF' }, Session.create), fields);
  const body = await d.ask<Dap.Capabilities>('initialize', { adapterID: 'pagewalk' });
  const filters = body.exceptionBreakpointFilters ?? [];
  const shown = filters.map(({ filter, label }) => (filter === 'ept-violation' ? `${filter}=${label}` : filter));
  assert.equal(shown.join(' '), expected);
  const words = JSON.stringify(filters);
  const others = { [EPT]: /NPF|NPT|shadow/i, [NPT]: /EPT\b|shadow/i, [SHADOW]: /EPT\b|NPF|NPT/ }[expected];
  if (others) assert.doesNotMatch(words.replaceAll('ept-violation', ''), others);
}

describe('names of exception filters', () => {
  const program = FILE;
  it('are those of the configuration, else of the guest’s own line, else of the default', async () => {
    await check({ program, mmu: 'npt' }, '; @guest mmu=shadow\nhlt\n', NPT);
    await check({ program }, '; @guest start=flat64 mmu=shadow\nhlt\n', SHADOW);
    await check({ program }, 'hlt\n', EPT);
    await check({ program: 'kernel.elf', mmu: 'shadow' }, '', SHADOW);
  });
  it('leave out under software translation what can never happen', () =>
    check({ program }, '; @guest mmu=software\nhlt\n', 'guest-pf guest-exception'));
  it('fit any method where nobody says what will be launched, or that cannot be', async () => {
    await check(undefined, 'hlt\n', NEUTRAL);
    await check({ program: 'missing.asm' }, '', NEUTRAL);
    await check({ program, mmu: 'none' }, 'hlt\n', NEUTRAL);
  });
});
