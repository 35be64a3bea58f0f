/** The guest file's own checks under a debugger. */
import * as assert from 'node:assert/strict';
import type { DebugProtocol as Dap } from '@vscode/debugprotocol';
import { Session } from '../../src/session/session';
import { memoryHost } from './hosts';
import { FILE, Scene } from './scene';

const GUEST = '; @guest start=flat64\nbits 64\n mov rax, 1\n; @assert rax == 2\n nop\n; @break\n hlt\n';

async function launched(fields: object): Promise<Scene> {
  const d = new Scene(memoryHost({ [FILE]: GUEST }, Session.create));
  await d.launch({ program: FILE, ...fields });
  return d;
}

describe('debug adapter: @assert and @break', () => {
  it('a failed check stops with both sides, and the run goes on from there', async () => {
    const d = await launched({});
    const stop = await d.toStop('configurationDone');
    assert.deepEqual([stop.reason, stop.description], ['exception', 'a check failed']);
    const info = await d.ask<Dap.ExceptionInfoResponse['body']>('exceptionInfo', { threadId: 1 });
    assert.equal(info.exceptionId, '@assert');
    assert.match(info.description ?? '', /@assert rax == 2 does not hold: the left side is 0x1, the right 0x2/);
    assert.equal((await d.toStop('continue')).reason, 'breakpoint');
  });
  it('nothing stops a run without debugging', async () => {
    const d = await launched({ noDebug: true });
    await d.ask('configurationDone', {});
    await d.event('terminated');
  });
});
