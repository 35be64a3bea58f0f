/**
 * The JSON types of request arguments according to the protocol (debugAdapterProtocol.json, and src/protocol for
 * ours). They are checked before a handler runs, so a client's mistake is reported by the name of the field.
 */
import { requestError } from './errors';

type Shape =
  | 'string'
  | 'number'
  /** A whole number that a double holds exactly. */
  | 'integer'
  | 'boolean'
  | { readonly list: Shape; readonly most: number }
  | { readonly fields: Fields };
/** A name that ends in `?` may be absent, or null as some clients write it. */
type Fields = Readonly<Record<string, Shape>>;

/** Limit on the breakpoints of one request; each gets its own answer. */
const MOST_BREAKPOINTS = 20_000;
const MOST_FILTERS = 1000;

const list = (shape: Shape, most = MOST_BREAKPOINTS): Shape => ({ list: shape, most });
const CLAUSES: Fields = { 'condition?': 'string', 'hitCondition?': 'string', 'logMessage?': 'string' };
const SOURCE: Shape = { fields: { 'name?': 'string', 'path?': 'string', 'sourceReference?': 'integer' } };
const THREAD: Fields = { 'threadId?': 'integer', 'granularity?': 'string', 'singleThread?': 'boolean' };
const FORMAT: Shape = { fields: { 'hex?': 'boolean' } };

const ARGUMENTS: Readonly<Record<string, Fields>> = {
  initialize: {
    'adapterID?': 'string',
    'clientID?': 'string',
    'clientName?': 'string',
    'linesStartAt1?': 'boolean',
    'columnsStartAt1?': 'boolean',
    'pathFormat?': 'string',
    'supportsInvalidatedEvent?': 'boolean',
    'supportsMemoryEvent?': 'boolean',
    'supportsMemoryReferences?': 'boolean',
  },
  restart: { 'arguments?': { fields: {} } },
  setBreakpoints: {
    source: SOURCE,
    'breakpoints?': list({ fields: { line: 'integer', 'column?': 'integer', ...CLAUSES } }),
    'lines?': list('integer'),
    'sourceModified?': 'boolean',
  },
  setFunctionBreakpoints: { breakpoints: list({ fields: { name: 'string', ...CLAUSES } }) },
  setInstructionBreakpoints: {
    breakpoints: list({ fields: { instructionReference: 'string', 'offset?': 'integer', ...CLAUSES } }),
  },
  setExceptionBreakpoints: {
    filters: list('string', MOST_FILTERS),
    'filterOptions?': list({ fields: { filterId: 'string', 'condition?': 'string' } }, MOST_FILTERS),
  },
  breakpointLocations: {
    source: SOURCE,
    line: 'integer',
    'column?': 'integer',
    'endLine?': 'integer',
    'endColumn?': 'integer',
  },
  continue: THREAD,
  next: THREAD,
  stepIn: { ...THREAD, 'targetId?': 'integer' },
  stepInTargets: { frameId: 'integer' },
  stepOut: THREAD,
  pause: THREAD,
  gotoTargets: { source: SOURCE, line: 'integer', 'column?': 'integer' },
  goto: { 'threadId?': 'integer', targetId: 'integer' },
  stackTrace: { 'threadId?': 'integer', 'startFrame?': 'integer', 'levels?': 'integer' },
  scopes: { frameId: 'integer' },
  source: { 'source?': SOURCE, sourceReference: 'integer' },
  exceptionInfo: { 'threadId?': 'integer' },
  variables: {
    variablesReference: 'integer',
    'filter?': 'string',
    'start?': 'integer',
    'count?': 'integer',
    'format?': FORMAT,
  },
  setVariable: { variablesReference: 'integer', name: 'string', value: 'string', 'format?': FORMAT },
  evaluate: { expression: 'string', 'frameId?': 'integer', 'context?': 'string', 'format?': FORMAT },
  setExpression: { expression: 'string', value: 'string', 'frameId?': 'integer', 'format?': FORMAT },
  completions: { text: 'string', column: 'integer', 'line?': 'integer', 'frameId?': 'integer' },
  readMemory: { memoryReference: 'string', 'offset?': 'integer', count: 'integer' },
  writeMemory: { memoryReference: 'string', 'offset?': 'integer', data: 'string', 'allowPartial?': 'boolean' },
  disassemble: {
    memoryReference: 'string',
    'offset?': 'integer',
    'instructionOffset?': 'integer',
    instructionCount: 'integer',
    'resolveSymbols?': 'boolean',
  },
  disconnect: { 'restart?': 'boolean', 'terminateDebuggee?': 'boolean' },
  terminate: { 'restart?': 'boolean' },
  'pagewalk/translate': {
    expression: 'string',
    space: 'string',
    'access?': 'string',
    'user?': 'boolean',
    'frameId?': 'integer',
  },
  'pagewalk/hover': {
    lineText: 'string',
    column: 'integer',
    'path?': 'string',
    'line?': 'integer',
    'frameId?': 'integer',
  },
  'pagewalk/edited': { path: 'string', text: 'string' },
  'pagewalk/lines': { path: 'string', from: 'integer', to: 'integer' },
  'pagewalk/checkBreakpoint': { name: 'string', 'condition?': 'string' },
  'pagewalk/tree': { tree: 'string', 'node?': 'string', start: 'integer', count: 'integer' },
  'pagewalk/pagemap': { format: 'string' },
  'pagewalk/compare': { 'methods?': 'string', 'start?': 'boolean' },
  'pagewalk/exits/tile': { level: 'integer', index: 'integer' },
  'pagewalk/exits/list': { start: 'integer', count: 'integer', 'reason?': 'string', 'address?': 'string' },
  'pagewalk/exits/exit': { 'number?': 'integer', 'cycle?': 'number' },
  'pagewalk/exits/replay': { number: 'integer' },
  'pagewalk/exits/places': { start: 'integer', count: 'integer', 'reason?': 'string' },
  'pagewalk/exits/lines': { path: 'string' },
  'pagewalk/exits/export': { format: 'string', first: 'number', last: 'number' },
  'pagewalk/tables/sets': { 'moment?': 'number' },
  'pagewalk/tables/rows': { path: list('string'), start: 'integer', count: 'integer', 'filter?': { fields: {} } },
  'pagewalk/tables/find': { expression: 'string', 'frameId?': 'integer' },
  'pagewalk/tables/strips': { path: list('string') },
  'pagewalk/setControlField': { path: 'string', value: 'string' },
};

