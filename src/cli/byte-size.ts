/**
 * Sizes and rates as people type and read them.
 *
 * @module
 */

const UNITS: Readonly<Record<string, number>> = {
  b: 1,
  kb: 1e3,
  mb: 1e6,
  gb: 1e9,
  kib: 1024,
  mib: 1024 ** 2,
  gib: 1024 ** 3,
}

/**
 * Bytes of `4096`, `64KiB`, `1.5GiB` or `256MB`; the case of the unit does not matter.
 *
 * @throws RangeError when the text is no size, or no whole number of bytes
 */
export function parseByteSize(text: string): number {
  const refuse = (reason: string): never => {
    throw new RangeError(
      `Cannot read size "${text}": ${reason}, use one such as 4096, 64KiB, 1.5GiB or 256MB`,
    )
  }
  const match = /^(\d{1,16})(?:\.(\d{1,12}))?\s*([a-z]*)$/i.exec(text.trim())
  if (match === null) return refuse('it is no size')
  const [, whole = '', fraction = '', unit = ''] = match
  const scale = UNITS[unit.toLowerCase() || 'b']
  if (scale === undefined) return refuse(`there is no unit "${unit}"`)
  // In integers: 0.1 GB is 100,000,000 bytes, whatever 0.1 is in binary.
  const divisor = 10n ** BigInt(fraction.length)
  const scaled = BigInt(whole + fraction) * BigInt(scale)
  if (scaled % divisor !== 0n) return refuse('it is no whole number of bytes')
  const bytes = Number(scaled / divisor)
  return Number.isSafeInteger(bytes) ? bytes : refuse('it is too large')
}

/**
 * Bytes per second of `1GB/s`, `100MiB/s` or `5000000`; `/s` may be left out.
 *
 * @throws RangeError as {@link parseByteSize}, and for 0
 */
export function parseByteRate(text: string): number {
  const rate = parseByteSize(text.trim().replace(/\s*\/\s*s(?:ec)?$/i, ''))
  if (rate > 0) return rate
  throw new RangeError(`Cannot read rate "${text}": nothing would move, use one such as 1GB/s or 100MiB/s`)
}

/** `64 MiB`, `1.5 GiB`, `4,097 B`: three digits are enough for people, and small sizes are exact. */
export function formatBytes(bytes: number): string {
  if (bytes < 10_000) return `${formatCount(bytes)} B`
  let value = bytes / 1024
  let unit = 'KiB'
  for (const larger of ['MiB', 'GiB']) {
    if (value < 1024) break
    value /= 1024
    unit = larger
  }
  return `${trimmed(value)} ${unit}`
}

/** `1,234,567` */
export function formatCount(count: number): string {
  return count.toLocaleString('en-US')
}

/** `83 ms`, `1.24 s`, `2 min 5 s` */
export function formatDuration(ms: number): string {
  if (ms < 999.5) return `${ms < 9.95 ? ms.toFixed(1) : ms.toFixed(0)} ms`
  if (ms < 59_995) return `${(ms / 1000).toFixed(2)} s`
  const seconds = Math.round(ms / 1000)
  return `${Math.floor(seconds / 60)} min ${seconds % 60} s`
}

/** Million bytes per second, `812 MB/s`; below a millisecond there is no rate to speak of: `-`. */
export function formatRate(bytes: number, ms: number): string {
  if (ms < 1 || bytes === 0) return '-'
  const rate = bytes / ms / 1000
  return `${rate < 100 ? rate.toPrecision(2) : formatCount(Math.round(rate))} MB/s`
}

/** What was moved and how fast: `5,003,255 bytes (4.8 MiB) in 24 ms, 207 MB/s`. */
export function formatTransfer(bytes: number, ms: number): string {
  // Of a small stream the rate says nothing but how long a call takes.
  const rate = bytes < 1_000_000 ? '' : `, ${formatRate(bytes, ms)}`
  const size = bytes < 10_000 ? '' : ` (${formatBytes(bytes)})`
  return `${formatCount(bytes)} bytes${size} in ${formatDuration(ms)}${rate}`
}

function trimmed(value: number): string {
  return (value < 99.95 ? value.toFixed(1) : value.toFixed(0)).replace(/\.0$/, '')
}
