export function isReady(): boolean;
export function setUp(progress?: (step: string) => void): void;