/** @throws RequestError which names the first field that violates the protocol. */
export function checkArguments(command: string, args: unknown): void {
  if (args !== undefined && args !== null && !isObject(args)) refuse(command, 'the arguments', 'an object', args);
  const fields = Object.hasOwn(ARGUMENTS, command) ? ARGUMENTS[command] : undefined;
  if (fields) checkFields(command, '', fields, isObject(args) ? args : {});
}

function checkFields(command: string, path: string, fields: Fields, value: Readonly<Record<string, unknown>>): void {
  for (const [written, shape] of Object.entries(fields)) {
    const optional = written.endsWith('?');
    const name = optional ? written.slice(0, -1) : written;
    const field = Object.hasOwn(value, name) ? value[name] : undefined;
    if (optional && (field === undefined || field === null)) continue;
    check(command, path === '' ? name : `${path}.${name}`, shape, field);
  }
}

function check(command: string, path: string, shape: Shape, value: unknown): void {
  if (typeof shape === 'string') {
    const fits = shape === 'integer' ? Number.isSafeInteger(value) : typeof value === shape && !Number.isNaN(value);
    if (!fits) refuse(command, `\`${path}\``, WORDS[shape], value);
  } else if ('list' in shape) {
    if (!Array.isArray(value)) refuse(command, `\`${path}\``, 'an array', value);
    const items: readonly unknown[] = value;
    if (items.length > shape.most)
      throw requestError(
        'tooMuch',
        `${command}: \`${path}\` has ${items.length} entries; the maximum is ${shape.most}`,
      );
    for (const [i, each] of items.entries()) check(command, `${path}[${i}]`, shape.list, each);
  } else {
    if (!isObject(value)) refuse(command, `\`${path}\``, 'an object', value);
    checkFields(command, path, shape.fields, value);
  }
}

const WORDS = { string: 'a string', number: 'a number', integer: 'a whole number', boolean: 'true or false' } as const;

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

function refuse(command: string, what: string, expected: string, value: unknown): never {
  const found =
    value === undefined
      ? 'it is missing'
      : value === null
        ? 'found null'
        : `found ${Array.isArray(value) ? 'an array' : typeof value === 'object' ? 'an object' : JSON.stringify(value).slice(0, 40)}`;
  throw requestError('badArgument', `${command}: ${what} must be ${expected}; ${found}`);
}
