import * as assert from 'node:assert/strict';
import type { DebugProtocol as Dap } from '@vscode/debugprotocol';
import { ok } from '../../src/base/result';
import { Driver } from './driver';
import { FakeTarget, stopAt } from './fake-target';
import type { MemoryHost } from './hosts';
import { memoryHost } from './hosts';

const SOURCE = 'bits 64\nstart: nop\nhlt\n';

interface Rig {
  readonly driver: Driver;
  readonly target: FakeTarget;
  readonly host: MemoryHost;
}

/** An adapter over a fake target, launched and stopped at its entry unless told otherwise. */
async function rig(fields: object = {}, client: object = {}, ...targets: FakeTarget[]): Promise<Rig> {
  const made = targets.length > 0 ? targets : [new FakeTarget()];
  let next = 0;
  const host = memoryHost({ '/guests/fake.asm': SOURCE }, () =>
    ok(made[Math.min(next++, made.length - 1)] ?? new FakeTarget()),
  );
  const driver = new Driver(host);
  await driver.launch({ program: 'fake.asm', stopOnEntry: true, ...fields }, client);
  return { driver, host, target: made[0] ?? new FakeTarget() };
}
async function stopped(...args: Parameters<typeof rig>): Promise<Rig> {
  const made = await rig(...args);
  assert.equal((await made.driver.toStop('configurationDone')).reason, 'entry');
  return made;
}

