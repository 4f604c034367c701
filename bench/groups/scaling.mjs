/**
 * Peak memory and time by device size, each size in a process of its own.
 *
 * @module
 */
import { fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { formatBytes, GIB, MIB } from '../data/touched.mjs'
import { digits } from '../harness/report.mjs'

const SIZES = [MIB, 4 * MIB, 16 * MIB, 64 * MIB, 256 * MIB, GIB, 2 * GIB]
const QUICK_SIZES = [MIB, 16 * MIB, 64 * MIB]
const NAME = 'memory and scaling'
const HEADER = ['device memory', 'save', 'peak RSS beyond it', 'save and restore', 'peak RSS beyond both']

export const rounds = { full: 1, quick: 1 }
export const names = [NAME]

export async function open({ quick }) {
  const sizes = quick ? QUICK_SIZES : SIZES
  return {
    title: 'Memory and scaling',
    notes: [
      'A process for each size and column. Timed from setState(STOP_COPY) to the end of the stream, or until a second device in the same process has verified it; the median of three after one to warm up. Peak RSS is that of the process, less the memory of its devices and less what it had before they were opened.',
    ],
    cases: [
      {
        name: NAME,
        async measure(step) {
          const rows = []
          for (const [index, size] of sizes.entries()) {
            step(index / sizes.length)
            const [saved, both] = [await measure('save', size), await measure('both', size)]
            rows.push([formatBytes(size), speed(size, saved), beyond(saved), speed(size, both), beyond(both)])
          }
          return { values: [], table: { header: HEADER, rows } }
        },
      },
    ],
    targets: [],
  }
}

function speed(size, { seconds }) {
  return `${digits(seconds * 1000)} ms, ${digits(size / seconds / 1e9)} GB/s`
}

function beyond({ peakBytes, deviceBytes }) {
  return `${((peakBytes - deviceBytes) / MIB).toFixed(1)} MiB`
}

/** @param {'save' | 'both'} what */
function measure(what, size) {
  const child = fork(fileURLToPath(new URL('../scaling-process.mjs', import.meta.url)), [what, String(size)])
  return new Promise((resolve, reject) => {
    let result
    child.on('message', (message) => (result = message))
    child.on('error', reject)
    child.on('exit', (code, signal) =>
      code === 0 && result !== undefined
        ? resolve(result)
        : reject(
            new Error(`Cannot measure ${what} of ${size} bytes: the process ended with ${signal ?? code}`),
          ),
    )
  })
}
