import * as assert from 'node:assert/strict';
import { example } from '../../cli/support';
import { fingerprint, next, open, value, wait } from '../scene';

const LOOP = `bits 64
start:
        xor     eax, eax
.again: inc     eax
        cmp     eax, 10
        jne     .again
        hlt
`;

describe('breakpoints in the guest', () => {
  it('stand on lines, labels and addresses, before the instruction', () => {
    const s = open(LOOP);
    assert.deepEqual(s.breakpoints.setSource('guest.asm', [{ line: 4 }, { line: 1 }, { line: 99 }]), [
      { id: 1, verified: true, location: { file: 'guest.asm', line: 4 }, address: 0x10_0002n },
      { id: 2, verified: true, location: { file: 'guest.asm', line: 3 }, address: 0x10_0000n },
      { id: 3, verified: false, message: 'no code in this file at line 99 or after it' },
    ]);
    s.run.continue_();
    assert.equal(next(s), 'breakpoint start');
    s.run.continue_();
    assert.equal(next(s), 'breakpoint start.again');
    assert.equal(value(s, 'eax'), '0x0');
    s.breakpoints.setSource('guest.asm', []);
    s.breakpoints.setInstruction([{ address: 0x10_0004n }]);
    s.run.continue_();
    assert.equal(next(s), 'instruction-breakpoint start.again+0x2');
    s.breakpoints.setInstruction([]);
    s.run.continue_();
    assert.equal(next(s), 'ended halt 0');
  });

  it('have conditions, hit counts and log messages', () => {
    const s = open(LOOP);
    s.breakpoints.setFunctions([
      { name: 'start.again', condition: 'eax == 3', logMessage: 'three: {eax, d} {ZF}' },
      { name: 'start.again', hitCondition: '% 4' },
    ]);
    s.run.continue_();
    assert.equal(next(s), 'function-breakpoint start.again');
    assert.equal(value(s, 'rax'), '0x3');
    assert.deepEqual(
      s.output.take().map((o) => `${o.channel} ${o.text}`),
      ['log three: 3 false\n'],
    );
    s.run.continue_();
    assert.equal(next(s), 'function-breakpoint start.again');
    assert.equal(value(s, 'rax'), '0x7');
    s.run.continue_();
    assert.equal(next(s), 'ended halt 0');
  });

  it('say what is wrong with them', () => {
    const s = open(LOOP);
    const message = (clause: object): string | undefined =>
      s.breakpoints.setFunctions([{ name: 'start', ...clause }])[0]?.message;
    assert.equal(message({ condition: 'raxx == 1' }), '`raxx` is not known; did you mean `rax`?');
    assert.match(message({ condition: 'eax ==' }) ?? '', /a value is missing/);
    assert.match(message({ hitCondition: 'often' }) ?? '', /`often` is no hit count/);
    assert.match(message({ logMessage: '{nope}' }) ?? '', /`nope` is not known/);
    assert.match(message({ name: 'strat' }) ?? '', /there is no label `strat`; did you mean `start`\?/);
    assert.match(message({ name: 'exit:EPT_VIOLATOIN' }) ?? '', /did you mean `EPT_VIOLATION`\?/);
    s.run.continue_();
    assert.equal(next(s), 'ended halt 0');
  });
});

