/** Reads what the guest file's checks say about names, before the guest runs: a misspelt register is an error now, not a check that never holds. */
import type { Diagnostic } from '../../base/diagnostic';
import type { CheckDirective } from './checks';
import type { Clauses } from './conditions';
import { parseClauses, unknownNames } from './conditions';
import { sessionError } from '../diagnostics';
import type { Names } from '../console/names';

export function checkClauses(
  directives: readonly CheckDirective[],
  names: Names,
): { readonly clauses: ReadonlyMap<CheckDirective, Clauses>; readonly problems: readonly Diagnostic[] } {
  const clauses = new Map<CheckDirective, Clauses>();
  const problems: Diagnostic[] = [];
  for (const d of directives) {
    switch (d.kind) {
      case 'assert':
        problems.push(...unknownNames([d.expr], names, []));
        break;
      case 'log': {
        const values = d.message.parts.flatMap((p) => (p.kind === 'value' ? [p.expr] : []));
        problems.push(...unknownNames(values, names, []));
        break;
      }
      case 'break': {
        if (d.at !== 'line') break;
        const read = parseClauses({ condition: d.condition }, names, []);
        if (read.ok) clauses.set(d, read.value);
        else
          for (const { message } of read.error)
            problems.push(sessionError('badExpression', `\`@break ${d.text}\`: ${message}`, d.span.file, d.span));
      }
    }
  }
  return { clauses, problems };
}
