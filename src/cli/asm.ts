import { assemble, formatListing, leadingDirectives, optimizationOf } from '../asm/index';
import type { Assembled } from '../asm/index';
import { isGnuFile } from '../asm/gas-source';
import { hex } from '../base/hex';
import { givenTo } from '../session/launch/assembly';
import { readDirectives } from '../session/launch/guest-directives';
import { checkOptions } from '../session/launch/options';
import { sourceTooLong } from '../session/launch/program';
import type { ParsedArguments } from './arguments';
import { COMMAND_LINE, cliError, formatAll } from './diagnostics';
import type { CliHost } from './host';
import { EXIT } from './host';
import { writeOutputs } from './outputs';

/** `pagewalk asm FILE [-o OUT] [--listing FILE] [-D NAME=VALUE] [-I DIR] [--json]`: assembles as `nasm -f bin` does. */
export function asmCommand(args: ParsedArguments, host: CliHost): number {
  const path = args.operand;
  const checked = checkOptions(args.guest, 'command-line', COMMAND_LINE);
  if (checked.diagnostics.length > 0) {
    host.stderr(formatAll(checked.diagnostics));
    return EXIT.badInput;
  }
  const file = host.readFile(path);
  if (!file.ok) {
    host.stderr(formatAll([cliError('unreadable', `cannot be read: ${file.why}`, path)]));
    return EXIT.badInput;
  }
  const tooLong = sourceTooLong(path, file.bytes);
  if (tooLong) {
    host.stderr(formatAll([tooLong]));
    return EXIT.badInput;
  }
  const source = new TextDecoder().decode(file.bytes);
  if (isGnuFile(source, path)) {
    const message =
      'the source is in the syntax of GNU as; `asm` assembles NASM syntax. `pagewalk run` assembles it with an installed as';
    host.stderr(formatAll([cliError('badValue', message, path)]));
    return EXIT.badInput;
  }
  const result = assemble(source, {
    fileName: path,
    optimize: optimizationOf(args.own.get('optimize') ?? 'x'),
    ...givenTo(path, readDirectives(leadingDirectives(source, path), path).options, checked.options, ['']),
    readFile: (name, from) => {
      const included = host.readFile(host.resolve(name, from));
      return included.ok ? included.bytes : undefined;
    },
  });
  host.stderr(formatAll(result.diagnostics));
  if (!result.ok) return EXIT.badInput;

  const json = args.own.has('json');
  const output = args.own.get('output') ?? (json ? undefined : withExtension(path));
  const listing = args.own.get('listing');
  const contents = new Map<string, Uint8Array | string>();
  if (output !== undefined) contents.set('output', result.image);
  if (listing !== undefined) contents.set('listing', formatListing(result, source, path));
  const failed = writeOutputs({ output, listing }, contents, host);
  if (failed) {
    host.stderr(formatAll([failed]));
    return EXIT.badInput;
  }
  if (json) host.stdout(JSON.stringify(report(path, result), undefined, 2) + '\n');
  return EXIT.ok;
}

/** The path with its extension replaced by `.bin`, or with `.bin` appended if that is its name already. */
function withExtension(path: string): string {
  const stem = path.replace(/\.[^./\\]+$/, '');
  return stem === path || path.endsWith('.bin') ? `${path}.bin` : `${stem}.bin`;
}

function report(path: string, a: Assembled): unknown {
  return {
    file: path,
    origin: hex(a.origin),
    size: a.image.length,
    bss: a.bss,
    symbols: Object.fromEntries(a.symbols.map((s) => [s.name, hex(s.value)])),
    lines: a.lines.map((l) => ({
      file: l.file,
      line: l.line,
      address: hex(l.address),
      length: l.length,
      bits: l.bits,
      kind: l.kind,
    })),
  };
}
