import * as assert from 'node:assert/strict';
import { example } from '../../cli/support';
import { formatReference, parseReference } from '../../../src/session/guest/memory';
import type { Session } from '../../../src/session/session';
import { next, open, rows, value, wait } from '../scene';

const DATA = `bits 64
COUNT   equ 5
start:  mov     rax, 0xfffffffffffffffe
        mov     rbx, table
        mov     rcx, [rbx]
stop:   hlt
align 32
table:  dq      0x1122334455667788, 2
text:   db      "hi", 0
`;

function at(source: string, label: string, options: Readonly<Record<string, string>> = {}): Session {
  const s = open(source, options);
  s.breakpoints.setFunctions([{ name: label }]);
  s.run.continue_();
  assert.equal(next(s), `function-breakpoint ${label}`);
  return s;
}

describe('evaluate', () => {
  const s = at(DATA, 'stop');
  const cases: readonly (readonly [string, string])[] = [
    ['rax', '0xfffffffffffffffe = 18446744073709551614 = -2'],
    ['al', '0xfe = 254'],
    ['ZF', '0'],
    ['COUNT', '0x5'],
    ['COUNT * 2 + 1', '0xb = 11'],
    ['table', '0x100020'],
    ['[table]', '0x1122334455667788 = 1234605616436508552'],
    ['dword [rbx + 4]', '0x11223344 = 287454020'],
    ['byte [table+8]', '0x2'],
    ['word [gpa:0x100020]', '0x7788 = 30600'],
    ['rcx == [rbx]', 'true'],
    ['EPT_VIOLATION', '0x30 = 48'],
    ['raxx', 'PW320 `raxx` is no register, flag, label or constant here; did you mean `rax`?'],
    ['1 / 0', 'PW152 division by zero'],
    ['rax +', 'PW150 a value is missing at the end'],
    ['gva2gpa table', 'gpa: 0x100020'],
    ['gpa2hva 0x100020', 'hva: 0x7f5a00100020'],
    ['gpa2hva 0x7fff0000', 'no memslot: a hole'],
    ['gva2gpa 0x8000000000', 'unmapped: the guest has no translation'],
    ['hva2gpa 0x7f5a00100020', '0x100020'],
    ['x/2xg table', '0x0000000000100020: 0x1122334455667788 0x0000000000000002'],
    ['x/3c text', '0x0000000000100030: h i \\x00'],
    ['xp/4xb 0x100020', '0x100020: 0x88 0x77 0x66 0x55'],
    ['x/1i start', '0x100000: mov rax, 0xfffffffffffffffe'],
    ['x/9z rsp', 'PW321 `/9z` is no format; write a count, x d u o c s or i, and b h w or g, as in x/4xg'],
    ['x 0x8000000000', 'PW323 cannot access memory at 0x8000000000'],
    ['info mem', '0x0-0x4000000   64 MiB -rwx'],
    ['info memslots', '0x0000000000000000-0x0000000003ffffff slot 0 (ram) HVA 0x7f5a00000000'],
    ['info rgisters', 'PW324 there is no `info rgisters`; did you mean `registers`?'],
    ['info', 'PW321 `info` needs what: registers, mem, tlb, mtree, memslots, pagemap, kvm, stats'],
  ];
  for (const [text, expected] of cases) {
    it(text, () => assert.equal(value(s, text), expected));
  }
  it('info registers lists them all', () => {
    const text = value(s, 'info registers');
    assert.match(text, /^RAX =fffffffffffffffe RCX =1122334455667788/);
    assert.match(text, /CR0=0x80000031 \[PE ET NE PG\].*CR4=0x20 \[PAE\]/);
  });
  it('nothing that is typed breaks it', () => {
    for (const text of [
      '',
      ' ',
      '[',
      '[[[',
      'x',
      'x/',
      'x/x',
      'info info',
      'gva2gpa',
      'gva2gpa [',
      '('.repeat(500),
      'a'.repeat(20_000),
      '\u0000',
      '"',
      'gpa:',
      '-'.repeat(300) + '1',
    ]) {
      const v = s.console.evaluate(text);
      if (!v.ok) for (const d of v.error) assert.match(d.code, /^PW\d{3}$/);
    }
  });
});

