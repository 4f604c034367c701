/**
 * The page: two places for machines, and every way from one place to another.
 *
 * @module
 */

import 'uplot/dist/uPlot.min.css'
import { Actions } from './actions.ts'

void new Actions().begin()
