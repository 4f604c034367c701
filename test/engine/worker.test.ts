import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { EngineWorker, createEngine } from '../../src/engine/index.ts'
import type { ChecksumJob, Engine, EngineJobs, EngineVariant, PostedJob } from '../../src/engine/index.ts'
import { VfioError } from '../../src/errors.ts'
import { createWorker } from '../../src/node/index.ts'
import { createTestWorker } from '../support/engine-worker.ts'
import { deafWorker, holdingWorker } from '../support/worker-thread.ts'
import { noise } from './kernels/fixture.ts'

const SIZES = [0, 1, 16, 17, 240, 241, 4095, 4096, 4097, 65_536, 262_144, 1_048_576]
const KINDS = ['xxh3', 'crc32c'] as const

let worker: EngineWorker
beforeEach(async () => {
  worker = await createTestWorker()
})
afterEach(() => worker.close())

async function codeOf(call: () => Promise<unknown>): Promise<string | undefined> {
  try {
    await call()
  } catch (error) {
    return VfioError.is(error) ? error.code : String(error)
  }
  return undefined
}

/** Posts a job when there is room, which the jobs before it make. */
async function post(jobs: EngineJobs, job: ChecksumJob, before: readonly PostedJob[]): Promise<PostedJob> {
  for (;;) {
    const posted = jobs.post(job)
    if (posted !== undefined) return posted
    const mine = before.find(({ settled }) => !settled)
    // The ring may be full of another engine's.
    await (mine === undefined ? new Promise((resolve) => setImmediate(resolve)) : jobs.settle(mine))
  }
}

/** The checksum as this thread computes it. */
function checksumHere(engine: Engine, kind: 'xxh3' | 'crc32c', src: number, byteLength: number): bigint {
  if (kind === 'crc32c') return BigInt(engine.kernels.crc32c(src, byteLength))
  const out = engine.allocate(8)
  engine.kernels.xxh3(src, byteLength, out)
  engine.free(out)
  return new DataView(engine.bytes.buffer).getBigUint64(out, true)
}

/** Runs jobs of all sizes and kinds and compares every byte they wrote. */
async function agrees(engine: Engine, jobs: EngineJobs): Promise<void> {
  const longest = Math.max(...SIZES)
  const src = engine.allocate(longest + 3)
  engine.bytes.set(noise(longest + 3), src)
  const cases = KINDS.flatMap((kind) =>
    SIZES.flatMap((byteLength) =>
      [0, 1, 3].map((shift) => ({ kind, byteLength, shift, copied: shift === 1 })),
    ),
  )
  const outs = engine.allocate(8 * cases.length)
  const posted: PostedJob[] = []
  const targets: number[] = []
  for (const [index, { kind, byteLength, shift, copied }] of cases.entries()) {
    const copyTo = copied && byteLength > 0 ? engine.allocate(byteLength) : 0
    targets.push(copyTo)
    const job = { kind, src: src + shift, byteLength, copyTo, out: outs + 8 * index, urgent: index % 3 === 0 }
    posted.push(await post(jobs, job, posted))
  }
  const view = new DataView(engine.bytes.buffer)
  for (const [index, { kind, byteLength, shift }] of cases.entries()) {
    await jobs.settle(posted[index] as PostedJob)
    expect((posted[index] as PostedJob).failure).toBeUndefined()
    const expected = checksumHere(engine, kind, src + shift, byteLength)
    expect(view.getBigUint64(outs + 8 * index, true), `${kind} of ${byteLength} at ${shift}`).toBe(expected)
    const copyTo = targets[index] as number
    if (copyTo === 0) continue
    const copy = engine.bytes.subarray(copyTo, copyTo + byteLength)
    expect(Buffer.compare(copy, engine.bytes.subarray(src + shift, src + shift + byteLength))).toBe(0)
  }
}

