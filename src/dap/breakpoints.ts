/** The breakpoint requests: source lines, labels and exits, addresses, exception filters. */
import type { DebugProtocol as Dap } from '@vscode/debugprotocol';
import type { DebugTarget } from '../session/api';
import type { BreakClauses, BreakpointView, ExceptionFilter, FilterName } from '../session/types';
import { EXCEPTION_FILTERS } from '../session/types';
import type { ClientView } from './client';
import type { AdapterContext } from './context';
import { CHANGED_LINE } from './edited';
import { requestError } from './errors';
import { textOf } from './launch';
import { linearAddress } from './memory';
import type { Handlers } from './requests';

/** The clauses that were filled in; VS Code sends empty strings for cleared ones. */
function clauses(from: { condition?: string; hitCondition?: string; logMessage?: string }): BreakClauses {
  return {
    ...(from.condition?.trim() ? { condition: from.condition } : {}),
    ...(from.hitCondition?.trim() ? { hitCondition: from.hitCondition } : {}),
    ...(from.logMessage ? { logMessage: from.logMessage } : {}),
  };
}

const isFilter = (name: string): name is FilterName => EXCEPTION_FILTERS.some(({ filter }) => filter === name);

function filterOf(name: string, condition?: string): ExceptionFilter {
  if (!isFilter(name)) {
    const names = EXCEPTION_FILTERS.map(({ filter }) => filter).join(', ');
    throw requestError('badArgument', `there is no exception filter ${name}; there are ${names}`);
  }
  return { filter: name, ...(condition?.trim() ? { condition } : {}) };
}

/** The file of a source; the hypervisor's generated documents are not locations in the guest. */
export function fileOf(adapter: AdapterContext, source: Dap.Source): string {
  if (source.sourceReference || source.path === undefined) {
    const instead = 'to stop at VM exits, add a function breakpoint exit:NAME';
    throw requestError('badArgument', `lines of the hypervisor's steps are not places in the guest; ${instead}`);
  }
  const { host, client, launched } = adapter;
  const file = host.absolute(client.ourPath(source.path));
  return launched?.sameFiles(file) ?? file;
}

/** For a client that reports a saved file only in this way. */
function readAgain({ host, client }: AdapterContext, file: string): void {
  const read = host.readFile(file);
  if (read.ok) client.edited.edit(file, textOf(read.bytes));
}

/** Breakpoints at lines as the client has them; a line that was edited is not in the running image. */
function setAtLines(
  target: DebugTarget,
  client: ClientView,
  file: string,
  list: readonly (BreakClauses & { readonly written: number })[],
): readonly BreakpointView[] {
  const lines = list.map(({ written, ...rest }) => ({ line: client.ourLineIn(file, written), ...rest }));
  const placed = target.breakpoints.setSource(
    file,
    lines.flatMap(({ line, ...rest }) => (line === undefined ? [] : [{ line, ...rest }])),
  );
  let next = 0;
  return lines.map(({ line }) => (line === undefined ? undefined : placed[next++]) ?? NO_PLACE);
}
const NO_PLACE: BreakpointView = { id: 0, verified: false, message: CHANGED_LINE };

export const breakpointRequests: Handlers<
  | 'setBreakpoints'
  | 'setFunctionBreakpoints'
  | 'setInstructionBreakpoints'
  | 'setExceptionBreakpoints'
  | 'breakpointLocations'
  | 'pagewalk/checkBreakpoint'
> = {
  setBreakpoints(adapter, args) {
    const { target, client } = adapter;
    const file = fileOf(adapter, args.source);
    if (args.sourceModified === true) readAgain(adapter, file);
    const list = (args.breakpoints ?? []).map((b) => ({ written: b.line, ...clauses(b) }));
    return {
      breakpoints: adapter.breakpoints.replace(
        `source ${file}`,
        list.length,
        (t) => setAtLines(t, client, file, list),
        target,
        client,
      ),
    };
  },

  setFunctionBreakpoints(adapter, args) {
    const { target, client } = adapter;
    const list = args.breakpoints.map((b) => ({ name: b.name, ...clauses(b) }));
    return {
      breakpoints: adapter.breakpoints.replace(
        'functions',
        list.length,
        (t) => t.breakpoints.setFunctions(list),
        target,
        client,
      ),
    };
  },

  setInstructionBreakpoints(adapter, args) {
    const { target, client } = adapter;
    const list = args.breakpoints.map((b) => ({
      address: linearAddress(b.instructionReference, b.offset ?? 0),
      ...clauses(b),
    }));
    return {
      breakpoints: adapter.breakpoints.replace(
        'instructions',
        list.length,
        (t) => t.breakpoints.setInstruction(list),
        target,
        client,
      ),
    };
  },

  setExceptionBreakpoints(adapter, args) {
    const { target, client } = adapter;
    const plain = args.filters.map((name) => filterOf(name));
    const list = [...plain, ...(args.filterOptions ?? []).map((each) => filterOf(each.filterId, each.condition))];
    return {
      breakpoints: adapter.breakpoints.replace(
        'exceptions',
        list.length,
        (t) => t.breakpoints.setFilters(list),
        target,
        client,
      ),
    };
  },

  'pagewalk/checkBreakpoint'({ target }, { name, ...rest }) {
    return { problem: target.breakpoints.checkFunction({ name, ...clauses(rest) })?.message ?? null };
  },

  breakpointLocations(adapter, args) {
    const { client } = adapter;
    const file = fileOf(adapter, args.source);
    const [from, to] = [client.ourLine(args.line), client.ourLine(args.endLine ?? args.line)];
    const { edited } = client;
    // an edit may have moved them from anywhere
    const [first, last] = edited.isEdited(file) ? [1, Number.MAX_SAFE_INTEGER] : [from, to];
    const places = adapter.target.symbols.codeLines(file, first, last).map((line) => edited.toCurrent(file, line));
    const lines = places.filter(({ line, exact }) => exact && line >= from && line <= to).map(({ line }) => line);
    return { breakpoints: lines.sort((a, b) => a - b).map((line) => ({ line: client.line(line) })) };
  },
};
