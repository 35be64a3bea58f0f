import type { Diagnostic } from '../base/diagnostic';
import type { Result } from '../base/result';
import { err, ok } from '../base/result';
import { didYouMean } from '../base/nearest';
import { optionSpec } from '../session/launch/option-table';
import type { WrittenOption } from '../session/launch/options';
import type { CommandSpec } from './commands';
import { cliError } from './diagnostics';

export interface ParsedArguments {
  /** '' for a command that takes none. */
  readonly operand: string;
  /** Options of the guest, unchecked: session/launch/options knows their values. */
  readonly guest: readonly WrittenOption[];
  /** The command's own options, by name; '' for those without a value. */
  readonly own: ReadonlyMap<string, string>;
}

/**
 * Reads a command's arguments: `--name value`, `--name=value`, a short `-o value` or `-Dvalue`, and one operand. `--`
 * ends the options. A path may begin with a dash only after `--`. All mistakes are reported together.
 */
export function parseArguments(
  command: CommandSpec,
  args: readonly string[],
): Result<ParsedArguments, readonly Diagnostic[]> {
  const problems: Diagnostic[] = [];
  const operands: string[] = [];
  const guest: WrittenOption[] = [];
  const own = new Map<string, string>();
  const names = [...Object.keys(command.options), ...command.guestOptions];
  const byShort = new Map(
    [
      ...Object.entries(command.options).map(([name, o]) => [o.short, name] as const),
      ...command.guestOptions.map((key) => [optionSpec(key).short, key] as const),
    ].flatMap(([short, name]) => (short === undefined ? [] : [[short, name] as const])),
  );
  let literal = false;

  for (let i = 0; i < args.length; i++) {
    const arg = args[i] ?? '';
    if (literal || !arg.startsWith('-') || arg === '-') {
      operands.push(arg);
      continue;
    }
    if (arg === '--') {
      literal = true;
      continue;
    }
    const isLong = arg.startsWith('--');
    const equals = isLong ? arg.indexOf('=') : -1;
    // As with nasm, the value may directly follow the letter: -DNAME.
    const attached = !isLong && arg.length > 2 && byShort.has(arg.slice(0, 2)) ? arg.slice(2) : undefined;
    const written = attached !== undefined ? arg.slice(0, 2) : equals < 0 ? arg : arg.slice(0, equals);
    const name = byShort.get(written) ?? (written.startsWith('--') ? written.slice(2) : undefined);
    const spec = name === undefined ? undefined : command.options[name];
    const isGuest = name !== undefined && command.guestOptions.some((key) => key === name);
    if (name === undefined || (spec === undefined && !isGuest)) {
      const hint = didYouMean(written.replace(/^-+/, ''), names);
      problems.push(
        cliError(
          'unknownOption',
          `\`${command.name}\` has no option \`${written}\`${hint || `; see \`pagewalk ${command.name} --help\``}`,
        ),
      );
      // Its value, if it has one, is not an operand.
      if (equals < 0 && args[i + 1] !== undefined && !(args[i + 1] ?? '').startsWith('-') && operands.length > 0) i++;
      continue;
    }
    const wantsValue = isGuest || spec?.argument !== undefined;
    let value = '';
    if (wantsValue) {
      const next = attached ?? (equals < 0 ? args[++i] : arg.slice(equals + 1));
      if (next === undefined || (equals < 0 && next.startsWith('--'))) {
        problems.push(cliError('missingValue', `\`${written}\` needs a value: ${argumentOf(command, name)}`));
        if (next !== undefined) i--;
        continue;
      }
      value = next;
    } else if (equals >= 0) {
      problems.push(cliError('badValue', `\`${written}\` takes no value`));
      continue;
    }
    if (isGuest) guest.push({ key: name, value });
    else if (own.has(name)) problems.push(cliError('duplicateOption', `\`--${name}\` is given twice; keep one`));
    else if (spec?.values && !spec.values.includes(value)) {
      problems.push(
        cliError(
          'badValue',
          `\`--${name}\`: \`${value}\` is not one of ${spec.values.join(', ')}${didYouMean(value, spec.values)}`,
        ),
      );
    } else own.set(name, value);
  }

  const wanted = command.operand;
  if (wanted !== undefined && operands.length === 0)
    problems.push(cliError('missingOperand', `\`pagewalk ${command.name}\` needs ${wanted}: the path of a file`));
  const takes = wanted === undefined ? 'no operand' : `one ${wanted}`;
  for (const extra of operands.slice(wanted === undefined ? 0 : 1))
    problems.push(
      cliError('unexpectedOperand', `\`${extra}\` is one operand too many; \`${command.name}\` takes ${takes}`),
    );
  return problems.length === 0 ? ok({ operand: operands[0] ?? '', guest, own }) : err(problems);
}

function argumentOf(command: CommandSpec, name: string): string {
  const own = command.options[name]?.argument;
  if (own !== undefined) return own;
  const key = command.guestOptions.find((k) => k === name);
  return key === undefined ? 'VALUE' : optionSpec(key).argument;
}
