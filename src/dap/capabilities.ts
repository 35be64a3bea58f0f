import type { DebugProtocol as Dap } from '@vscode/debugprotocol';
import { filtersFor } from '../session/run/exception-filters';

type Method = Parameters<typeof filtersFor>[0];

/**
 * The capabilities that `initialize` reports: only what is built. `mmu`: how the guest's memory will be virtualized,
 * if known before the launch.
 */
export const capabilities = (mmu: Method): Dap.Capabilities => ({
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
  exceptionBreakpointFilters: filtersFor(mmu).map(({ filter, label, description, conditionDescription }) => ({
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
});
