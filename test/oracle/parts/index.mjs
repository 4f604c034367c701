/** All that is compared, in the order of the report. @module */
import { ANSWER_PARTS } from './answers.mjs'
import { carry } from './carry.mjs'
import { conformance } from './conformance.mjs'
import { vmm } from './vmm.mjs'

export const PARTS = { ...ANSWER_PARTS, carry, vmm, conformance }
