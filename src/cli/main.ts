#!/usr/bin/env node
/**
 * The `stopcopy` command.
 *
 * @module
 */

import { hasLoadedModule } from './device-module.ts'
import { run } from './program.ts'

process.exitCode = await run(process.argv.slice(2))
// What a device module left running, such as a timer, keeps no process.
if (hasLoadedModule()) process.stdout.write('', () => process.exit())
