export { Adapter } from './adapter';
export type { AdapterHost, OutputFile } from './host';
export type { TargetFactory } from './launch';
export { serve } from './serve';
