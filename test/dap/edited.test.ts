/** A source is edited while its guest is stopped: what belongs to the running image stays its own. */
import * as assert from 'node:assert/strict';
import type { DebugProtocol as Dap } from '@vscode/debugprotocol';
import type { EditedReply, LinesReply } from '../../src/protocol/messages';
import { Session } from '../../src/session/session';
import { memoryHost } from './hosts';
import { FILE, Scene } from './scene';

const GUEST = `bits 64
start:
    mov eax, 1
    mov ebx, 2
    call f
    cpuid
    hlt
f:  mov ecx, 3
    ret
`;
/** Two lines before all others, and the line of \`mov ebx\` is another one. */
const EDITED = `; new\n    xor edi, edi\n${GUEST.replace('mov ebx, 2', 'mov ebx, 20')}`;
const INCLUDED = '/guests/values.inc';
const threadId = 1;

async function start(source = GUEST, fields: object = {}, files: Record<string, string> = {}): Promise<Scene> {
  const d = new Scene(memoryHost({ [FILE]: source, ...files }, Session.create));
  await d.launch({ program: FILE, stopOnEntry: true, ...fields });
  await d.toStop('configurationDone');
  return d;
}
const edit = (d: Scene, text: string, path = FILE): Promise<EditedReply> => d.ask('pagewalk/edited', { path, text });

async function set(d: Scene, lines: readonly number[], more: object = {}): Promise<readonly Dap.Breakpoint[]> {
  const breakpoints = lines.map((line) => ({ line }));
  const body = await d.ask<Dap.SetBreakpointsResponse['body']>('setBreakpoints', {
    source: { path: FILE },
    breakpoints,
    ...more,
  });
  return body.breakpoints;
}
const shown = (all: readonly Dap.Breakpoint[]): readonly unknown[] =>
  all.map(({ verified, line, message }) => (verified ? line : message));
const CHANGED = 'this line has changed since the guest was assembled; restart the guest to set a breakpoint here';

