/** What is compared, in the order of the report. @module */
import { carry } from './carry.mjs'
import { damaged } from './damaged.mjs'
import { features } from './features.mjs'
import { logging } from './logging.mjs'
import { matrix } from './matrix.mjs'
import { registers } from './registers.mjs'
import { sessions } from './sessions.mjs'

export const PARTS = { matrix, features, logging, sessions, registers, carry, damaged }
