export { Adapter } from './adapter';
export type { AdapterHost, OutputFile } from './host';
export type { TargetFactory } from './launch';
export type { Listen } from './serve';
export { serve } from './serve';