describe('debug adapter: run control', () => {
  it('hears pause and breakpoints while the guest spins', async () => {
    const { driver, target } = await stopped();
    target.written.push({ channel: 'serial', text: 'tick' });
    target.script = [FakeTarget.spinning(target)];
    await driver.ask('continue', { threadId: 1 });
    await driver.event('output');
    const set = await driver.ask<Dap.SetBreakpointsResponse['body']>('setBreakpoints', {
      source: { path: '/guests/fake.asm' },
      breakpoints: [{ line: 2 }],
    });
    assert.equal(set.breakpoints[0]?.verified, true);
    const stop = await driver.toStop('pause');
    assert.equal(stop.reason, 'pause');
    assert.ok(target.runs > 1);
  });

  it('refuses questions about a running guest, and answers them again afterwards', async () => {
    const { driver, target } = await stopped();
    target.script = [FakeTarget.spinning(target)];
    await driver.ask('continue', { threadId: 1 });
    for (const [command, args] of [
      ['stackTrace', { threadId: 1 }],
      ['evaluate', { expression: 'rax' }],
      ['readMemory', { memoryReference: '0x1000', count: 4 }],
      ['pagewalk/translate', { expression: '1', space: 'gva' }],
      ['pagewalk/tree', { tree: 'ept', start: 0, count: 1 }],
      ['pagewalk/tlb', {}],
      ['pagewalk/memoryMap', {}],
      ['pagewalk/controlStructure', {}],
      ['pagewalk/compare', { methods: 'ept', start: true }],
      ['next', { threadId: 1 }],
    ] as const) {
      assert.match(await driver.refused(command, args), /PW511.*pause it first/);
    }
    await driver.toStop('pause');
    await driver.ask('stackTrace', { threadId: 1 });
  });

  it('does not let a pause that comes too late stop the next run', async () => {
    const { driver, target } = await stopped();
    await driver.ask('pause', { threadId: 1 });
    assert.equal(target.paused, false);
  });

  it('passes on the kind of step', async () => {
    const { driver, target } = await stopped();
    await driver.toStop('next');
    await driver.toStop('stepIn', { threadId: 1, granularity: 'instruction' });
    await driver.toStop('stepOut');
    assert.deepEqual(target.asked, ['step over line', 'step in instruction', 'step out']);
  });

  it('tells output before the stop or the end that it led to, and closes files', async () => {
    const { driver, target, host } = await stopped({ debugcon: 'out.txt' });
    target.script = [
      () => {
        target.written.push({ channel: 'serial', text: 'hello\n' }, { channel: 'debugcon', text: 'to the file' });
        target.written.push({ channel: 'log', text: 'logged', location: { file: '/guests/fake.asm', line: 2 } });
        return target.end(0);
      },
    ];
    await driver.ask('continue', { threadId: 1 });
    await driver.event('terminated');
    assert.equal(host.files.get('/guests/out.txt'), 'to the file');
    const told = driver.transcript
      .split('\n')
      .filter((line) => line.startsWith('•'))
      .slice(1);
    assert.deepEqual(told, [
      '• output {"category":"stdout","output":"hello\\n"}',
      '• output {"category":"console","output":"logged\\n","source":{"name":"fake.asm","path":"/guests/fake.asm"},"line":2}',
      '• output {"category":"console","output":"The guest halted.\\n"}',
      '• exited {"exitCode":0}',
      '• terminated',
    ]);
    assert.match(await driver.refused('stackTrace', { threadId: 1 }), /PW512/);
  });

  it('runs without stopping at the entry unless asked, and never without debugging', async () => {
    for (const fields of [{ stopOnEntry: false }, { stopOnEntry: true, noDebug: true }]) {
      const { driver, target } = await rig(fields);
      target.script = [() => target.end(3)];
      await driver.ask('configurationDone');
      assert.equal((await driver.event<Dap.ExitedEvent>('exited')).exitCode, 3);
      assert.deepEqual(target.asked, ['continue']);
    }
  });

  it('stops running when the client terminates or goes away', async () => {
    for (const command of ['terminate', 'disconnect']) {
      const { driver, target } = await stopped();
      target.script = [FakeTarget.spinning(target)];
      await driver.ask('continue', { threadId: 1 });
      await driver.ask(command);
      await driver.event('terminated');
      const { runs } = target;
      await driver.ask('threads');
      await new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
      assert.equal(target.runs, runs);
      const told = driver.transcript.split('\n').filter((l) => /• (exited|terminated)/.test(l));
      assert.deepEqual(told, ['• exited {"exitCode":143}', '• terminated']);
    }
  });

  it('sends no two outputs to one file, and tells of a file that takes no more', async () => {
    const same = 'field `debugcon`: the file cannot be written: it is the same file as the output of field `serial`';
    const other = new Driver(memoryHost({ '/guests/fake.asm': SOURCE }, () => ok(new FakeTarget())));
    await other.ask('initialize', { adapterID: 'pagewalk' });
    const refused = await other.refused('launch', { program: 'fake.asm', serial: 'out', debugcon: '/guests/out' });
    assert.equal(refused, `/guests/out: error PW503: ${same}; name another`);

    const { driver, target } = await rig({ serial: '/full/out' });
    target.written.push({ channel: 'serial', text: 'a' });
    target.script = [() => target.stop(stopAt('step')), () => target.end(0)];
    await driver.toStop('configurationDone');
    await driver.toStop('continue');
    target.written.push({ channel: 'serial', text: 'b' });
    await driver.ask('continue', { threadId: 1 });
    assert.equal((await driver.event<Dap.ExitedEvent>('exited')).exitCode, 0);
    const outputs = driver.transcript;
    assert.match(outputs, /\/full\/out: error PW503: field `serial`: .* no space is left; the rest[^]*"a"[^]*"b"/);
    assert.equal(outputs.match(/PW503/g)?.length, 1);
    assert.doesNotMatch(outputs, /Internal error in Pagewalk/);
  });
});

