/** sql: see ARCHITECTURE.md, section 1. */
export const ROOM = "unbuilt";
