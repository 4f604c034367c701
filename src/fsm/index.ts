/**
 * The migration state machine, as pure functions.
 *
 * @module
 */

export { type Arc, arcs } from './arcs.ts'
export { capabilitySet, hasState } from './capability-set.ts'
export { endsSession, opensSession, sessionOf } from './session-arcs.ts'
export { nextState, transitionPath } from './transition.ts'
