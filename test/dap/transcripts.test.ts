/** What people see through the adapter, on real guests: each scene against its transcript in test/golden/dap. */
import * as assert from 'node:assert/strict';
import type { DebugProtocol as Dap } from '@vscode/debugprotocol';
import { Session } from '../../src/session/session';
import { assertGolden } from './golden';
import { memoryHost } from './hosts';
import { FIRST_TOUCH, FOUR_SPACES, GARBAGE_TABLES, HELLO, JUMP_INTO_HOLE, PAGE_FAULT, READ_ONLY_SLOT } from './guests';
import { FILE, Scene, lineOf, scene } from './scene';

const threadId = 1;

describe('adapter transcripts', function () {
  it('launch: capabilities, breakpoint, step, output, exit', async () => {
    const source = HELLO;
    const d = new Scene(memoryHost({ [FILE]: source }, Session.create));
    await d.ask('initialize', { adapterID: 'pagewalk', pathFormat: 'path', linesStartAt1: true });
    await d.ask('launch', { type: 'pagewalk', request: 'launch', name: 'hello', program: FILE });
    await d.event('initialized');
    await d.breakAt(lineOf(source, 'lodsb'), 1);
    await d.ask('setExceptionBreakpoints', { filters: [] });
    assert.equal((await d.toStop('configurationDone')).reason, 'breakpoint');
    await d.ask('threads');
    await d.stack();
    await d.ask('scopes', { frameId: 1 });
    await d.toStop('next');
    await d.toStop('stepIn');
    await d.stack();
    await d.breakAt();
    await d.ask('continue', { threadId });
    assert.equal(await d.ends(), 0);
    await d.ask('disconnect');
    assertGolden('launch', d.transcript);
  });

  it('variables: every scope', async () => {
    const source = FIRST_TOUCH;
    await scene('variables', source, async (d) => {
      await d.silently(async () => {
        await d.breakAt(lineOf(source, 'rbx], rbx'));
        await d.toStop('configurationDone');
        await d.toStop('continue');
      });
      for (const scope of [
        'Registers',
        'Flags',
        'Segments',
        'Control State',
        'Memslots',
        'TLB',
        'Statistics',
        'VM Exits',
      ]) {
        d.note(scope);
        await d.open(scope);
      }
      d.note('parts of a register');
      await d.open('Registers', 'rbx');
      d.note('bits of CR0');
      await d.open('Control State', 'cr0');
      for (const scope of ['Guest Page Tables', 'EPT', 'Host Page Tables', 'VMCS', 'Devices']) {
        d.note(scope);
        await d.open(scope);
      }
    });
  });

  it('page tables and VMCS: down to one entry and one field', async () => {
    const source = FOUR_SPACES;
    await scene('tables', source, async (d) => {
      await d.silently(async () => {
        await d.breakAt(lineOf(source, 'again:') + 1);
        await d.toStop('configurationDone');
        await d.toStop('continue');
      });
      const deep = async (scope: string, indices: readonly number[]): Promise<void> => {
        d.note(`${scope}: ${indices.join(' / ')}`);
        let rows = await d.open(scope);
        for (const index of indices) {
          const row = rows.find((each) => each.name.includes(`[${index}]`) || each.name === String(index));
          assert.ok(row, `no row for index ${index} among ${rows.map((each) => each.name).join(', ')}`);
          if (row.variablesReference === 0) break;
          rows = (await d.ask<{ variables: typeof rows }>('variables', { variablesReference: row.variablesReference }))
            .variables;
        }
      };
      await deep('Guest Page Tables', [255, 40, 473, 160]);
      await deep('EPT', [0, 0, 145]);
      d.note('VMCS');
      const areas = await d.open('VMCS');
      for (const { name, variablesReference } of areas) if (variablesReference !== 0) await d.open('VMCS', name);
      d.note('bits of a control field');
      await d.open('VMCS', 'Controls', 'PIN_BASED_VM_EXEC_CONTROL');
    });
  });

  it('exit breakpoints: condition, hit count, log', async () => {
    const source = HELLO;
    await scene('exit-breakpoints', source, async (d) => {
      await d.silently(() => d.toStop('configurationDone'));
      await d.ask('setFunctionBreakpoints', {
        breakpoints: [
          { name: 'exit:IO_INSTRUCTION', condition: 'write', hitCondition: '3' },
          { name: 'exit:IO_INSTRUCTION', condition: 'write, log "letter {al}"' },
          { name: 'exit:EPT_VIOLATON' },
          { name: 'done' },
          { name: 'exit:HLT', condition: 'gpa ==' },
        ],
      });
      await d.toStop('continue');
      await d.ask('exceptionInfo', { threadId });
      await d.stack();
      await d.toStop('continue');
      await d.stack();
    });
  });

  it('exception filters: VM exit and EPT violation with conditions', async () => {
    const source = READ_ONLY_SLOT;
    await scene('filters', source, async (d) => {
      await d.silently(() => d.toStop('configurationDone'));
      await d.ask('setExceptionBreakpoints', {
        filters: [],
        filterOptions: [{ filterId: 'ept-violation', condition: 'write && slot == 1' }],
      });
      await d.toStop('continue');
      await d.ask('exceptionInfo', { threadId });
      await d.stack();
      await d.ask('setExceptionBreakpoints', {
        filters: [],
        filterOptions: [
          { filterId: 'vm-exit', condition: 'reason == HLT' },
          { filterId: 'ept-violation', condition: 'nonsense > 1' },
        ],
      });
      await d.toStop('continue');
      await d.ask('exceptionInfo', { threadId });
      await d.ask('continue', { threadId });
      await d.ends();
    });
  });

  it('guest #PF: seen, and nothing more exits', async () => {
    const source = PAGE_FAULT;
    await scene('guest-page-fault', source, async (d) => {
      await d.silently(() => d.toStop('configurationDone'));
      await d.ask('setExceptionBreakpoints', { filters: ['guest-pf'] });
      await d.toStop('continue');
      await d.ask('exceptionInfo', { threadId });
      await d.stack();
      await d.say('cr2');
      await d.toStop('stepIn');
      await d.stack();
      await d.ask('continue', { threadId });
      assert.equal(await d.ends(), 0);
    });
  });

  it('steps into an EPT violation, through its steps, and out', async () => {
    const source = FIRST_TOUCH;
    await scene('step-into-exit', source, async (d) => {
      await d.silently(async () => {
        await d.breakAt(lineOf(source, 'rax, [rbx]'));
        await d.toStop('configurationDone');
        await d.toStop('continue');
      });
      await d.toStop('stepIn');
      for (let i = 0; i < 6; i++) {
        await d.silently(() => d.stack());
        await d.toStop('stepIn');
      }
      const [top] = await d.stack();
      await d.ask('source', { sourceReference: top?.source?.sourceReference });
      await d.toStop('next');
      await d.stack();
      await d.toStop('stepOut');
      await d.stack();
    });
  });

  it('pauses an endless loop', async () => {
    await scene('pause', 'bits 64\nstart:\n        jmp     start\n', async (d) => {
      await d.silently(() => d.toStop('configurationDone'));
      await d.ask('continue', { threadId });
      assert.equal((await d.toStop('pause')).reason, 'pause');
      await d.stack();
      await d.toStop('next');
      await d.stack();
    });
  });

  it('launches that fail', async () => {
    const refuse = async (source: string, fields: object): Promise<string> => {
      const d = new Scene(memoryHost({ [FILE]: source, '/guests/empty.asm': '' }, Session.create));
      await d.silently(() => d.ask('initialize', { adapterID: 'pagewalk', pathFormat: 'path' }));
      await d.refused('launch', { program: FILE, ...fields });
      return d.transcript;
    };
    const good = 'bits 64\nstart: hlt\n';
    const transcripts = [
      await refuse(good, { cpus: 2 }),
      await refuse(good, { memory: '1' }),
      await refuse(good, { slot: ['0x0+4M', '0x200000+4M'] }),
      await refuse(good, { program: '/guests/none.asm' }),
      await refuse(good, { program: '/guests/empty.asm' }),
      await refuse('bits 64\nstart:\n        mov     rax, nowhere\n        mvo     rax, 1\n        hlt\n', {}),
      await refuse('; @guest start=flat65\nbits 64\nhlt\n', {}),
      await refuse('bits 64\nhlt\ntimes 20*1024*1024 db 1\n', { memory: '16M' }),
    ];
    assertGolden('failed-launches', transcripts.join('\n'));
  });

  it('a triple fault is an explained stop, then the end', async () => {
    await scene('triple-fault', 'bits 64\nstart:\n        ud2\n', async (d) => {
      await d.silently(() => d.toStop('configurationDone'));
      await d.toStop('continue');
      await d.ask('exceptionInfo', { threadId });
      await d.stack();
      await d.say('rip');
      await d.ask('continue', { threadId });
      assert.equal(await d.ends(), 4);
    });
  });

  it('a jump into a hole, and tables filled with garbage', async () => {
    await scene('jump-into-hole', JUMP_INTO_HOLE, async (d) => {
      await d.silently(() => d.toStop('configurationDone'));
      await d.toStop('continue');
      await d.ask('exceptionInfo', { threadId });
    });
    await scene('garbage-tables', GARBAGE_TABLES, async (d) => {
      await d.silently(() => d.toStop('configurationDone'));
      await d.toStop('continue');
      await d.ask('exceptionInfo', { threadId });
      await d.ask('variables', { variablesReference: await d.scope('Guest Page Tables'), start: 0, count: 2 });
    });
  });

  it('restart: the edited guest, with its breakpoints', async () => {
    const source = 'bits 64\nstart:\n        nop\n        inc     eax\n        hlt\n';
    await scene('restart', source, async (d) => {
      await d.silently(() => d.toStop('configurationDone'));
      await d.breakAt(4);
      await d.toStop('continue');
      d.host.files.set(FILE, source.replace('nop', 'mov     eax, 41'));
      await d.toStop('restart', {});
      await d.toStop('continue');
      await d.stack();
      await d.toStop('next');
      await d.say('eax');
    });
  });

  it('breakpoints and frames in an included file', async () => {
    const source = 'bits 64\nstart:\n        call    part\n        hlt\n%include "lib/part.inc"\n';
    const part =
      '; a subroutine\npart:\n        push    rbp\n        mov     rbp, rsp\n        nop\n        pop     rbp\n        ret\n';
    const d = new Scene(memoryHost({ [FILE]: source, '/guests/lib/part.inc': part }, Session.create));
    await d.launch({ program: FILE });
    await d.ask('setBreakpoints', { source: { path: '/guests/lib/part.inc' }, breakpoints: [{ line: 5 }] });
    await d.toStop('configurationDone');
    await d.stack();
    await d.toStop('stepOut');
    await d.stack();
    assertGolden('include', d.transcript);
  });

  it('registers and flags are set', async () => {
    await scene('set-values', 'bits 64\nstart:\n        nop\n        nop\n        hlt\nother:  hlt\n', async (d) => {
      await d.silently(() => d.toStop('configurationDone'));
      const registers = await d.scope('Registers');
      await d.ask('setVariable', { variablesReference: registers, name: 'rax', value: '0x1234' });
      await d.ask('setVariable', { variablesReference: registers, name: 'rbx', value: 'other + 1' });
      await d.refused('setVariable', { variablesReference: registers, name: 'rcx', value: 'no such thing' });
      await d.ask('setVariable', { variablesReference: await d.scope('Flags'), name: 'CF', value: '1' });
      await d.ask('setExpression', { expression: 'ax', value: '0xffff' });
      await d.ask('setExpression', { expression: 'qword [other]', value: '0xf4f4' });
      await d.refused('setExpression', { expression: '1 + 1', value: '3' });
      await d.say('rax', 'rbx', 'rflags', 'qword [other]');
      await d.ask('setExpression', { expression: 'rip', value: 'other' });
      await d.stack();
    });
  });

  it('goes to another line', async () => {
    const source = 'bits 64\nstart:\n        nop\n        nop\nother:\n        mov     eax, 7\n        hlt\n';
    await scene('goto', source, async (d) => {
      await d.silently(() => d.toStop('configurationDone'));
      const asked = { source: { path: FILE }, line: 5 };
      const { targets } = await d.ask<Dap.GotoTargetsResponse['body']>('gotoTargets', asked);
      await d.toStop('goto', { threadId, targetId: targets[0]?.id });
      await d.stack();
      await d.refused('goto', { threadId, targetId: targets[0]?.id });
      await d.toStop('next');
      await d.say('eax');
    });
  });

  it('values are set within an exit, and the guest goes on with them', async () => {
    const source = 'bits 64\nstart:\n        xor     eax, eax\n        cpuid\n        nop\nafter:\n        hlt\n';
    await scene('set-within-exit', source, async (d) => {
      await d.silently(() => d.toStop('configurationDone'));
      await d.ask('setFunctionBreakpoints', { breakpoints: [{ name: 'exit:CPUID' }] });
      await d.toStop('continue');
      await d.ask('setExpression', { expression: 'eax', value: '0x80000000' });
      await d.toStop('stepOut');
      await d.say('eax', 'rip');
      await d.ask('continue', { threadId });
      await d.ends();
    });
  });

  it('memory in all four spaces, and code', async () => {
    const source = FIRST_TOUCH;
    await scene('memory', source, async (d) => {
      await d.silently(async () => {
        await d.breakAt(lineOf(source, '[rbx + 8]'));
        await d.toStop('configurationDone');
        await d.toStop('continue');
      });
      const { translation } = await d.silently(() =>
        d.ask<{ translation: { hva: string; hpa: string } }>('pagewalk/translate', {
          expression: 'page',
          space: 'gva',
        }),
      );
      await d.ask('writeMemory', {
        memoryReference: 'gpa:0x200000',
        offset: 8,
        data: Buffer.from('pagewalk').toString('base64'),
      });
      for (const memoryReference of ['0x200000', 'gpa:0x200000', `hva:${translation.hva}`, `hpa:${translation.hpa}`]) {
        await d.ask('readMemory', { memoryReference, offset: 8, count: 8 });
      }
      d.note('at the end of guest RAM, and nowhere');
      await d.ask('readMemory', { memoryReference: 'gpa:0x3fffffe', count: 8 });
      await d.ask('readMemory', { memoryReference: '0xffff800000000000', count: 8 });
      await d.refused('writeMemory', { memoryReference: '0xffff800000000000', data: 'AAAA' });
      const [top] = await d.stack(1);
      await d.ask('disassemble', {
        memoryReference: top?.instructionPointerReference,
        instructionOffset: -4,
        instructionCount: 8,
        resolveSymbols: true,
      });
      await d.ask('setInstructionBreakpoints', { breakpoints: [{ instructionReference: '0x10000f' }] });
      await d.ask('breakpointLocations', { source: { path: FILE }, line: 1, endLine: 30 });
      await d.ask('loadedSources');
      await d.toStop('continue');
    });
  });

  it('evaluates expressions and monitor commands', async () => {
    const source = FOUR_SPACES;
    await scene('evaluate', source, async (d) => {
      await d.silently(async () => {
        await d.breakAt(lineOf(source, 'again:') + 1);
        await d.toStop('configurationDone');
        await d.toStop('continue');
      });
      await d.say(
        'rbx',
        'al',
        'byte [rbx]',
        'target_gpa + 1',
        'start',
        'rbx == target_gva',
        'ZF',
        '2 +',
        'nobody',
        '[0xdead000000000]',
      );
      await d.say('help', 'info registers', 'info mem', 'info tlb', 'info mtree', 'info memslots', 'info kvm');
      await d.say(
        'x /4xb target_gva',
        'xp /4xb target_gpa',
        'gva2gpa target_gva',
        'gpa2hva target_gpa',
        'gpa2hpa target_gpa',
      );
      await d.say('hpa2gva 0x1a2b3100', 'hpa2gpa 0x1a2b3100', 'gva2gpa', 'info nothing');
      await d.ask('evaluate', { expression: 'rbx', context: 'watch', format: { hex: true } });
      await d.ask('completions', { text: 'info m', column: 7 });
      await d.ask('completions', { text: '[rb', column: 4 });
    });
  });

  it('translates, hovers and lists tables by custom requests', async () => {
    const source = FOUR_SPACES;
    await scene('custom-requests', source, async (d) => {
      await d.silently(async () => {
        await d.breakAt(lineOf(source, 'again:') + 1);
        await d.toStop('configurationDone');
        await d.toStop('continue');
      });
      await d.ask('pagewalk/translate', { expression: 'target_gva', space: 'gva' });
      await d.ask('pagewalk/translate', { expression: '0x1a2b3100', space: 'hpa' });
      await d.ask('pagewalk/translate', { expression: '0xdead0000', space: 'gva', access: 'w', user: true });
      await d.refused('pagewalk/translate', { expression: 'nobody', space: 'gva' });
      await d.ask('pagewalk/tlb', { most: 2 });
      await d.ask('pagewalk/memoryMap', { from: '0x12340000', to: '0x12346000' });
      await d.refused('pagewalk/memoryMap', { from: 'here' });
      await d.ask('pagewalk/pagemap', { format: 'text' });
      const lineText = '        mov     al, [rbx]       ; once more';
      for (const column of [9, 22, 45]) await d.ask('pagewalk/hover', { lineText, column });
      for (const tree of ['guest', 'ept', 'memslots']) {
        const { nodes } = await d.ask<{ nodes: { id: string }[] }>('pagewalk/tree', { tree, start: 0, count: 512 });
        await d.ask('pagewalk/tree', { tree, node: nodes[0]?.id, start: 0, count: 2 });
      }
      await d.ask('continue', { threadId });
      await d.ends();
    });
  });
});