describe('assign', () => {
  it('registers, parts of them, flags and memory', () => {
    const s = at(DATA, 'stop');
    const set = (target: string, text: string): string => {
      const v = s.console.assign(target, text);
      return v.ok ? v.value.text : v.error.map((d) => d.message).join();
    };
    assert.equal(set('rax', 'rbx + 1'), '0x100021 = 1048609');
    assert.equal(set('ah', '0xff'), '0xff = 255');
    assert.equal(value(s, 'rax'), '0x10ff21 = 1113889');
    assert.equal(set('eax', '1'), '0x1');
    assert.equal(value(s, 'rax'), '0x1');
    assert.equal(set('CF', '1'), '1');
    assert.equal(set('word [table]', '0xabcd'), '0xabcd = 43981 = -21555');
    assert.equal(value(s, '[table]'), '0x112233445566abcd = 1234605616436521933');
    assert.match(set('pkru', '0'), /cannot be set from here/);
    assert.match(set('table', '0'), /no register, flag or memory operand/);
    assert.match(set('byte [0x8000000000]', '0'), /nothing can be written/);
  });
  it('sets CR3: the next access goes by the new tables, under every method', () => {
    // a second set of tables, which maps 0x300000 to 0x301000
    const source = `
      ; @guest start=flat64 memory=16M
      bits 64
      %macro copy 2 ; from the table that the entry leads to
        mov rsi, %1
        and rsi, -4096
        mov edi, %2
        mov ecx, 512
        rep movsq
      %endmacro
      start:
        mov rax, cr3
        copy rax, 0x200000
        copy [0x200000], 0x201000
        copy [0x201000], 0x202000
        copy [0x202008], 0x203000
        mov qword [0x200000], 0x201003
        mov qword [0x201000], 0x202003
        mov qword [0x202008], 0x203003
        mov qword [0x203000 + 0x100 * 8], 0x301003
        mov qword [0x300000], 5
        mov qword [0x301000], 6
        mov rbx, [0x300000]
      here: mov rbx, [0x300000]
        mov rdx, cr3
      there: hlt`;
    for (const options of [
      { mmu: 'ept' },
      { mmu: 'npt' },
      { mmu: 'shadow', shadow: 'classic' },
      { mmu: 'shadow', shadow: 'modern' },
      { mmu: 'software' },
    ]) {
      const name = JSON.stringify(options);
      const s = at(source, 'here', options);
      assert.equal(value(s, 'rbx'), '0x5', name);
      assert.ok(s.console.assign('cr3', '0x200000').ok, name);
      assert.match(value(s, 'cr3'), /^0x200000/, name);
      s.breakpoints.setFunctions([{ name: 'there' }]);
      s.run.continue_();
      wait(s);
      assert.deepEqual([value(s, 'rbx'), value(s, 'rdx')], ['0x6', '0x200000 = 2097152'], name);
    }
  });
  it('moves the guest on by RIP, in the middle of an exit too', () => {
    const s = at(`bits 64\nstart: mov eax, 1\ncpuid\nout 0xf4, al\nother: mov al, 9\nout 0xf4, al`, 'start');
    s.breakpoints.setFunctions([{ name: 'exit:CPUID' }]);
    s.run.continue_();
    wait(s);
    assert.ok(s.console.assign('rip', 'other - 2').ok);
    assert.ok(s.console.assign('rbx', '7').ok);
    s.run.continue_();
    assert.equal(next(s), 'ended exit-port 19');
  });
  it('rows of views', () => {
    const s = at(DATA, 'stop');
    assert.deepEqual(s.console.setValue('registers/rax', '0x10'), { ok: true, value: '0x10' });
    assert.deepEqual(s.console.setValue('flags/ZF', '1'), { ok: true, value: '1' });
    assert.equal(s.console.setValue('vmcs/exit/VM_EXIT_REASON', '1').ok, false);
    assert.equal(s.console.setValue('nothing/here', '1').ok, false);
  });
  it('a guest table entry, which the TLB does not see', () => {
    const s = at(example('first-touch'), 'second');
    assert.ok(s.console.setValue('guest/0/0/0/384', '0').ok);
    const { chain } = s.translate({ address: 0x18_0000n, space: 'gva' });
    assert.equal(chain.ok, false);
    assert.deepEqual('tlb' in chain && chain.tlb.stale?.missing, 'INVLPG, INVPCID or a load of CR3');
    s.run.continue_();
    // `second` reads through the stale entry; `third` writes, which needs the D bit, so that the walk finds the entry gone
    assert.equal(next(s), 'triple-fault third');
  });
});

