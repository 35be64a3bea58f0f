/** Whatever a client sends: every request gets one response, and the adapter is there for the next. */
import * as assert from 'node:assert/strict';
import fc from 'fast-check';
import { ok } from '../../src/base/result';
import { Driver } from './driver';
import { FakeTarget } from './fake-target';
import { memoryHost } from './hosts';

const COMMANDS = [
  ...['initialize', 'launch', 'attach', 'configurationDone', 'restart', 'terminate', 'threads', 'stackTrace', 'scopes'],
  ...['setBreakpoints', 'setFunctionBreakpoints', 'setInstructionBreakpoints', 'setExceptionBreakpoints', 'source'],
  ...['breakpointLocations', 'continue', 'next', 'stepIn', 'stepOut', 'pause', 'loadedSources', 'exceptionInfo'],
  ...[
    'variables',
    'setVariable',
    'evaluate',
    'setExpression',
    'completions',
    'readMemory',
    'writeMemory',
    'disassemble',
  ],
  ...[
    'pagewalk/translate',
    'pagewalk/hover',
    'pagewalk/tree',
    'pagewalk/tlb',
    'pagewalk/memoryMap',
    'pagewalk/controlStructure',
    'pagewalk/compare',
    'pagewalk/setControlField',
    'toString',
    '__proto__',
    '',
  ],
];
const value = fc.oneof(
  fc.constantFrom('0x1000', 'gpa:0x0', '/guests/fake.asm', 'rax', '', 'AAAA', null, true, -1, 0, 1, 1e9, 1.5),
  fc.constantFrom(
    [],
    [{}],
    [{ line: 1 }],
    [{ name: 'start' }],
    ['vm-exit'],
    { path: '/guests/fake.asm' },
    { sourceReference: 1 },
  ),
  fc.jsonValue({ maxDepth: 2 }),
);
const KEYS = [
  ...[
    'program',
    'source',
    'breakpoints',
    'filters',
    'filterOptions',
    'variablesReference',
    'name',
    'value',
    'expression',
    'frameId',
  ],
  ...[
    'memoryReference',
    'offset',
    'count',
    'data',
    'instructionCount',
    'instructionOffset',
    'instructionReference',
    'text',
    'column',
  ],
  ...[
    'tree',
    'node',
    'start',
    'space',
    'lineText',
    'line',
    'endLine',
    'arguments',
    'format',
    'granularity',
    'pathFormat',
    'slot',
  ],
];
const args = fc.dictionary(fc.constantFrom(...KEYS), value, { maxKeys: 5 });

describe('debug adapter: any requests', () => {
  it('answers each of them', async () => {
    const requests = fc.array(fc.tuple(fc.constantFrom(...COMMANDS), fc.option(args, { nil: undefined })), {
      maxLength: 25,
    });
    await fc.assert(
      fc.asyncProperty(requests, fc.boolean(), async (list, launched) => {
        const driver = new Driver(memoryHost({ '/guests/fake.asm': 'nop\n' }, () => ok(new FakeTarget())));
        if (launched) await driver.launch({ program: 'fake.asm', stopOnEntry: true });
        for (const [command, each] of list) {
          const response = await driver.send(command, each);
          assert.equal(response.success || response.message !== '', true, command);
        }
        assert.equal((await driver.send('threads')).success, true);
        await driver.ask('disconnect');
      }),
      { seed: 20070225, numRuns: 300 },
    );
  });
});
