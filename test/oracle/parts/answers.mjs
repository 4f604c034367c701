/**
 * The parts that a kernel answers alone. Their answers can be recorded, and compared where there is no kernel.
 *
 * @module
 */
import { damaged } from './damaged.mjs'
import { features } from './features.mjs'
import { logging } from './logging.mjs'
import { matrix } from './matrix.mjs'
import { registers } from './registers.mjs'
import { sessions } from './sessions.mjs'

export const ANSWER_PARTS = { matrix, features, logging, sessions, registers, damaged }
