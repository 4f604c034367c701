/**
 * The suite in a runtime that is started from the command line: `node command-line.mjs [missing feature]`. Its last
 * line is the outcome as JSON.
 */

import { createWorker as createNodeWorker } from 'stopcopy/node'
import { createWorker as createWebWorker } from 'stopcopy/web'
import { runSuite } from './suite.mjs'

const { process, Deno, Bun } = globalThis
const missing = (Deno?.args ?? process.argv.slice(2))[0] ?? ''
// Deno starts a Web Worker without any permission, and a thread of Node's only with --allow-read.
const outcome = await runSuite(missing, Deno === undefined ? createNodeWorker : createWebWorker)
const version = Deno?.version.deno ?? Bun?.version ?? process.versions.node
console.log(JSON.stringify({ version, ...outcome }))