describe('breakpoints on VM exits', () => {
  it('filters by fact', () => {
    const s = open(example('memslots'));
    s.breakpoints.setFilters([{ filter: 'ept-violation', condition: 'slot == -1' }]);
    s.run.continue_();
    assert.equal(next(s), 'ept-violation VM exit EPT_VIOLATION');
    const { stopped } = s.run;
    assert.equal(stopped?.exit?.gpa, 0x51_0000n);
    assert.equal(stopped?.exit?.slot, -1);
    assert.match(stopped?.why ?? '', /No memslot holds that GPA/);
    assert.equal(s.stack.frames()[1]?.name, 'hole_write');
    s.run.continue_();
    // a misconfiguration counts as one too
    assert.equal(next(s), 'ept-violation VM exit EPT_MISCONFIG');
    s.run.continue_();
    assert.equal(next(s), 'ended halt 0');
  });

  it('names them, with hit counts, and as log points', () => {
    const s = open(example('hello'));
    s.breakpoints.setFunctions([
      { name: 'exit:IO_INSTRUCTION', condition: 'write && port == 0x3f8', hitCondition: '5' },
      { name: 'exit:hlt', condition: 'true_is_not_a_name' },
      { name: 'exit:*', condition: 'reason == HLT, log "exit {count, d}"' },
    ]);
    s.run.continue_();
    assert.equal(next(s), 'function-breakpoint VM exit IO_INSTRUCTION');
    assert.equal(value(s, 'al'), '0x6f = 111');
    s.run.continue_();
    assert.equal(next(s), 'ended halt 0');
    assert.deepEqual(
      s.output
        .take()
        .filter((o) => o.channel === 'log')
        .map((o) => o.text),
      ['exit 32\n'],
    );
  });

  it('a fact that an exit has not makes its comparison false, not an error', () => {
    const s = open(example('hello'));
    s.breakpoints.setFilters([
      { filter: 'vm-exit', condition: 'gpa >= 0 && reason == IO_INSTRUCTION || port == 0x3fd' },
    ]);
    s.run.continue_();
    assert.equal(next(s), 'vm-exit VM exit IO_INSTRUCTION');
  });

  it('under npt conditions know AMD’s names with AMD’s numbers, and none of Intel’s', () => {
    const s = open('bits 64\nmov eax, 1\ncpuid\nmov rax, [0x200000]\nhlt', { mmu: 'npt' });
    const [npf, cpuid, ept] = s.breakpoints.setFunctions([
      { name: 'exit:*', condition: 'reason == NPF && gpa == 0x200000' },
      { name: 'exit:*', condition: 'reason == CPUID' },
      { name: 'exit:*', condition: 'reason == EPT_VIOLATION' },
    ]);
    assert.deepEqual([npf?.verified, cpuid?.verified, ept?.verified], [true, true, false]);
    assert.match(ept?.message ?? '', /EPT_VIOLATION/);
    s.run.continue_();
    assert.equal(next(s), 'function-breakpoint VM exit CPUID');
    s.run.continue_();
    assert.equal(next(s), 'function-breakpoint VM exit NPF');
    assert.equal(value(s, 'NPF'), '0x400 = 1024');
    assert.deepEqual(s.console.complete('1 + EXCP1').slice(0, 2), ['EXCP1', 'EXCP10']);
    assert.deepEqual(open(LOOP).console.complete('1 + EPT_V'), ['EPT_VIOLATION']);
  });
});

describe('guest #PF', () => {
  it('stops at its delivery, decoded, and nothing exits for it', () => {
    const s = open(example('page-fault'));
    s.breakpoints.setFilters([{ filter: 'guest-pf', condition: 'write && !present && address == 0x200000' }]);
    s.run.continue_();
    assert.equal(next(s), 'guest-pf touch');
    assert.match(
      s.run.stopped?.why ?? '',
      /^The PTE .*: not present, for a supervisor write of 0x200000\. .*, error code 0x2 \(W\)/,
    );
    // the delivery itself reads the GDT and pushes on the stack, pages that EPT has not mapped yet
    s.run.stepOver('instruction');
    assert.equal(next(s), 'step page_fault');
    assert.equal(value(s, 'cr2'), '0x200000 = 2097152');
    s.run.continue_();
    assert.equal(next(s), 'ended halt 0');
  });
});

describe('observers', () => {
  /** The run with every kind of observer on must be the run without. */
  for (const name of ['page-fault', 'memslots', 'worked-example', 'large-page']) {
    it(`change nothing: ${name}`, () => {
      const plain = open(example(name));
      plain.run.continue_();
      wait(plain);

      const watched = open(example(name));
      watched.breakpoints.setFilters([{ filter: 'vm-exit' }, { filter: 'ept-violation' }, { filter: 'guest-pf' }]);
      watched.breakpoints.setInstruction(
        watched.symbols.codeLines('guest.asm', 1, 200).flatMap((line) => {
          const address = watched.symbols.addressOfPlace(`guest.asm:${line}`, 'guest.asm');
          return address === undefined ? [] : [{ address }];
        }),
      );
      let stops = 0;
      for (;;) {
        watched.run.continue_();
        const r = wait(watched);
        if (r.kind === 'ended') break;
        stops++;
        for (const root of ['registers', 'guest', 'ept', 'host', 'vmcs', 'memslots', 'tlb', 'stats', 'exits'])
          watched.views.page(root);
        for (const space of ['gva', 'gpa', 'hva', 'hpa'] as const) watched.translate({ address: 0x20_0000n, space });
        watched.console.evaluate('info mem');
        watched.memory.read({ space: 'gva', value: 0x30_0000n }, 4096);
        watched.stack.frames();
      }
      assert.ok(stops > 10);
      assert.deepEqual(fingerprint(watched), fingerprint(plain));
    });

    it(`stepping is running: ${name}`, () => {
      const plain = open(example(name));
      plain.run.continue_();
      wait(plain);
      for (const step of [
        (s: ReturnType<typeof open>) => s.run.stepIn('instruction'),
        (s: ReturnType<typeof open>) => s.run.stepOver('line'),
      ]) {
        const stepped = open(example(name));
        for (let r = wait(stepped); r.kind !== 'ended'; r = wait(stepped)) step(stepped);
        assert.deepEqual(fingerprint(stepped), fingerprint(plain));
      }
    });
  }
});