describe('debug adapter: faults of its own', () => {
  it('answers a request that runs into one, and goes on', async () => {
    const { driver } = await stopped();
    const { scopes } = await driver.ask<Dap.ScopesResponse['body']>('scopes', { frameId: 1 });
    const broken = scopes.find(({ name }) => name === 'EPT');
    assert.match(
      await driver.refused('variables', { variablesReference: broken?.variablesReference }),
      /PW590: a broken view/,
    );
    assert.match(
      (await driver.event<Dap.OutputEvent>('output')).output,
      /Internal error in Pagewalk[^]*a broken view[^]*at /,
    );
    await driver.ask('stackTrace', { threadId: 1 });
  });

  it('stops where a run threw, and says why', async () => {
    const { driver, target } = await stopped();
    target.script = [
      () => {
        throw new Error('lost the thread');
      },
      () => target.stop(stopAt('step')),
    ];
    const stop = await driver.toStop('continue');
    assert.equal(stop.reason, 'exception');
    const info = await driver.ask<Dap.ExceptionInfoResponse['body']>('exceptionInfo', { threadId: 1 });
    assert.match(info.description ?? '', /lost the thread/);
    assert.equal((await driver.toStop('next')).reason, 'step');
  });

  it('refuses what it does not know', async () => {
    const { driver } = await stopped();
    assert.match(await driver.refused('stepBack', { threadId: 1 }), /PW513/);
    assert.match(await driver.refused('variables', { variablesReference: 9999 }), /PW514/);
    assert.match(await driver.refused('readMemory', { memoryReference: 'zero', count: 1 }), /PW514/);
    assert.match(await driver.refused('readMemory', { memoryReference: '0x0', count: 1e12 }), /PW515/);
    assert.match(await driver.refused('disassemble', { memoryReference: 'gpa:0x0', instructionCount: 1 }), /PW514/);
    assert.match(
      await driver.refused('setExceptionBreakpoints', { filters: ['all'] }),
      /PW516.*vm-exit, ept-violation, guest-pf/,
    );
    assert.equal(await driver.refused('evaluate', { expression: 'nothing' }), 'PW320: there is no `nothing`');
  });

  it('refuses ids that it did not give: threads, frames, variables, documents', async () => {
    const { driver } = await stopped();
    for (const command of ['continue', 'next', 'stepIn', 'stepOut', 'pause', 'stackTrace', 'exceptionInfo', 'goto'])
      assert.match(await driver.refused(command, { threadId: 2, targetId: 1 }), /PW514: there is no thread 2/, command);
    for (const frameId of [0, 3, -1]) {
      const no = new RegExp(`PW514: there is no frame ${frameId}; the call stack has frames 1 to 2`);
      assert.match(await driver.refused('scopes', { frameId }), no);
      assert.match(await driver.refused('evaluate', { expression: 'rax', frameId }), no);
      assert.match(await driver.refused('setExpression', { expression: 'rax', value: '1', frameId }), no);
    }
    for (const command of ['variables', 'setVariable'])
      assert.match(await driver.refused(command, { variablesReference: 77, name: 'x', value: '1' }), /PW514/, command);
    assert.match(await driver.refused('source', { sourceReference: 77 }), /PW514/);
    await driver.ask('stackTrace', { threadId: 1 });
  });

  it('refuses everything but initialize and launch before a launch', async () => {
    const driver = new Driver(memoryHost({}, () => ok(new FakeTarget())));
    assert.match(await driver.refused('stackTrace', { threadId: 1 }), /PW510/);
    assert.match(await driver.refused('continue', { threadId: 1 }), /PW510/);
    await driver.ask('threads');
    await driver.ask('disconnect');
  });
});

describe('debug adapter: breakpoints over a restart', () => {
  it('sets them again under the ids that the client knows', async () => {
    const [first, second] = [new FakeTarget(100), new FakeTarget(500)];
    const { driver } = await stopped({}, {}, first, second);
    const [line] = (
      await driver.ask<Dap.SetBreakpointsResponse['body']>('setBreakpoints', {
        source: { path: '/guests/fake.asm' },
        breakpoints: [{ line: 3 }],
      })
    ).breakpoints;
    await driver.ask('setFunctionBreakpoints', { breakpoints: [{ name: 'exit:CPUID' }] });
    assert.equal((await driver.toStop('restart', {})).reason, 'entry');
    const changed = await driver.event<Dap.BreakpointEvent>('breakpoint');
    assert.equal(changed.breakpoint.id, line?.id);
    second.script = [() => second.stop(stopAt('breakpoint', { breakpoints: [500] }))];
    assert.deepEqual((await driver.toStop('continue')).hitBreakpointIds, [line?.id]);
  });

  it('keeps the old guest where the edited one does not assemble', async () => {
    const { driver, host } = await stopped();
    host.files.set('/guests/fake.asm', 'mov nothing\n');
    assert.match(await driver.refused('restart', {}), /fake\.asm:1:\d+: error PW1/);
    await driver.ask('stackTrace', { threadId: 1 });
  });

  it('takes none in a generated document', async () => {
    const { driver } = await stopped();
    const source = { name: 'exit', sourceReference: 1 };
    assert.match(await driver.refused('setBreakpoints', { source, breakpoints: [{ line: 1 }] }), /exit:NAME/);
  });
});