describe('views', () => {
  it('open from the root to a page, and answer for what is gone', () => {
    const s = at(example('worked-example'), 'again');
    assert.deepEqual(rows(s, 'guest'), [
      '[0] PML4E = 0x1fefe023 P RW A → 0x1fefe000',
      '[255] PML4E = 0x201027 P RW US A → 0x201000',
    ]);
    assert.deepEqual(rows(s, 'guest/255/40/473'), ['[160] PTE = 0x12345027 P RW US A → 0x12345000']);
    assert.match(
      rows(s, 'ept/0/0/145')[0] ?? '',
      /^\[325\] EPT PTE = 0x60000001a2b3b77 R W X IPAT A D WB → 0x1a2b3000$/,
    );
    assert.deepEqual(rows(s, 'memslots'), ['slot 0 = 0x0–0x1fffffff, 512 MiB → HVA 0x7f5a00000000']);
    assert.equal(s.views.page('guest/256').ok, false);
    assert.equal(s.views.page('guest/255/40/473/160').ok, false);
    assert.equal(s.views.page('gest').ok, false);
  });
  it('say in a narrow place first what tells rows apart: flags, and where they lead', () => {
    const briefs = (s: Session, path: string): readonly string[] => {
      const found = s.views.page(path, 0, 100);
      assert.ok(found.ok);
      return found.value.nodes.map(({ name, brief }) => `${name} ${brief}`);
    };
    const s = at(example('worked-example'), 'again');
    assert.deepEqual(briefs(s, 'guest/255/40/473'), ['[160] PTE RW US A → 0x12345000']);
    assert.equal(briefs(s, 'ept/0/0/145')[0], '[325] EPT PTE RWX IPAT A D WB → 0x1a2b3000');
    const slots = 'bits 64\n; @guest start=flat64 slot=0x0+16M slot=0x100000000+64K,ro\nstop: hlt\n';
    const two = at(slots, 'stop');
    assert.match(
      briefs(two, 'memslots').join('\n'),
      /^slot 0 0x0 → HVA 0x7f5a00000000 · 16 MiB\n[^]*^slot 1 RO 0x100000000 → HVA 0x[0-9a-f]+ · 64 KiB$/m,
    );
    value(two, 'memslot log 0 on');
    assert.match(briefs(two, 'memslots')[0] ?? '', /^slot 0 LOG 0x0 → HVA/);
  });
  it('are paged', () => {
    const s = at(DATA, 'stop');
    const page = s.views.page('guest/0/0/0', 510, 10);
    assert.ok(page.ok);
    assert.equal(page.value.total, 512);
    assert.deepEqual(
      page.value.nodes.map((n) => n.name),
      ['[510] PTE', '[511] PTE'],
    );
  });
  it('the VMCS by area, decoded', () => {
    const s = at(example('hello'), 'start');
    s.breakpoints.setFunctions([{ name: 'exit:IO_INSTRUCTION' }]);
    s.run.continue_();
    wait(s);
    assert.deepEqual(
      rows(s, 'vmcs').map((r) => r.split(' = ')[0]),
      ['Guest State', 'Host State', 'Controls', 'Exit Information', 'VM-Entry Checks'],
    );
    const exit = rows(s, 'vmcs/exit');
    assert.ok(
      exit.some((r) => r.startsWith('VM_EXIT_REASON = 0x1e Basic exit reason=IO_INSTRUCTION')),
      exit.join('\n'),
    );
    assert.ok(
      rows(s, 'vmcs/exit/EXIT_QUALIFICATION').some((r) => /^Port = 0x3fd/.test(r)),
      rows(s, 'vmcs/exit/EXIT_QUALIFICATION').join('\n'),
    );
  });
  it('a field is set as VMWRITE would, and the checks that it breaks are named', () => {
    const s = at(example('hello'), 'start');
    s.breakpoints.setFunctions([{ name: 'exit:IO_INSTRUCTION' }]);
    s.run.continue_();
    wait(s);
    assert.match(JSON.stringify(s.console.setValue('vmcs/exit/VM_EXIT_REASON', '1')), /cannot be set/);
    assert.match(
      JSON.stringify(s.console.setValue('vmcs/guest/GUEST_CS_SELECTOR', '0x10000')),
      /GUEST_CS_SELECTOR has 16 bits, 0x10000 is wider/,
    );
    assert.ok(rows(s, 'vmcs').includes('VM-Entry Checks = all met'));
    // bit 1 of RFLAGS is always 1 (26.3.1.4)
    assert.deepEqual(s.console.setValue('vmcs/guest/GUEST_RFLAGS', '0'), { ok: true, value: '0x0' });
    assert.ok(rows(s, 'vmcs').includes('VM-Entry Checks = 1 not met: the next VM entry fails'));
    assert.match(rows(s, 'vmcs/checks').join('\n'), /^GUEST_RFLAGS = /);
    s.breakpoints.setFunctions([]);
    s.run.continue_();
    assert.match(next(s), /^entry-failure/);
  });
  it('a VMCB field is set as a store would, and the checks that it breaks are named', () => {
    const s = open(example('hello'), { mmu: 'npt' });
    s.breakpoints.setFunctions([{ name: 'start' }]);
    s.run.continue_();
    wait(s);
    const refused = (field: string): void =>
      assert.match(JSON.stringify(s.console.setValue(`vmcb/${field}`, '2')), /cannot be set/, field);
    s.breakpoints.setFunctions([{ name: 'exit:IOIO' }]);
    s.run.continue_();
    assert.equal(next(s), 'function-breakpoint VM exit IOIO');
    for (const field of ['control/EXITCODE', 'control/NRIP', 'save/RIP', 'save/RAX']) refused(field);
    assert.match(
      JSON.stringify(s.console.setValue('vmcb/save/CS_SELECTOR', '0x10000')),
      /CS_SELECTOR has 16 bits, 0x10000 is wider/,
    );
    assert.ok(rows(s, 'vmcb').includes('VMRUN Checks = all met'));
    // ASID 0 is the host's (15.5.1)
    assert.ok(s.console.setValue('vmcb/control/GUEST_ASID', '0').ok);
    assert.ok(rows(s, 'vmcb').includes('VMRUN Checks = 1 not met'));
    assert.match(rows(s, 'vmcb/checks').join('\n'), /^GUEST_ASID = /);
    s.breakpoints.setFunctions([]);
    s.run.continue_();
    assert.match(next(s), /^entry-failure/);
  });
  it('holes are shown as holes', () => {
    const s = open(example('memslots'));
    assert.deepEqual(
      rows(s, 'memslots').map((r) => r.split(' = ')[0]),
      ['slot 0', 'hole', 'slot 1'],
    );
  });
});

