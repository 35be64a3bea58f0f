import type { DebugProtocol as Dap } from '@vscode/debugprotocol';
import { EXCEPTION_FILTERS } from '../session/types';

/** What `initialize` promises: nothing that is not built. */
export const CAPABILITIES: Dap.Capabilities = {
  supportsConfigurationDoneRequest: true,
  supportsRestartRequest: true,
  supportsTerminateRequest: true,

  supportsFunctionBreakpoints: true,
  supportsConditionalBreakpoints: true,
  supportsHitConditionalBreakpoints: true,
  supportsLogPoints: true,
  supportsInstructionBreakpoints: true,
  supportsBreakpointLocationsRequest: true,
  supportsExceptionOptions: false,
  supportsExceptionFilterOptions: true,
  supportsExceptionInfoRequest: true,
  exceptionBreakpointFilters: EXCEPTION_FILTERS.map(({ filter, label, description, conditionDescription }) => ({
    filter,
    label,
    description,
    conditionDescription,
    supportsCondition: true,
    default: false,
  })),

  supportsSteppingGranularity: true,
  supportsStepInTargetsRequest: true,
  supportsDelayedStackTraceLoading: true,
  supportsGotoTargetsRequest: true,
  supportsLoadedSourcesRequest: true,
  supportsSetVariable: true,
  supportsSetExpression: true,
  supportsEvaluateForHovers: true,
  supportsClipboardContext: true,
  supportsValueFormattingOptions: true,
  supportsCompletionsRequest: true,
  completionTriggerCharacters: ['.', ':', ' ', '['],

  supportsReadMemoryRequest: true,
  supportsWriteMemoryRequest: true,
  supportsDisassembleRequest: true,
};
