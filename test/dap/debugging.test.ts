/** What a client hears from the adapter on real guests, where one assertion says it better than a transcript. */
import * as assert from 'node:assert/strict';
import type { DebugProtocol as Dap } from '@vscode/debugprotocol';
import { Session } from '../../src/session/session';
import { memoryHost } from './hosts';
import { FIRST_TOUCH, HELLO } from './guests';
import { FILE, Scene, lineOf } from './scene';

const threadId = 1;

/** A client that stands before the guest's first instruction. */
async function start(source: string, fields: object = {}, files: Record<string, string> = {}): Promise<Scene> {
  const d = new Scene(memoryHost({ [FILE]: source, ...files }, Session.create));
  await d.launch({ program: FILE, stopOnEntry: true, ...fields });
  if (!('noDebug' in fields)) await d.toStop('configurationDone');
  return d;
}
/** The lines of the transcript that are events of a name. */
const events = (d: Scene, name: string): readonly string[] =>
  d.transcript.split('\n').filter((line) => line.startsWith(`• ${name}`));

describe('conditions that cannot be evaluated', () => {
  const GUEST = 'bits 64\nstart: mov rbx, 0x8000000000\n nop\nhere: nop\n hlt\n';
  async function check(condition: string, expected: RegExp): Promise<void> {
    const d = await start(GUEST);
    await d.ask('setBreakpoints', { source: { path: FILE }, breakpoints: [{ line: 4, condition }] });
    const stop = await d.toStop('continue');
    assert.equal(stop.reason, 'breakpoint');
    assert.match(stop.text ?? '', expected);
    assert.match((await d.event<Dap.OutputEvent>('output')).output, /^A condition cannot be evaluated\. PW15/);
  }
  it('stop, with the error told', async () => {
    await check('[rbx] == 5', /^PW153: nothing can be read at 0x8000000000 \(gva\) \(column 1 of the condition\)$/);
    await check('rax == 1 || 7 / rax', /^PW152: division by zero \(column 17/);
    await check('!(1 % rax)', /^PW152/);
  });
  it('are refused when set, where no run could evaluate them', async () => {
    const d = await start(GUEST);
    const { breakpoints } = await d.ask<Dap.SetBreakpointsResponse['body']>('setBreakpoints', {
      source: { path: FILE },
      breakpoints: [{ line: 4, condition: 'rax == 1 && nosuch(rax)' }],
    });
    assert.equal(breakpoints[0]?.verified, false);
    assert.match(breakpoints[0].message ?? '', /`nosuch`/);
  });
  it('hold at exits too, and a fact that an exit lacks is no error', async () => {
    const d = await start('bits 64\nstart: xor eax, eax\n cpuid\n hlt\n');
    await d.ask('setFunctionBreakpoints', {
      breakpoints: [
        { name: 'exit:CPUID', condition: 'gpa == 5 && 1 / rax' },
        { name: 'exit:*', condition: 'reason == CPUID && 1 / eax' },
      ],
    });
    const stop = await d.toStop('continue');
    assert.match(stop.text ?? '', /^PW152/);
    assert.equal(stop.hitBreakpointIds?.length, 1);
  });
});

describe('run control on real guests', () => {
  it('refuses to step out of the outermost frame, and steps out of a call and of an exit', async () => {
    const d = await start('bits 64\nstart: call f\n hlt\nf: xor eax, eax\n cpuid\n ret\n');
    assert.match(await d.refused('stepOut', { threadId }), /^PW517: `start` is the outermost frame/);
    await d.ask('setFunctionBreakpoints', { breakpoints: [{ name: 'f' }, { name: 'exit:CPUID' }] });
    await d.toStop('continue');
    await d.toStop('continue');
    await d.toStop('stepOut');
    assert.match((await d.stack())[0]?.name ?? '', /^f\+/);
    await d.toStop('stepOut');
    assert.equal((await d.stack())[0]?.name, 'start+0x5');
    assert.match(await d.refused('stepOut', { threadId }), /^PW517: `start\+0x5` is the outermost frame/);
  });
  it('without debugging stops at nothing, not even at what cannot go on', async () => {
    const d = await start('bits 64\nstart: nop\n ud2\n', { noDebug: true });
    const set = await d.ask<Dap.SetBreakpointsResponse['body']>('setBreakpoints', {
      source: { path: FILE },
      breakpoints: [{ line: 2 }],
    });
    assert.equal(set.breakpoints[0]?.verified, false);
    assert.match(set.breakpoints[0].message ?? '', /noDebug/);
    await d.ask('setFunctionBreakpoints', { breakpoints: [{ name: 'start', logMessage: 'logged' }] });
    await d.ask('setExceptionBreakpoints', { filters: ['vm-exit'] });
    await d.ask('configurationDone');
    assert.equal(await d.ends(), 4);
    assert.deepEqual([events(d, 'stopped'), events(d, 'output').filter((e) => e.includes('logged'))], [[], []]);
    assert.match(d.transcript, /triple fault/);
  });
  it('says once that it exited, with the code, and once that it terminated', async () => {
    const d = await start('bits 64\nstart: mov al, 3\n out 0xf4, al\n');
    await d.ask('continue', { threadId });
    assert.equal(await d.ends(), 7);
    await d.ask('terminate');
    await d.ask('disconnect');
    assert.deepEqual([events(d, 'exited'), events(d, 'terminated')], [['• exited {"exitCode":7}'], ['• terminated']]);
  });
  it('writes log messages and what the guest prints in the order of time', async () => {
    const d = await start(HELLO);
    const line = lineOf(HELLO, 'out     dx, al');
    await d.ask('setBreakpoints', { source: { path: FILE }, breakpoints: [{ line, logMessage: 'next {al}' }] });
    await d.ask('continue', { threadId });
    await d.ends();
    const texts = events(d, 'output').map((e) => (JSON.parse(e.slice(9)) as Dap.OutputEvent['body']).output);
    const expected = ['next 0x48\n', 'H', 'next 0x65\n', 'e', 'next 0x79\n', 'y', 'next 0xa\n', '\n'];
    assert.deepEqual(texts.slice(0, -1), expected);
  });
});

describe('what a client hears of changes', () => {
  /** Stands where the first touch of 0x200000 is done. */
  async function touched(): Promise<Scene> {
    const d = await start(FIRST_TOUCH);
    await d.breakAt(lineOf(FIRST_TOUCH, '[rbx + 8]'));
    await d.toStop('continue');
    return d;
  }
  const read = (d: Scene, memoryReference: string): Promise<object> =>
    d.ask('readMemory', { memoryReference, offset: 0, count: 16 });
  const memoryEvents = (d: Scene): readonly string[] =>
    events(d, 'memory').map((e) => {
      const { memoryReference, offset, count } = JSON.parse(e.slice(9)) as Dap.MemoryEvent['body'];
      return `${memoryReference}+${offset} ${count}`;
    });

  it('every name of the bytes that were written, by whatever request', async () => {
    const d = await touched();
    const { translation } = await d.ask<{ translation: { hva: string; hpa: string } }>('pagewalk/translate', {
      expression: 'page',
      space: 'gva',
    });
    const names = ['0x200000', 'gpa:0x200000', `hva:${translation.hva}`, `hpa:${translation.hpa}`];
    for (const name of [...names, 'gpa:0x201000']) await read(d, name);
    await d.ask('writeMemory', { memoryReference: '0x200004', data: 'AQI=' });
    assert.deepEqual(memoryEvents(d), ['0x200004+0 2', ...names.map((name) => `${name}+4 2`)]);
    await d.ask('setExpression', { expression: 'dword [page + 8]', value: '0x01020304' });
    assert.deepEqual(
      memoryEvents(d).slice(5),
      names.map((name) => `${name}+8 4`),
    );
    await d.ask('evaluate', { expression: 'byte [gpa:0x200000] = 7', context: 'repl' });
    assert.deepEqual(
      memoryEvents(d).slice(9),
      names.map((name) => `${name}+0 1`),
    );
  });
  it('frames where they changed, else values alone', async () => {
    const d = await touched();
    await d.stack();
    await d.ask('setExpression', { expression: 'rax', value: '1' });
    await d.ask('setExpression', { expression: 'rip', value: 'start' });
    await d.ask('evaluate', { expression: 'rax', context: 'repl' });
    assert.deepEqual(events(d, 'invalidated'), [
      '• invalidated {"areas":["variables"]}',
      '• invalidated {"areas":["stacks","variables"]}',
    ]);
  });
  it('all sources: the files of the guest, and the documents of its exits, each once', async () => {
    const source = 'bits 64\nstart: xor eax, eax\n cpuid\n%include "part.inc"\n';
    const d = await start(source, {}, { '/guests/part.inc': ' hlt\n' });
    await d.ask('setFunctionBreakpoints', { breakpoints: [{ name: 'exit:CPUID' }] });
    await d.toStop('continue');
    await d.stack();
    await d.stack();
    const { sources } = await d.ask<Dap.LoadedSourcesResponse['body']>('loadedSources');
    assert.deepEqual(
      sources.map((s) => s.path ?? `${s.name} ${s.sourceReference}`),
      [FILE, '/guests/part.inc', `exit ${/\d+/.exec(sources[2]?.name ?? '')?.[0]} CPUID 1`],
    );
  });
});

describe('memory and code that are not there', () => {
  it('disassembly has a row for the address, mapped or not', async () => {
    const d = await start('bits 64\nstart: nop\n hlt\n');
    for (const memoryReference of ['0x8000000000', '0x100000', '0xffff800000000000', '0x3fffffe']) {
      for (const [instructionOffset, instructionCount] of [
        [-3, 8],
        [0, 1],
        [-8, 9],
      ] as const) {
        const { instructions } = await d.ask<{ instructions: Dap.DisassembledInstruction[] }>('disassemble', {
          memoryReference,
          instructionOffset,
          instructionCount,
        });
        assert.equal(instructions.length, instructionCount);
        assert.equal(
          instructions[-instructionOffset]?.address,
          memoryReference,
          `${memoryReference} ${instructionOffset}`,
        );
        const at = instructions.map(({ address }) => BigInt(address));
        assert.ok(
          at.every((a, i) => i === 0 || a > (at[i - 1] ?? 0n)),
          at.join(),
        );
      }
    }
  });
  it('unreadable bytes are counted up to the next byte that can be read', async () => {
    const d = await start('; @guest slot=0x0+4M slot=0x402000+64K\nbits 64\nstart: hlt\n');
    const read = async (memoryReference: string, count: number): Promise<[number, number | undefined]> => {
      const { data, unreadableBytes } = await d.ask<{ data: string; unreadableBytes?: number }>('readMemory', {
        memoryReference,
        count,
      });
      return [Buffer.from(data, 'base64').length, unreadableBytes];
    };
    assert.deepEqual(await read('gpa:0x3ffff0', 0x100), [0x10, 0xf0]);
    assert.deepEqual(await read('gpa:0x3ffff0', 0x5000), [0x10, 0x2000]);
    assert.deepEqual(await read('gpa:0x400100', 0x5000), [0, 0x1f00]);
    assert.deepEqual(await read('gpa:0x402000', 0x20), [0x20, undefined]);
  });
});

describe('launch fields that are not known', () => {
  it('are named in a warning, and the guest runs', async () => {
    const d = new Scene(memoryHost({ [FILE]: 'bits 64\nhlt\n' }, Session.create));
    await d.launch({ program: FILE, cwd: '/', memroy: '16M', zorp: 1, mmu: 'npt' });
    const output = async (): Promise<string> => (await d.event<Dap.OutputEvent>('output')).output;
    await d.ask('configurationDone');
    assert.equal(
      await output(),
      'launch configuration: warning PW504: `cwd` has no meaning for a guest; it is ignored\n',
    );
    assert.match(await output(), /PW504: there is no field `memroy`; it is ignored; did you mean `memory`\?/);
    assert.match(await output(), /PW504: there is no field `zorp`; it is ignored\n/);
    assert.equal(await d.ends(), 0);
  });
});