describe('jobs on a worker', () => {
  test.each(['simd', 'baseline', 'reference'] as const satisfies EngineVariant[])(
    'over shared memory equal the kernels here (%s)',
    async (variant) => {
      const engine = await createEngine({ variant, shared: true, memoryBytes: 24 << 20 })
      const jobs = await worker.attach(engine)
      await agrees(engine, jobs)
      jobs.detach()
    },
  )

  test('over transferred buffers equal the kernels here, also of a shared engine where that is asked', async () => {
    const engine = await createEngine({ memoryBytes: 24 << 20 })
    await agrees(engine, await worker.attach(engine))
    const transferring = await createTestWorker({ jobs: 'transfer' })
    const shared = await createEngine({ memoryBytes: 24 << 20, shared: true })
    const before = shared.allocatedBytes
    const jobs = await transferring.attach(shared)
    expect(shared.allocatedBytes).toBe(before)
    await agrees(shared, jobs)
    await transferring.close()
  })

  test('are told of by messages where the host cannot wait for shared memory', async () => {
    const { waitAsync } = Atomics as { waitAsync?: unknown }
    delete (Atomics as { waitAsync?: unknown }).waitAsync
    try {
      const engine = await createEngine({ shared: true, memoryBytes: 24 << 20 })
      await agrees(engine, await worker.attach(engine))
    } finally {
      Object.assign(Atomics, { waitAsync })
    }
  })

  test('serve several engines, shared or not, at once', async () => {
    const engines = await Promise.all(
      [true, true, false].map((shared) => createEngine({ shared, memoryBytes: 24 << 20 })),
    )
    await Promise.all(
      engines.map(async (engine) => {
        const jobs = await worker.attach(engine)
        await agrees(engine, jobs)
        jobs.detach()
      }),
    )
  })

  test('are done by the worker, too: one long job does not hold this thread', async () => {
    const engine = await createEngine({ shared: true, memoryBytes: 70 << 20 })
    const jobs = await worker.attach(engine)
    const src = engine.allocate(64 << 20)
    const out = engine.allocate(8)
    const job = jobs.post({ kind: 'crc32c', src, byteLength: 64 << 20, copyTo: 0, out }) as PostedJob
    // This thread takes only what nobody has begun, so the worker must have begun before it may wait.
    while (!job.settled) await new Promise((resolve) => setTimeout(resolve))
    expect(job.failure).toBeUndefined()
    expect(engine.bytes.subarray(out, out + 8).some((byte) => byte !== 0)).toBe(true)
  })

  test('find no place when 16 are out in a lane, and one again when one was canceled', async () => {
    const engine = await createEngine({ shared: true, memoryBytes: 70 << 20 })
    const jobs = await worker.attach(engine)
    const src = engine.allocate(64 << 20)
    const out = engine.allocate(8)
    const job = { kind: 'crc32c', src, byteLength: 64 << 20, copyTo: 0, out } as const
    const posted = Array.from({ length: 16 }, () => jobs.post(job) as PostedJob)
    expect(posted.every((one) => one !== undefined)).toBe(true)
    expect(jobs.post(job)).toBeUndefined()
    expect(jobs.post({ ...job, byteLength: 1, urgent: true })).toBeDefined()
    for (const one of posted) one.cancel()
    await jobs.settle(posted[0] as PostedJob)
    expect(posted.every(({ settled, failure }) => settled && failure === undefined)).toBe(true)
    expect(jobs.post({ ...job, byteLength: 1 })).toBeDefined()
  })

  test('outside the memory fail with EFAULT and touch nothing', async () => {
    const engine = await createEngine({ shared: true, memoryBytes: 100_000 })
    const jobs = await worker.attach(engine)
    const end = engine.bytes.length
    const at = engine.allocate(8)
    const before = engine.bytes.slice(at)
    for (const job of [
      { src: end - 7, byteLength: 8, copyTo: 0, out: at },
      { src: at, byteLength: 8, copyTo: end - 7, out: at },
      { src: at, byteLength: 2 ** 32 - 1, copyTo: 0, out: at },
    ]) {
      const posted = jobs.post({ kind: 'xxh3', ...job }) as PostedJob
      await jobs.settle(posted)
      expect(posted.failure?.code).toBe('EFAULT')
    }
    expect(Buffer.compare(engine.bytes.subarray(at), before)).toBe(0)
  })
})

describe('a worker', () => {
  test('takes 64 KiB of a shared engine while it is attached, and nothing after', async () => {
    const engine = await createEngine({ shared: true, memoryBytes: 100_000 })
    const jobs = await worker.attach(engine)
    expect(engine.allocatedBytes).toBe(65_536)
    await expect(worker.attach(engine)).rejects.toMatchObject({ code: 'ENOMEM' })
    jobs.detach()
    expect(engine.allocatedBytes).toBe(0)
    for (let n = 0; n < 20; n++) (await worker.attach(engine)).detach()
    expect(engine.allocatedBytes).toBe(0)
  })

  test('that was closed takes no engine (EBADF) and no job; closing it again has no effect', async () => {
    const engine = await createEngine({ shared: true, memoryBytes: 100_000 })
    const jobs = await worker.attach(engine)
    expect(worker.closed).toBe(false)
    await Promise.all([worker.close(), worker.close()])
    await worker.close()
    expect(worker.closed).toBe(true)
    expect(jobs.post({ kind: 'xxh3', src: 0, byteLength: 8, copyTo: 0, out: 0 })).toBeUndefined()
    expect(await codeOf(() => worker.attach(engine))).toBe('EBADF')
    jobs.detach()
    expect(engine.allocatedBytes).toBe(0)
  })

  test.each([true, false])('that dies fails its jobs with EIO (shared engine: %s)', async (shared) => {
    // Neither can be done with its jobs before it ends, however slow this thread is.
    const { dying, end } = shared ? await holdingWorker() : await deafWorker()
    const engine = await createEngine({ shared, memoryBytes: 100_000 })
    const jobs = await dying.attach(engine)
    const src = engine.allocate(4096)
    const out = engine.allocate(8)
    const posted = Array.from(
      { length: 4 },
      () => jobs.post({ kind: 'crc32c', src, byteLength: 4096, copyTo: 0, out }) as PostedJob,
    )
    await end()
    expect(posted.map(({ settled }) => settled)).toEqual(Array(4).fill(true))
    await Promise.all(posted.map((job) => jobs.settle(job)))
    expect(posted.at(-1)?.failure?.code).toBe('EIO')
    expect(dying.closed).toBe(true)
    expect(await codeOf(() => dying.attach(engine))).toBe('EIO')
    await dying.close()
  })

  test('whose script is not ours does not start: EIO', async () => {
    const script = new URL('data:text/javascript,throw new Error("not today")')
    await expect(createWorker({ script })).rejects.toMatchObject({
      code: 'EIO',
      cause: { message: 'not today' },
    })
  })

  test('keeps no program alive, attached or not, and none waits in vain for it', async () => {
    const program = `
      import { createEngine } from './dist/index.js'
      import { createWorker } from './dist/node/index.js'
      const worker = await createWorker()
      const engine = await createEngine({ shared: true, memoryBytes: 1 << 20 })
      const jobs = await worker.attach(engine)
      const src = engine.allocate(500000)
      const job = jobs.post({ kind: 'xxh3', src, byteLength: 500000, copyTo: 0, out: src })
      await jobs.settle(job)
      console.log(job.settled, job.failure)
    `
    const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', program])
    expect(stdout).toBe('true undefined\n')
  })
})