describe('memory', () => {
  it('reads in every space, and stops where nothing is', () => {
    const s = at(DATA, 'stop');
    const chain = s.translate({ address: 0x10_0020n, space: 'gva' }).chain;
    for (const [space, address] of [
      ['gva', 0x10_0020n],
      ['gpa', 0x10_0020n],
      ['hva', chain.hva],
      ['hpa', chain.hpa],
    ] as const) {
      assert.equal(Buffer.from(s.memory.read({ space, value: address ?? 0n }, 2).bytes).toString('hex'), '8877', space);
    }
    const end = s.memory.read({ space: 'gpa', value: 0x3ff_f000n }, 8192);
    assert.deepEqual([end.bytes.length, end.unreadable], [4096, 4096]);
    assert.equal(s.memory.read({ space: 'gva', value: 0xffff_ffff_ffff_fff0n }, 32).bytes.length, 0);
  });
  it('references name their space', () => {
    assert.deepEqual(parseReference('gpa:0x5000'), { space: 'gpa', value: 0x5000n });
    assert.deepEqual(parseReference('0x7c00'), { space: 'gva', value: 0x7c00n });
    assert.equal(parseReference('gpa:'), undefined);
    assert.equal(formatReference({ space: 'hpa', value: 1n }), 'hpa:0x1');
  });
  it('disassembles forwards and backwards, always as many lines as asked for', () => {
    const s = at(DATA, 'stop');
    assert.deepEqual(
      s.disassembly.around(s.guest.linearRip, -2, 4).map((l) => `${l.symbol ?? ''} ${l.text}`.trim()),
      ['mov rbx, 0x100020', 'mov rcx, [rbx]', 'stop hlt', 'nop'],
    );
    assert.equal(s.disassembly.around(0x8000_0000_00n, -3, 8).length, 8);
  });
});

