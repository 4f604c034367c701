#!/usr/bin/env node
/**
 * The `stopcopy` command.
 *
 * @module
 */

import { run } from './program.ts'

process.exitCode = await run(process.argv.slice(2))
