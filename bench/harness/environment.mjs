/**
 * Where a run took place: without it a figure means nothing.
 *
 * @module
 */
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { availableParallelism, cpus, totalmem } from 'node:os'

/** Machine, runtime and commit of this run. */
export function environment() {
  return {
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    // Hypervisors often leave the model's number out of its name.
    cpuModel: cpuField('model'),
    cores: availableParallelism(),
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    platform: `${process.platform} ${process.arch}`,
    node: process.version,
    v8: process.versions.v8,
    commit: git('rev-parse', '--short', 'HEAD'),
    changed:
      git(
        'status',
        '--porcelain',
        '--',
        'src',
        'assembly',
        'bench',
        ':!bench/results',
        ':!bench/README.md',
      ) !== '',
  }
}

function cpuField(name) {
  try {
    return new RegExp(`^${name}\\s*: (.*)$`, 'm').exec(readFileSync('/proc/cpuinfo', 'utf8'))?.[1]
  } catch {
    return undefined
  }
}

function git(...words) {
  try {
    return execFileSync('git', words, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim()
  } catch {
    return 'unknown'
  }
}
