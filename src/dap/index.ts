export { Adapter } from './adapter';
export type { AdapterHost, TargetFactory } from './host';
export type { Listen } from './serve';
export { serve } from './serve';