describe('debug adapter: what the client is shown', () => {
  it('pages long lists and knows a row of an earlier stop', async () => {
    const { driver, target } = await stopped();
    target.rows = 300;
    const { scopes } = await driver.ask<Dap.ScopesResponse['body']>('scopes', { frameId: 1 });
    const reference = scopes.find(({ name }) => name === 'TLB')?.variablesReference;
    const page = await driver.ask<Dap.VariablesResponse['body']>('variables', {
      variablesReference: reference,
      filter: 'indexed',
      start: 200,
      count: 50,
    });
    assert.equal(page.variables.length, 50);
    assert.equal(page.variables[0]?.name, 'row 200');
    assert.equal(page.variables[0]?.indexedVariables, 500);
    await driver.toStop('next');
    assert.match(await driver.refused('variables', { variablesReference: reference }), /earlier stop/);
  });

  it('gives a hypervisor document that has grown a new reference, and keeps the old text', async () => {
    const { driver } = await stopped();
    const sourceAt = async (): Promise<number> => {
      const { stackFrames } = await driver.ask<Dap.StackTraceResponse['body']>('stackTrace', { threadId: 1 });
      assert.equal(stackFrames[0]?.name, 'handle_cpuid (KVM, kernel)');
      return stackFrames[0]?.source?.sourceReference ?? 0;
    };
    const text = async (sourceReference: number): Promise<string> =>
      (await driver.ask<Dap.SourceResponse['body']>('source', { sourceReference })).content;
    await driver.toStop('stepIn');
    const first = await sourceAt();
    assert.equal(await sourceAt(), first);
    await driver.toStop('stepIn');
    const second = await sourceAt();
    assert.equal(await text(first), 'step 1');
    assert.equal(await text(second), 'step 1\nstep 2');
  });

  it('counts lines from 0 and names files by URI where the client does', async () => {
    const { driver } = await stopped({}, { linesStartAt1: false, columnsStartAt1: false, pathFormat: 'uri' });
    const set = await driver.ask<Dap.SetBreakpointsResponse['body']>('setBreakpoints', {
      source: { path: 'file:///guests/fake.asm' },
      breakpoints: [{ line: 1 }],
    });
    assert.deepEqual(set.breakpoints[0], {
      ...{ id: 1, verified: true, line: 1, instructionReference: '0x2' },
      source: { name: 'fake.asm', path: 'file:///guests/fake.asm' },
    });
    const { targets } = await driver.ask<Dap.CompletionsResponse['body']>('completions', {
      text: 'info re',
      column: 7,
    });
    assert.deepEqual(targets, [{ label: 'info rex', start: 5, length: 2 }]);
  });

  it('steps into the target that the client chose', async () => {
    const { driver, target } = await stopped();
    const { targets } = await driver.ask<Dap.StepInTargetsResponse['body']>('stepInTargets', { frameId: 1 });
    assert.deepEqual(targets, [{ id: 1, label: 'call f' }]);
    assert.match(await driver.refused('stepIn', { threadId: 1, targetId: 2 }), /PW514: there is no step target 2/);
    await driver.toStop('stepIn', { threadId: 1, targetId: 1 });
    assert.ok(target.asked.includes('step in line to the call'));
    await driver.refused('stepInTargets', { frameId: 99 });
  });

  it('invalidates what is shown after an edit', async () => {
    const { driver, target } = await stopped();
    const { scopes } = await driver.ask<Dap.ScopesResponse['body']>('scopes', { frameId: 1 });
    const variablesReference = scopes[0]?.variablesReference;
    await driver.ask('setVariable', { variablesReference, name: 'row 1', value: '7' });
    await driver.event('invalidated');
    await driver.ask('setExpression', { expression: 'rax', value: '8' });
    await driver.event('invalidated');
    await driver.ask('writeMemory', { memoryReference: 'gpa:0x10', offset: 2, data: 'AQI=' });
    assert.deepEqual(await driver.event('memory'), { memoryReference: 'gpa:0x10', offset: 2, count: 2 });
    assert.match(
      await driver.refused('writeMemory', { memoryReference: '0x10', data: 'AAAAAAAAAAA=' }),
      /not all of the 8 bytes/,
    );
    assert.deepEqual(target.asked, ['set registers/1 7', 'assign rax 8', 'write gpa:0x12 01 02']);
  });
});

