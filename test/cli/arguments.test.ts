import * as assert from 'node:assert/strict';
import { parseArguments } from '../../src/cli/arguments';
import { COMMANDS, findCommand } from '../../src/cli/commands';
import { commandHelp, generalHelp } from '../../src/cli/help';
import { OPTION_KEYS, optionSpec } from '../../src/session/launch/option-table';

/** `operand | guest options | own options`, or the errors. */
function check(line: string, expected: string): void {
  const [name = '', ...args] = line.split(' ');
  const command = findCommand(name);
  assert.ok(command);
  const parsed = parseArguments(command, args);
  const shown = parsed.ok
    ? [
        parsed.value.operand,
        parsed.value.guest.map((o) => `${o.key}=${String(o.value)}`).join(' '),
        [...parsed.value.own].map(([k, v]) => `${k}=${v}`).join(' '),
      ].join(' | ')
    : parsed.error.map((d) => `${d.code} ${d.message}`).join('\n');
  assert.equal(shown, expected);
}

describe('arguments of the command line', () => {
  it('reads options in both forms, before and after the operand', () => {
    check('run x.asm --memory 64M --json', 'x.asm | memory=64M | json=');
    check('run --memory=64M x.asm', 'x.asm | memory=64M | ');
    check('run x.asm --slot 0+1M --slot 0x200000+1M,ro', 'x.asm | slot=0+1M slot=0x200000+1M,ro | ');
    check('asm x.asm -o y.bin --listing z.lst', 'x.asm |  | output=y.bin listing=z.lst');
    check('run -- --odd', '--odd |  | ');
    check('dap --port 0', ' |  | port=0');
  });
  it('reads macros and folders as nasm does', () => {
    check('asm x.asm -D A -DB=2 -I lib -Imore', 'x.asm | define=A define=B=2 include=lib include=more | ');
    check('run x.asm --define A=1 --include=lib', 'x.asm | define=A=1 include=lib | ');
  });
  it('reports what is wrong, all of it', () => {
    check('run', 'PW601 `pagewalk run` needs GUEST: the path of a file');
    check('run a b', 'PW602 `b` is one operand too many; `run` takes one GUEST');
    check('dap a', 'PW602 `a` is one operand too many; `dap` takes no operand');
    check('run a --memroy', 'PW603 `run` has no option `--memroy`; did you mean `memory`?');
    check('run a --memory', 'PW604 `--memory` needs a value: SIZE');
    check('run a --memory --json', 'PW604 `--memory` needs a value: SIZE');
    check('run a --json=1', 'PW605 `--json` takes no value');
    check('translate a --space gvb', 'PW605 `--space`: `gvb` is not one of gva, gpa, hva, hpa; did you mean `gva`?');
    check('translate a --at x --at y', 'PW610 `--at` is given twice; keep one');
    check('translate a --serial x', 'PW603 `translate` has no option `--serial`; see `pagewalk translate --help`');
  });
});

describe('help', () => {
  it('lists every command and every option of the table', () => {
    for (const { name } of COMMANDS) assert.ok(generalHelp().includes(`  ${name} `), name);
    const run = findCommand('run');
    assert.ok(run);
    for (const key of OPTION_KEYS) assert.ok(commandHelp(run).includes(`--${key} `), key);
    const translate = findCommand('translate');
    assert.ok(translate);
    for (const key of OPTION_KEYS)
      assert.equal(commandHelp(translate).includes(`--${key} `), !optionSpec(key).output, key);
  });
  it('keeps its lines short', () => {
    for (const text of [generalHelp(), ...COMMANDS.map(commandHelp)]) {
      for (const line of text.split('\n')) assert.ok(line.length <= 130, line);
    }
  });
});
