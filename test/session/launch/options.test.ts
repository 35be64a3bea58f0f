import * as assert from 'node:assert/strict';
import { checkOptions, settle } from '../../../src/session/launch/options';
import type { OptionSource } from '../../../src/session/launch/options';
import { givenTo } from '../../../src/session/launch/assembly';
import { OPTION_KEYS, optionSpec } from '../../../src/session/launch/option-table';
import { formatSize, parseNumber, parseSize } from '../../../src/session/launch/option-values';

const messages = (options: Readonly<Record<string, unknown>>, source: OptionSource = 'launch'): readonly string[] =>
  checkOptions(
    Object.entries(options).map(([key, value]) => ({ key, value })),
    source,
    'launch configuration',
  ).diagnostics.map((d) => `${d.code} ${d.message}`);

describe('options', () => {
  it('names the field and the nearest name', () => {
    assert.deepEqual(messages({ memroy: '64M' }), ['PW300 there is no option field `memroy`; did you mean `memory`?']);
    assert.deepEqual(messages({ mmu: 'epd' }), [
      'PW301 field `mmu`: `epd` is not one of ept, npt, shadow, software; did you mean `ept`?',
    ]);
  });
  it('says of each unbuilt value that it is not supported yet, and what to use', () => {
    assert.deepEqual(messages({ disk: 'c.img' }), ['PW302 field `disk`: `c.img` is not supported yet; leave it out']);
    assert.deepEqual(messages({ cpus: 2 }), ['PW302 field `cpus`: `2` is not supported yet; leave it out']);
    assert.deepEqual(messages({ cpus: 1 }), []);
  });
  it('takes devices by name, one or a list', () => {
    const of = (device: unknown) =>
      settle(checkOptions([{ key: 'device', value: device }], 'launch', 'x').options).devices;
    assert.deepEqual(
      [of('pc-testdev'), of(['pc-testdev', 'pc-testdev']), settle().devices],
      [['pc-testdev'], ['pc-testdev'], []],
    );
    assert.match(
      messages({ device: 'pc-testdef' })[0] ?? '',
      /^PW301 field `device`: `pc-testdef` is not one of pc-testdev/,
    );
  });
  it('reports everything wrong at once', () => {
    assert.equal(messages({ memory: 'lots', start: 'flat65', 'ept-ad': 'maybe', 'max-instructions': 0 }).length, 4);
  });
  it('lets a guest file name no output', () => {
    assert.match(messages({ serial: 'x.txt' }, 'guest')[0] ?? '', /^PW303 `serial` names an output/);
    assert.deepEqual(messages({ serial: 'x.txt' }, 'command-line'), []);
  });
  it('takes JSON values for texts', () => {
    const { options, diagnostics } = checkOptions(
      [
        { key: 'vpid', value: false },
        { key: 'max-instructions', value: 100 },
        { key: 'slot', value: ['0x0+1M', '0x200000+4K,ro'] },
      ],
      'launch',
      'x',
    );
    assert.deepEqual(diagnostics, []);
    const settings = settle(options);
    assert.equal(settings.vpid, false);
    assert.equal(settings.maxInstructions, 100);
    assert.deepEqual(settings.slots, [
      { gpa: 0n, size: 1n << 20n, readOnly: false },
      { gpa: 0x20_0000n, size: 4096n, readOnly: true },
    ]);
    assert.match(messages({ memory: { size: 1 } })[0] ?? '', /^PW301 field `memory`: expected a string here/);
  });
  it('is settled option by option, later sets first', () => {
    const of = (options: Readonly<Record<string, string>>) =>
      checkOptions(
        Object.entries(options).map(([key, value]) => ({ key, value })),
        'guest',
        'x',
      ).options;
    const settings = settle(of({ memory: '128M', slot: '0+1M' }), of({ memory: '256M' }));
    assert.equal(settings.memory, 256n << 20n);
    assert.equal(settings.slots.length, 1);
    assert.equal(settings.hostBase, 0x1_0000_0000n);
  });
  it('adds macros of later sets to those before, and lists what is no macro', () => {
    const of = (define: unknown) => checkOptions([{ key: 'define', value: define }], 'launch', 'x').options;
    assert.deepEqual(givenTo('d/a.asm', of('A=1'), of(['A=2', 'f(x)=x', 'E'])).defines, { A: '2', 'f(x)': 'x', E: '' });
    assert.match(messages({ define: ['1A'] })[0] ?? '', /^PW301 field `define`: `1A` is no NAME or NAME=VALUE/);
  });
  it("counts the guest's own folders from its file, behind those of the launch", () => {
    const of = (include: unknown) => checkOptions([{ key: 'include', value: include }], 'guest', 'x').options;
    assert.deepEqual(givenTo('d/a.asm', of(['../lib', '.']), of('/inc')).includePath, ['/inc', 'lib/', 'd/']);
  });
  it('refuses a TLB that no set index could address', () => {
    for (const tlb of ['63,4', '64,3', '4,64', '64', '0,0', '64,4,2']) assert.equal(messages({ tlb }).length, 1, tlb);
    for (const tlb of ['64,4', '64,64', 'off']) assert.deepEqual(messages({ tlb }), [], tlb);
  });
  it('has defaults that it accepts itself', () => {
    const defaults = OPTION_KEYS.flatMap((key) =>
      optionSpec(key).default === undefined ? [] : ([[key, optionSpec(key).default]] as const),
    );
    assert.deepEqual(messages(Object.fromEntries(defaults)), []);
  });
});

describe('option values', () => {
  it('reads numbers and sizes of at most 64 bits', () => {
    assert.equal(parseNumber('0x7f5a_0000_0000'), 0x7f5a_0000_0000n);
    assert.equal(parseSize('64M'), 64n << 20n);
    assert.equal(parseSize('0x1000'), 4096n);
    for (const bad of ['', 'M', '-1', '0x', '1_', '0x1_0000_0000_0000_0000', '16777216T', '1.5M', '64MB'])
      assert.equal(parseSize(bad), undefined, bad);
  });
  it('writes sizes as it reads them', () => {
    for (const size of [1n, 4096n, 64n << 20n, 3n << 30n, 4097n]) assert.equal(parseSize(formatSize(size)), size);
  });
});
