/** The breakpoint requests: source lines, labels and exits, addresses, exception filters. */
import type { DebugProtocol as Dap } from '@vscode/debugprotocol';
import type { BreakClauses, ExceptionFilter, FilterName } from '../session/types';
import { EXCEPTION_FILTERS } from '../session/types';
import type { AdapterContext } from './context';
import { requestError } from './errors';
import { linearAddress } from './memory';
import type { Handlers } from './requests';

/** The clauses that were filled in; VS Code sends empty texts for those that were emptied. */
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

/** The file of a source; the hypervisor's generated documents are no places in the guest. */
export function fileOf(adapter: AdapterContext, source: Dap.Source): string {
  if (source.sourceReference || source.path === undefined) {
    const instead = 'to stop at VM exits, add a function breakpoint exit:NAME';
    throw requestError('badArgument', `lines of the hypervisor's steps are no places in the guest; ${instead}`);
  }
  return adapter.host.absolute(adapter.client.ourPath(source.path));
}

export const breakpointRequests: Handlers<
  | 'setBreakpoints'
  | 'setFunctionBreakpoints'
  | 'setInstructionBreakpoints'
  | 'setExceptionBreakpoints'
  | 'breakpointLocations'
> = {
  setBreakpoints(adapter, args) {
    const { target, client } = adapter;
    const file = fileOf(adapter, args.source);
    const list = (args.breakpoints ?? []).map((b) => ({ line: client.ourLine(b.line), ...clauses(b) }));
    return {
      breakpoints: adapter.breakpoints.replace(
        `source ${file}`,
        list.length,
        (t) => t.setSourceBreakpoints(file, list),
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
        (t) => t.setFunctionBreakpoints(list),
        target,
        client,
      ),
    };
  },

  setInstructionBreakpoints(adapter, args) {
    const { target, client } = adapter;
    const list = args.breakpoints.map((b) => ({
      address: linearAddress(adapter.target, b.instructionReference, b.offset ?? 0),
      ...clauses(b),
    }));
    return {
      breakpoints: adapter.breakpoints.replace(
        'instructions',
        list.length,
        (t) => t.setInstructionBreakpoints(list),
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
        (t) => t.setExceptionFilters(list),
        target,
        client,
      ),
    };
  },

  breakpointLocations(adapter, args) {
    const { client } = adapter;
    const from = client.ourLine(args.line);
    const to = args.endLine === undefined ? from : client.ourLine(args.endLine);
    const lines = adapter.target.breakpointLines(fileOf(adapter, args.source), from, to);
    return { breakpoints: lines.map(({ line }) => ({ line: client.line(line) })) };
  },
};
