/**
 * The page: two places for machines, and every way from one place to another.
 *
 * @module
 */

import { Actions } from './actions.ts'

void new Actions().begin()
