/**
 * Downtime between two processes over a unix socket, run by run in fresh processes:
 * `node test/processes/downtime.mjs [runs] [limitMs] [MiB] [pagesPerSecond]`.
 */
import { fork } from 'node:child_process'
import { readFileSync, rmSync } from 'node:fs'
import { loadavg, tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { migrate, Receiver, VfioDevice } from '../../dist/index.js'
import { createBulk } from '../../dist/devices/index.js'
import { connect, listen } from '../../dist/node/index.js'

const peakMiB = () => Number(/VmHWM:\s*(\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))[1]) / 1024
const [role, ...words] = process.argv.slice(2)

async function destination(path, mib) {
  const device = await VfioDevice.open(createBulk({ memoryBytes: mib * 2 ** 20 }))
  const receiver = new Receiver(device)
  const listener = await listen(`unix:${path}`, async (connection) => {
    const report = await receiver.accept(connection)
    await listener.close()
    process.send({ report, peakMiB: peakMiB() })
    await device.close()
    process.disconnect()
  })
  process.send('listening')
}

async function source(path, mib, rate, limit) {
  const bulk = createBulk({ memoryBytes: mib * 2 ** 20, seed: 1, workload: { pagesPerSecond: rate } })
  const device = await VfioDevice.open(bulk)
  const events = []
  const report = await migrate(device, await connect(`unix:${path}`), {
    downtimeLimitMs: limit,
    onEvent: (event) => events.push(event),
  })
  const switchover = events.find(({ type }) => type === 'switchover')
  process.send({ report, switchover, peakMiB: peakMiB() })
  await device.close()
  process.disconnect()
}

function child(...args) {
  const started = fork(fileURLToPath(import.meta.url), args.map(String), {
    execArgv: process.env.NODE_ARGS?.split(' ') ?? [],
  })
  started.next = () =>
    new Promise((resolve, reject) => {
      started.once('message', resolve)
      started.once('exit', (code) => reject(new Error(`${args[0]} ended with ${code}`)))
    })
  return started
}

const median = (values) => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)]
const show = (value, digits = 1) => (value ?? Number.NaN).toFixed(digits).padStart(7)

async function main([runs = 20, limit = 300, mib = 512, rate = 20_000]) {
  const rows = []
  console.log(
    `${mib} MiB, ${rate} pages/s, limit ${limit} ms; load ${loadavg()
      .map((v) => v.toFixed(1))
      .join(' ')}`,
  )
  console.log(
    ' down   expect    stop   drain    load  commit | start  ld(dst) wait | KiB left iters  GB/s  precopy peak(s/d)',
  )
  for (let run = 0; run < runs; run++) {
    const path = join(tmpdir(), `downtime-${process.pid}-${run}.sock`)
    const there = child('destination', path, mib)
    await there.next()
    const arrived = there.next()
    const here = child('source', path, mib, rate, limit)
    const [sent, got] = await Promise.all([here.next(), arrived])
    rmSync(path, { force: true })
    const { report, switchover } = sent
    const { phases } = report
    rows.push({ ...report, peaks: [sent.peakMiB, got.peakMiB], reason: report.switchover })
    const { startMs, loadMs, waitMs } = got.report.phases
    console.log(
      [
        report.downtimeMs,
        report.expectedDowntimeMs,
        phases.stopMs,
        phases.drainMs,
        phases.loadMs,
        phases.commitMs,
      ]
        .map((v) => show(v))
        .join(' '),
      '|',
      show(startMs),
      show(loadMs),
      show(waitMs),
      '|',
      show(switchover.remainingBytes / 1024, 0),
      report.iterations.length,
      show(report.bytesPerSecond / 1e9, 2),
      show(phases.precopyMs, 0),
      report.switchover,
      show(sent.peakMiB, 0),
      show(got.peakMiB, 0),
    )
  }
  const downs = rows.map(({ downtimeMs }) => downtimeMs)
  const over = rows.filter(
    ({ downtimeMs, reason }) => reason === 'converged' && downtimeMs > limit * 1.25,
  ).length
  const off = rows.filter(({ downtimeMs: d, expectedDowntimeMs: e }) => {
    const larger = Math.max(d, e)
    return larger > 2 * Math.min(d, e) && larger - Math.min(d, e) > 5
  }).length
  console.log(
    `median ${median(downs).toFixed(1)} ms, ${Math.min(...downs).toFixed(1)} to ${Math.max(...downs).toFixed(1)}; over limit + 25 %: ${over} of ${rows.length}; prediction off: ${off}; ` +
      `converged ${rows.filter(({ reason }) => reason === 'converged').length}; peak MiB ${Math.max(...rows.map((r) => r.peaks[0])).toFixed(0)} / ${Math.max(...rows.map((r) => r.peaks[1])).toFixed(0)}; load ${loadavg()[0].toFixed(1)}`,
  )
}

if (role === 'source' || role === 'destination')
  await (role === 'source' ? source : destination)(words[0], ...words.slice(1).map(Number))
else await main(process.argv.slice(2).map(Number))