describe('a source that is edited while its guest is stopped', () => {
  it('stops at the lines where the running image’s instructions are now, and says where those have changed', async () => {
    const d = await start();
    const top = async (): Promise<unknown> => {
      const [frame] = await d.stack();
      return [frame?.line, frame?.source?.origin];
    };
    assert.deepEqual(await top(), [3, undefined]);
    assert.deepEqual(await edit(d, EDITED), { isSource: true, differs: true });
    assert.deepEqual(await top(), [5, undefined]);
    await d.toStop('next');
    assert.deepEqual(await top(), [
      6,
      'line 4 as assembled, which has changed since; restart the guest to run the new text',
    ]);
    await d.ask('setFunctionBreakpoints', { breakpoints: [{ name: 'f' }] });
    await d.toStop('continue');
    assert.deepEqual(
      (await d.stack()).map(({ line }) => line),
      [10, 7],
    );
    // back to what was assembled
    assert.deepEqual(await edit(d, GUEST), { isSource: true, differs: false });
    assert.deepEqual(await top(), [8, undefined]);
  });

  it('binds breakpoints by the running image’s lines, and refuses a changed one with the reason', async () => {
    const d = await start();
    await edit(d, EDITED);
    // the label, the changed line, and `cpuid`
    assert.deepEqual(shown(await set(d, [4, 6, 8])), [5, CHANGED, 8]);
    const places = await d.ask<{ breakpoints: { line: number }[] }>('breakpointLocations', {
      source: { path: FILE },
      line: 1,
      endLine: 9,
    });
    assert.deepEqual(
      places.breakpoints.map(({ line }) => line),
      [5, 7, 8, 9],
    );
    for (const line of [5, 8]) {
      const stop = await d.toStop('continue');
      assert.equal(stop.hitBreakpointIds?.length, 1);
      assert.equal((await d.stack())[0]?.line, line);
    }
    const { targets } = await d.ask<Dap.GotoTargetsResponse['body']>('gotoTargets', {
      source: { path: FILE },
      line: 6,
    });
    assert.deepEqual(targets, []);
  });

  it('reads the file again for a client that says no more than that it was saved, and binds all anew after a restart', async () => {
    const d = await start();
    assert.deepEqual(shown(await set(d, [6])), [6]);
    d.host.files.set(FILE, EDITED);
    assert.deepEqual(shown(await set(d, [6, 8], { sourceModified: true })), [CHANGED, 8]);
    await d.ask('restart', {});
    const changed = [
      await d.event<Dap.BreakpointEvent>('breakpoint'),
      await d.event<Dap.BreakpointEvent>('breakpoint'),
    ];
    assert.deepEqual(shown(changed.map(({ breakpoint }) => breakpoint)), [6, 8]);
    assert.equal((await d.stack())[0]?.line, 5);
  });

  it('tells addresses and bytes of the running image where its lines are now, and of changed lines none', async () => {
    const d = await start();
    const lines = async (from = 1, to = 100): Promise<readonly string[]> => {
      const reply = await d.ask<LinesReply>('pagewalk/lines', { path: FILE, from, to });
      return reply.lines.map(({ line, label }) => `${line} ${label}`);
    };
    const before = await lines(3, 5);
    assert.deepEqual(before, ['3 100000: b8 01 00 00 00', '4 100005: bb 02 00 00 00', '5 10000a: e8 03 00 00 00']);
    await edit(d, EDITED);
    assert.deepEqual(await lines(4, 7), ['5 100000: b8 01 00 00 00', '7 10000a: e8 03 00 00 00']);
  });

  it('tells comments from code, sources from other files, and answers while the guest runs', async () => {
    const d = await start('bits 64\nstart: jmp start ; for ever\n');
    await d.ask('continue', { threadId });
    assert.deepEqual(await edit(d, 'bits 64\nstart: jmp start ; until paused\n'), { isSource: true, differs: false });
    assert.deepEqual(await edit(d, 'bits 64\nstart: hlt\n'), { isSource: true, differs: true });
    assert.deepEqual(await edit(d, 'any', '/guests/other.asm'), { isSource: false, differs: false });
    assert.match(
      await d.refused('pagewalk/edited', { path: FILE }),
      /^PW516: pagewalk\/edited: `text` must be a string/,
    );
    await d.ask('pause', { threadId });
    await d.event('stopped');
  });

  it('knows what was included, by its lines and where it has none', async () => {
    const guest = 'bits 64\n%include "values.inc"\n%include "code.inc"\nstart: call f\n mov al, VALUE\n hlt\n';
    const code = 'f: nop\n ret\n';
    const d = await start(guest, {}, { [INCLUDED]: 'VALUE equ 1\n', '/guests/code.inc': code });
    const { files } = await d.event<Dap.Event & { body: { files: readonly string[] } }>('pagewalk/machine');
    assert.deepEqual(files, [FILE, INCLUDED, '/guests/code.inc']);
    assert.deepEqual(await edit(d, 'VALUE equ 2\n', INCLUDED), { isSource: true, differs: true });
    await edit(d, `\n\n${code}`, '/guests/code.inc');
    await d.ask('setFunctionBreakpoints', { breakpoints: [{ name: 'f' }] });
    await d.toStop('continue');
    const [frame] = await d.stack();
    assert.deepEqual([frame?.source?.path, frame?.line], ['/guests/code.inc', 3]);
  });

  it('keeps its lines where a restart fails, whose errors stand in the new text', async () => {
    const d = await start();
    const broken = GUEST.replace('hlt', 'mov raxx, 1').replace('bits 64', 'bits 64\n');
    d.host.files.set(FILE, broken);
    await edit(d, broken);
    assert.match(await d.refused('restart', {}), /guest\.asm:8:/);
    const { line } = await d.event<Dap.OutputEvent>('output');
    assert.equal(line, 8);
    assert.equal((await d.stack())[0]?.line, 4);
  });
});
