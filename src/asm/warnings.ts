/**
 * NASM's warning classes (NASM manual, appendix A) as far as a flat binary can have them, and which of them are on. The names and what is
 * on at the start are those of nasm 2.16, so that a `[warning]` line means the same to both.
 */
export type WarningState = 'off' | 'on' | 'error';

const DEFAULTS = {
  'db-empty': 'on',
  'ea-absolute': 'on',
  'ea-dispsize': 'on',
  'float-denorm': 'off',
  'float-overflow': 'on',
  'float-toolong': 'on',
  'float-underflow': 'off',
  'label-orphan': 'on',
  'number-overflow': 'on',
  'obsolete-removed': 'on',
  'obsolete-valid': 'on',
  'pp-else-elif': 'on',
  'pp-else-else': 'on',
  'pp-environment': 'on',
  'pp-macro-def-case-single': 'on',
  'pp-macro-def-param-single': 'error',
  'pp-macro-defaults': 'on',
  'pp-macro-params-multi': 'on',
  'pp-macro-params-single': 'on',
  'pp-macro-redef-multi': 'on',
  'pp-rep-negative': 'on',
  'pp-sel-range': 'on',
  'pp-trailing': 'on',
  'prefix-bnd': 'on',
  'prefix-hle': 'on',
  'prefix-lock': 'on',
  'prefix-seg': 'on',
  ptr: 'on',
  regsize: 'on',
  'unknown-warning': 'off',
  user: 'on',
  'warn-stack-empty': 'on',
  zeroing: 'on',
  other: 'on',
} as const satisfies Readonly<Record<string, WarningState>>;
export type WarningClass = keyof typeof DEFAULTS;

export const WARNING_CLASSES = Object.keys(DEFAULTS) as readonly WarningClass[];

/** nasm's classes that nothing in a flat binary triggers here; naming one is not an error. */
const NEVER_GIVEN: ReadonlySet<string> = new Set([
  ...['forward', 'label-redef', 'label-redef-late', 'obsolete-nop', 'phase', 'pp-empty-braces', 'pp-open-braces'],
  ...['pp-macro-def-greedy-single', 'pp-macro-params-legacy', 'pp-open-brackets', 'pp-open-string', 'pragma-bad'],
  ...['pragma-empty', 'pragma-na', 'pragma-unknown', 'prefix-opsize', 'zext-reloc', 'bad-pragma', 'not-my-pragma'],
]);
/** Older names that nasm 2.16 still takes. */
const OLDER: Readonly<Record<string, string>> = {
  'orphan-labels': 'label-orphan',
  'macro-params': 'pp-macro-params',
  'macro-defaults': 'pp-macro-defaults',
  environment: 'pp-environment',
  bnd: 'prefix-bnd',
  hle: 'prefix-hle',
  lock: 'prefix-lock',
};

/** Every name that may be turned on or off: classes, the groups that their beginnings name, older names, and `all`. */
export const WARNING_NAMES: readonly string[] = [
  'all',
  ...new Set(WARNING_CLASSES.flatMap((name) => name.split('-').map((_, i, words) => words.slice(0, i + 1).join('-')))),
  ...NEVER_GIVEN,
  ...Object.keys(OLDER),
];

type States = Record<WarningClass, WarningState>;

/** Which warnings are enabled at a point of the source. */
export class Warnings {
  private readonly initial: States = { ...DEFAULTS };
  private states: States;
  private readonly stack: States[] = [];

  /** @param given as `nasm -w` takes them: `+class`, `-class`, `error`, `error=class` */
  constructor(given: readonly string[]) {
    this.states = this.initial;
    for (const text of given) this.apply(text);
    this.initial = this.states;
    this.states = { ...this.initial };
  }

  /** Back to what holds at the source's first line. */
  reset(): void {
    this.states = { ...this.initial };
    this.stack.length = 0;
  }

  stateOf(name: WarningClass): WarningState {
    return this.states[name];
  }

  /** `+class`, `-class`, `*class` (as at the start), `push`, `pop`. @returns what is wrong with it, as a class */
  apply(text: string): 'unknown-warning' | 'warn-stack-empty' | undefined {
    const lower = text.toLowerCase();
    if (lower === 'push') {
      this.stack.push({ ...this.states });
      return undefined;
    }
    if (lower === 'pop') {
      const before = this.stack.pop();
      this.states = before ?? { ...this.initial };
      return before ? undefined : 'warn-stack-empty';
    }
    const [, sign = '', error = '', name = ''] = /^([+\-*]?)(no-)?(.*)$/.exec(lower) ?? [];
    return this.set(error === '' ? sign : '-', name);
  }

  private set(sign: string, name: string): 'unknown-warning' | undefined {
    const [, asError, after = ''] = /^(error)(?:=(.*))?$/.exec(name) ?? [];
    const wanted = asError === undefined ? (OLDER[name] ?? name) : after || 'all';
    const classes = WARNING_CLASSES.filter((c) => wanted === 'all' || c === wanted || c.startsWith(`${wanted}-`));
    for (const c of classes) {
      const before = this.states[c];
      const next =
        sign === '*'
          ? this.initial[c]
          : asError !== undefined
            ? sign === '-'
              ? before === 'error'
                ? 'on'
                : before
              : before === 'off' && after === ''
                ? 'off'
                : 'error'
            : sign === '-'
              ? 'off'
              : before === 'error'
                ? 'error'
                : 'on';
      this.states = { ...this.states, [c]: next };
    }
    return classes.length === 0 && !NEVER_GIVEN.has(wanted) ? 'unknown-warning' : undefined;
  }
}
