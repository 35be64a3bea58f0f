/** What an editor asks while somebody types a condition: the answer is what the breakpoint's own message would be. */
import * as assert from 'node:assert/strict';
import type { DebugProtocol as Dap } from '@vscode/debugprotocol';
import type { CheckBreakpointReply } from '../../src/protocol/messages';
import { Session } from '../../src/session/session';
import { memoryHost } from './hosts';
import { FILE, Scene } from './scene';

const GUEST = '; @guest start=flat64\nbits 64\nstart: cpuid\nhere: jmp here\n';

describe('a function breakpoint that is being typed', () => {
  async function check(name: string, condition: string, expected: RegExp | null, fields: object = {}): Promise<void> {
    const d = new Scene(memoryHost({ [FILE]: GUEST }, Session.create));
    await d.launch({ program: FILE, stopOnEntry: true, ...fields });
    await d.toStop('configurationDone');
    // while the guest runs, too
    await d.ask('continue', { threadId: 1 });
    const { problem } = await d.ask<CheckBreakpointReply>('pagewalk/checkBreakpoint', { name, condition });
    if (expected === null) assert.equal(problem, null);
    else assert.match(problem ?? '', expected);
    await d.ask('pause', { threadId: 1 });
    await d.event('stopped');
    const set = await d.ask<Dap.SetFunctionBreakpointsResponse['body']>('setFunctionBreakpoints', {
      breakpoints: [{ name, condition }],
    });
    assert.equal(set.breakpoints[0]?.message ?? null, problem);
    assert.equal(set.breakpoints[0]?.verified, problem === null);
  }
  it('has nothing wrong with it', async () => {
    await check('exit:CPUID', '', null);
    await check('exit:EPT_VIOLATION', 'write && gpa >= 0x5000', null);
    await check('here', 'rax == 1', null);
  });
  it('names what it does not know, and where it cannot be read', async () => {
    await check('exit:CPUID', 'gpaa == 1', /^`gpaa` is not known; did you mean `?gpa/);
    await check('exit:CPUID', 'rax ==', /./);
    await check('here', 'gpa == 1', /^`gpa` is not known/);
    await check('exit:NPF', '', /mmu=ept runs on VMX/);
  });
  it('leaves what is set as it is', async () => {
    const d = new Scene(memoryHost({ [FILE]: GUEST }, Session.create));
    await d.launch({ program: FILE, stopOnEntry: true });
    await d.toStop('configurationDone');
    await d.ask('setFunctionBreakpoints', { breakpoints: [{ name: 'here' }] });
    await d.ask('pagewalk/checkBreakpoint', { name: 'exit:CPUID' });
    const stop = await d.toStop('continue');
    assert.equal(stop.reason, 'function breakpoint');
  });
});
