/**
 * The requests that this adapter answers, each with the types of its arguments and of its reply's body. A group of requests is a
 * table of handlers over this map (one file per group), so that the compiler says when one is missing.
 */
import type { DebugProtocol as Dap } from '@vscode/debugprotocol';
import type { RequestName, Requests } from '../protocol/messages';
import type { AdapterContext } from './context';
import type { LaunchFields } from './launch';

type Entry<Arguments, Reply> = { readonly arguments: Arguments; readonly reply: Reply };
type Standard<Request extends { arguments?: unknown }, Response extends Dap.Response> = Entry<
  NonNullable<Request['arguments']>,
  Response['body']
>;

interface StandardRequests {
  initialize: Standard<Dap.InitializeRequest, Dap.InitializeResponse>;
  launch: Entry<LaunchFields, void>;
  configurationDone: Entry<unknown, void>;
  restart: Entry<{ readonly arguments?: LaunchFields }, void>;
  terminate: Entry<unknown, void>;
  disconnect: Entry<unknown, void>;

  setBreakpoints: Standard<Dap.SetBreakpointsRequest, Dap.SetBreakpointsResponse>;
  setFunctionBreakpoints: Standard<Dap.SetFunctionBreakpointsRequest, Dap.SetFunctionBreakpointsResponse>;
  setInstructionBreakpoints: Standard<Dap.SetInstructionBreakpointsRequest, Dap.SetInstructionBreakpointsResponse>;
  setExceptionBreakpoints: Standard<Dap.SetExceptionBreakpointsRequest, Dap.SetExceptionBreakpointsResponse>;
  breakpointLocations: Standard<Dap.BreakpointLocationsRequest, Dap.BreakpointLocationsResponse>;

  continue: Standard<Dap.ContinueRequest, Dap.ContinueResponse>;
  next: Standard<Dap.NextRequest, Dap.NextResponse>;
  stepIn: Standard<Dap.StepInRequest, Dap.StepInResponse>;
  stepInTargets: Standard<Dap.StepInTargetsRequest, Dap.StepInTargetsResponse>;
  stepOut: Standard<Dap.StepOutRequest, Dap.StepOutResponse>;
  pause: Standard<Dap.PauseRequest, Dap.PauseResponse>;
  gotoTargets: Standard<Dap.GotoTargetsRequest, Dap.GotoTargetsResponse>;
  goto: Standard<Dap.GotoRequest, Dap.GotoResponse>;

  threads: Entry<unknown, Dap.ThreadsResponse['body']>;
  stackTrace: Standard<Dap.StackTraceRequest, Dap.StackTraceResponse>;
  scopes: Standard<Dap.ScopesRequest, Dap.ScopesResponse>;
  source: Standard<Dap.SourceRequest, Dap.SourceResponse>;
  loadedSources: Entry<unknown, Dap.LoadedSourcesResponse['body']>;
  exceptionInfo: Standard<Dap.ExceptionInfoRequest, Dap.ExceptionInfoResponse>;

  variables: Standard<Dap.VariablesRequest, Dap.VariablesResponse>;
  setVariable: Standard<Dap.SetVariableRequest, Dap.SetVariableResponse>;

  evaluate: Standard<Dap.EvaluateRequest, Dap.EvaluateResponse>;
  setExpression: Standard<Dap.SetExpressionRequest, Dap.SetExpressionResponse>;
  completions: Standard<Dap.CompletionsRequest, Dap.CompletionsResponse>;

  readMemory: Standard<Dap.ReadMemoryRequest, Dap.ReadMemoryResponse>;
  writeMemory: Standard<Dap.WriteMemoryRequest, Dap.WriteMemoryResponse>;
  disassemble: Standard<Dap.DisassembleRequest, Dap.DisassembleResponse>;
}

type CustomRequests = { [N in RequestName]: Entry<Requests[N]['arguments'], Requests[N]['reply']> };

export type AllRequests = StandardRequests & CustomRequests;
export type Command = keyof AllRequests;

/** Answers one request. Throws a RequestError for bad input; anything else that is thrown is a bug of ours. */
export type Handler<C extends Command> = (
  adapter: AdapterContext,
  args: AllRequests[C]['arguments'],
) => AllRequests[C]['reply'] | Promise<AllRequests[C]['reply']>;
export type Handlers<C extends Command> = { readonly [K in C]: Handler<K> };