describe('hover', () => {
  const s = at(DATA, 'stop');
  const hover = (line: string, part: string): string => {
    const { operands = [] } = s.console.hover(line, line.indexOf(part) + 1) ?? {};
    const texts = operands.map(({ expression, evaluation, translation }) => {
      const chain = translation?.kind === 'forward' ? translation.chain : undefined;
      return `${expression}: ${evaluation.text}${chain?.gpa === undefined ? '' : ` gpa 0x${chain.gpa.toString(16)}`}`;
    });
    return texts.join(' | ') || 'nothing';
  };
  it('takes the operand under the cursor as one', () => {
    assert.equal(hover('        mov     rcx, [rbx + 8] ; rax', 'bx'), '[rbx + 8]: 0x2 gpa 0x100028');
    assert.equal(hover('        mov     rcx, [rbx + 8] ; rax', 'rcx'), 'rcx: 0x1122334455667788 = 1234605616436508552');
    assert.equal(hover('        mov     rbx, table', 'table'), 'table: 0x100020 gpa 0x100020');
    assert.equal(hover('        mov     rcx, [rbx + 8] ; rax', 'rax'), 'nothing');
    assert.equal(hover('        mov     ecx, COUNT', 'COUNT'), 'COUNT: 0x5');
  });
  it('on a mnemonic tells the operands, each with its chain, and no numbers', () => {
    const operands = 'rcx: 0x1122334455667788 = 1234605616436508552 | [rbx + 8]: 0x2 gpa 0x100028';
    assert.equal(hover('        mov     rcx, [rbx + 8] ; rax', 'mov'), operands);
    assert.equal(hover('again:  rep mov rcx, [rbx + 8]', 'mov'), operands);
    assert.equal(
      hover('        mov     rbx, table', 'mov'),
      'rbx: 0x100020 = 1048608 gpa 0x100020 | table: 0x100020 gpa 0x100020',
    );
    assert.equal(hover('        mov     ecx, 5', 'mov'), 'ecx: 0x55667788 = 1432778632');
    for (const line of ['        hlt', '        db      1, 2', '; mov rax'])
      assert.equal(hover(line, line.trim().slice(0, 2)), 'nothing');
  });
  it('takes bytes, words, flags and selectors for no addresses, and CR3 for a guest physical one', () => {
    for (const name of ['bl', 'bx', 'cs', 'rflags', 'cr0']) {
      const [operand] = s.console.hover(`mov rax, ${name}`, 10)?.operands ?? [];
      assert.equal(operand?.evaluation.kind, 'register', name);
      assert.deepEqual([operand?.evaluation.address, operand?.translation], [undefined, undefined], name);
    }
    const [cr3] = s.console.hover('mov rax, cr3', 10)?.operands ?? [];
    assert.equal(cr3?.evaluation.address?.space, 'gpa');
    assert.equal(cr3?.evaluation.address?.value, (cr3?.evaluation.value ?? 0n) & ~0xfffn);
    assert.equal(s.console.hover('mov rax, ebx', 10)?.operands[0]?.evaluation.address?.space, 'gva');
  });
  it('of memory that is not there still has an address and a chain that says why', () => {
    const h = s.console.hover('mov al, [rax + 2]', 10)?.operands[0];
    assert.equal(h?.evaluation.text, '0x0');
    const bad = s.console.hover('mov al, [rcx]', 10)?.operands[0];
    assert.equal(bad?.evaluation.text, 'cannot be read');
    assert.ok(bad?.translation?.kind === 'forward' && bad.translation.chain.failure?.event === '#GP');
  });
});