describe('debug adapter: launch configurations', () => {
  async function refusal(
    fields: object,
    files: Record<string, string> = { '/guests/fake.asm': SOURCE },
  ): Promise<string> {
    const driver = new Driver(memoryHost(files, () => ok(new FakeTarget())));
    await driver.ask('initialize', { adapterID: 'pagewalk' });
    const message = await driver.refused('launch', fields);
    // A launch that failed can be followed by one that does not.
    driver.note('again');
    return message;
  }
  const check = (title: string, fields: object, expected: RegExp, files?: Record<string, string>): void => {
    it(title, async () => assert.match(await refusal(fields, files), expected));
  };
  check('no program', {}, /^launch configuration: error PW500: field `program` is missing/);
  check('no such file', { program: 'none.asm' }, /^\/guests\/none\.asm: error PW501.*no such file/);
  check('an empty file', { program: 'fake.asm' }, /PW311: the file is empty/, { '/guests/fake.asm': '' });
  check('a wrong value', { program: 'fake.asm', memory: 'lots' }, /PW301: field `memory`.*lots/);
  check(
    'a wrong type',
    { program: 7, stopOnEntry: 'yes' },
    /`program`: expected a string[^]*`stopOnEntry`: expected true or false/,
  );
  check('what is not supported yet', { program: 'fake.asm', cpus: 2 }, /PW302.*cpus.*not supported yet/);
  check(
    'an output that cannot be written',
    { program: 'fake.asm', serial: '/forbidden/x' },
    /PW503.*`serial`.*permission denied/,
  );
  check('an assembly error', { program: 'fake.asm' }, /^\/guests\/fake\.asm:2:\d+: error PW1\d\d/, {
    '/guests/fake.asm': 'bits 64\nmov rax, nowhere\n',
  });
  it('gives macros and folders to the assembler, and keeps includes inside the folders that are open', async () => {
    const source = '%include "x.inc"\n%if N - 5\n%error wrong\n%endif\n nop\n';
    const files = { '/guests/fake.asm': source, '/lib/x.inc': '; nothing\n' };
    const launch = async (fields: object): Promise<readonly string[]> => {
      const seen: string[] = [];
      const host = memoryHost(files, () => ok(new FakeTarget()));
      const driver = new Driver({
        ...host,
        include: (name, from, folders) => {
          seen.push(`${name} from ${from} in ${folders.join()}`);
          return host.include(name, from, folders);
        },
      });
      await driver.launch({ program: 'fake.asm', stopOnEntry: true, ...fields });
      await driver.toStop('configurationDone');
      return seen;
    };
    assert.deepEqual(await launch({ define: 'N=5', include: ['../lib'], workspaceFolders: ['/'] }), [
      'x.inc from /guests/fake.asm in /',
      // the current folder, as nasm's own first look
      'x.inc from /. in /',
      'x.inc from /lib/. in /',
    ]);
    assert.equal((await launch({ define: ['N=4', 'N=5'], include: '/lib' }))[1], 'x.inc from /lib/. in /guests');
  });
  it('hands what is wrong to a client that shows it itself, and asks for no dialog', async () => {
    const check = async (source: string, fields: object, expected: object): Promise<void> => {
      const driver = new Driver(memoryHost({ '/guests/fake.asm': source }, () => ok(new FakeTarget())));
      await driver.ask('initialize', { adapterID: 'pagewalk' });
      const problems = driver.event('pagewalk/problems');
      const { success, body } = await driver.send('launch', {
        program: 'fake.asm',
        __reportsProblems: true,
        ...fields,
      });
      assert.deepEqual(await problems, expected);
      if (!success) assert.equal((body as Dap.ErrorResponse['body']).error?.showUser, false);
    };
    const unknown = {
      severity: 'error',
      code: 'PW101',
      message: '`nowhere` is not defined; define a label or an equ of this name, or check its spelling',
      path: '/guests/fake.asm',
      range: { line: 2, column: 10, endLine: 2, endColumn: 17 },
    };
    await check('bits 64\nmov rax, nowhere\n', {}, { problems: [unknown], errors: 1, launched: false });
    await check('bits 64\nnop\n', {}, { problems: [], errors: 0, launched: true });
    const memory = {
      severity: 'error',
      code: 'PW301',
      message: 'field `memory`: `lots` is no size; write bytes, or a number with K, M, G or T, as 64M',
    };
    await check('bits 64\nnop\n', { memory: 'lots' }, { problems: [memory], errors: 1, launched: false });
  });
  it("leaves VS Code's own fields alone", async () => {
    await stopped({
      type: 'pagewalk',
      request: 'launch',
      name: 'x',
      __sessionId: '1',
      presentation: { hidden: false },
    });
  });
});
