/** State components of XCR0 (SDM vol. 1, 13.1), and the area that XSAVE writes for the two that every CPU model here has. */
export const XSTATE = { X87: 1n, SSE: 2n } as const;
/** What XCR0 may hold. */
export const XCR0_MASK = XSTATE.X87 | XSTATE.SSE;
/** The region that XSAVE shares with FXSAVE, in bytes, and after it the header; there are no further components. */
export const FXSAVE_SIZE = 512;
const XSAVE_HEADER_SIZE = 64;
export const XSAVE_SIZE = FXSAVE_SIZE + XSAVE_HEADER_SIZE;
