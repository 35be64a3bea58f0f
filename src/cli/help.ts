import { optionSpec } from '../session/launch/option-table';
import type { CommandSpec } from './commands';
import { COMMANDS } from './commands';

const WIDTH = 100;
const COLUMN = 30;

/** `  --name VALUE          what it does, wrapped`. */
function row(left: string, text: string): string {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line !== '' && line.length + 1 + word.length > WIDTH - COLUMN) {
      lines.push(line);
      line = word;
    } else line = line === '' ? word : `${line} ${word}`;
  }
  lines.push(line);
  const head = `  ${left}`;
  const first = head.length >= COLUMN ? `${head}\n${' '.repeat(COLUMN)}` : head.padEnd(COLUMN);
  return first + lines.join(`\n${' '.repeat(COLUMN)}`) + '\n';
}

const withOperand = ({ name, operand }: CommandSpec): string => (operand === undefined ? name : `${name} ${operand}`);

export function generalHelp(): string {
  return [
    'pagewalk: run x86 guests under a modelled hypervisor and see every address translation\n\n',
    'Usage: pagewalk COMMAND [FILE] [OPTIONS]\n\n',
    ...COMMANDS.map((c) => row(withOperand(c), c.summary)),
    '\nA guest is an assembly file (NASM syntax), an ELF file or a flat image. It may state its own options in a comment before\n',
    'its first instruction, `; @guest start=flat64 memory=128M`; options given here override them.\n\n',
    '`pagewalk COMMAND --help` lists the options of a command.\n',
  ].join('');
}

export function commandHelp(command: CommandSpec): string {
  const own = Object.entries(command.options).map(([name, o]) => {
    const short = o.short === undefined ? '' : `${o.short}, `;
    return row(`${short}--${name}${o.argument === undefined ? '' : ` ${o.argument}`}`, o.doc);
  });
  const guest = command.guestOptions.map((key) => {
    const spec = optionSpec(key);
    const values = Object.entries(spec.values ?? {}).filter(([, d]) => d !== '');
    const notBuilt = (v: string): string => (spec.notBuilt?.includes(v) ? ' (not built yet)' : '');
    const detail = values.map(([v, d]) => ` ${v}: ${d}${notBuilt(v)}.`).join('');
    const whole = spec.notBuilt?.includes('*') ? ' Not supported yet.' : '';
    const initial = spec.default === undefined ? '' : ` Default ${spec.default}.`;
    const argument = spec.type === 'choice' ? 'NAME' : spec.argument;
    const short = spec.short === undefined ? '' : `${spec.short}, `;
    return row(`${short}--${key} ${argument}`, spec.doc.replaceAll('`', '') + detail + initial + whole);
  });
  return [
    `${command.summary}\n\nUsage: pagewalk ${withOperand(command)} [OPTIONS]\n`,
    own.length > 0 ? '\nOptions:\n' + own.join('') : '',
    guest.length > 0 ? '\nThe guest:\n' + guest.join('') : '',
    command.notes.length > 0 ? `\n${command.notes.join('\n')}\n` : '',
  ].join('');
}
