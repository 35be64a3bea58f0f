/** The methods that a comparison can run a guest under, by the names that the command line and the Compare view use. */
import type { Diagnostic } from '../../base/diagnostic';
import type { Result } from '../../base/result';
import { err, ok } from '../../base/result';
import type { MmuKind } from '../../vmm/options';
import { sessionError } from '../diagnostics';
import { didYouMean } from '../../base/nearest';
import { optionSpec, type OptionKey } from '../launch/option-table';
import { SHADOW_HOST_BASE, cpuFor, type Settings } from '../launch/options';
import type { Program } from '../launch/program';

export interface Method {
  readonly name: string;
  /** For a heading. */
  readonly title: string;
  readonly mmu: MmuKind;
  readonly shadow?: Settings['shadow'];
  /** Without any TLB. */
  readonly naive?: true;
}

export const METHODS: readonly Method[] = [
  { name: 'ept', title: 'EPT', mmu: 'ept' },
  { name: 'npt', title: 'NPT', mmu: 'npt' },
  { name: 'shadow:classic', title: 'Shadow, classic', mmu: 'shadow', shadow: 'classic' },
  { name: 'shadow:modern', title: 'Shadow, modern', mmu: 'shadow', shadow: 'modern' },
  { name: 'software', title: 'Software', mmu: 'software' },
  { name: 'software:naive', title: 'Software, no TLB', mmu: 'software', naive: true },
];
/** What a comparison runs where nobody says: every method but the naive one, which is slow. */
export const DEFAULT_METHODS = 'ept,npt,shadow,software';

/** `ept,npt,shadow,software`: `shadow` alone is both generations. What is no method is told, all of it at once. */
export function parseMethods(text: string, file: string): Result<readonly Method[], readonly Diagnostic[]> {
  const found: Method[] = [];
  const problems: Diagnostic[] = [];
  const names = ['shadow', ...METHODS.map((m) => m.name)];
  for (const part of text.split(',').map((t) => t.trim())) {
    const meant = METHODS.filter((m) => m.name === part || (part === 'shadow' && m.mmu === 'shadow'));
    if (meant.length === 0)
      problems.push(
        sessionError(
          'badValue',
          part === ''
            ? 'methods to compare: a name is missing; write them with commas between, as ept,shadow,software'
            : `methods to compare: \`${part}\` is not one of ${names.join(', ')}${didYouMean(part, names)}`,
          file,
        ),
      );
    for (const m of meant) if (!found.includes(m)) found.push(m);
  }
  return problems.length > 0 ? err(problems) : ok(found);
}

/** Why a method cannot be run, where it is not supported yet. */
export function notBuilt(m: Method): string | undefined {
  const missing = (key: OptionKey, value: string | undefined): boolean =>
    value !== undefined && optionSpec(key).notBuilt?.includes(value) === true;
  return missing('mmu', m.mmu) || missing('shadow', m.shadow) ? `${m.name} is not supported yet` : undefined;
}

/** The program as it is run under a method; everything else stays as it was asked for. */
export function withMethod(program: Program, m: Method, maxInstructions: number): Program {
  const { settings } = program;
  // NPT needs a processor with SVM, and the others one with VMX: without a counterpart the machine is refused, with the reason
  const cpu = cpuFor(m.mmu, settings.cpu);
  const below4g = m.mmu === 'shadow' && settings.hostBase >= 1n << 32n;
  return {
    ...program,
    settings: {
      ...settings,
      mmu: m.mmu,
      cpu,
      shadow: m.shadow ?? settings.shadow,
      hostBase: below4g ? SHADOW_HOST_BASE : settings.hostBase,
      tlb: m.naive ? 'off' : settings.tlb === 'off' ? undefined : settings.tlb,
      maxInstructions: settings.maxInstructions ?? maxInstructions,
    },
  };
}
