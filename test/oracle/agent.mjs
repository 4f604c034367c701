/**
 * Talks to `vfio-agent` in the guest: one request, one answer (demo/guest/vfio-agent.c has the protocol).
 *
 * @module
 */
import { bootGuest } from './guest.mjs'
import { fromHex } from './hex.mjs'

const BOOT_MS = 120_000
const ANSWER_MS = 20_000

/** The sum that ends a line: of the bytes before it, modulo 65536. */
function sumOf(text) {
  let sum = 0
  for (const character of text) sum += character.codePointAt(0)
  return (sum & 0xffff).toString(16).padStart(4, '0')
}

/** A line without its sum, split at the spaces; throws when the sum is wrong. */
function checkedWords(line) {
  const at = line.lastIndexOf(' ') + 1
  if (line.slice(at) !== sumOf(line.slice(0, at)))
    throw new Error(`Cannot read an answer of the guest: ${line}`)
  return line.slice(0, at).trimEnd().split(' ')
}

/** Boots the guest and waits for its agent. */
export async function startAgent() {
  const started = performance.now()
  let number = 0
  let waiting
  let last = Promise.resolve()

  const guest = bootGuest({
    onLine: (line) => {
      const { resolve, reject } = waiting ?? {}
      waiting = undefined
      try {
        resolve?.(checkedWords(line))
      } catch (error) {
        reject?.(error)
      }
    },
  })

  function nextAnswer(milliseconds, what) {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        const said = guest.console.trim().split('\n').slice(-12).join('\n')
        reject(
          new Error(
            `Cannot go on: the guest did not answer ${what} in ${milliseconds} ms; it said:\n${said}`,
          ),
        )
      }, milliseconds)
      waiting = {
        resolve: (words) => {
          clearTimeout(timer)
          resolve(words)
        },
        reject,
      }
    })
  }

  /** One request and its answer; the next one waits for it. */
  async function transact(verb, words) {
    const request = `${++number} ${verb} ${words.join(' ')} `.replace('  ', ' ')
    const answer = nextAnswer(ANSWER_MS, request)
    guest.send(`${request}${sumOf(request)}\n`)
    const [echo, result, hex = ''] = await answer
    if (echo !== String(number))
      throw new Error(`Cannot go on: the guest answers ${echo} to request ${request}`)
    return { result: Number(result), bytes: fromHex(hex) }
  }

  try {
    const [greeting] = await nextAnswer(BOOT_MS, 'after its start')
    if (greeting !== 'ready') throw new Error(`Cannot go on: the guest greets with "${greeting}"`)
  } catch (error) {
    await guest.destroy()
    throw error
  }

  return {
    bootMs: performance.now() - started,
    /** How many calls the guest's kernel has answered. */
    get calls() {
      return number
    },
    /**
     * Makes one call in the guest.
     *
     * @param {string} verb
     * @param {...(number | string)} words numbers, and bytes as hex
     * @returns {Promise<{ result: number, bytes: Uint8Array }>} `result`: negative errno when it failed
     */
    call(verb, ...words) {
      const answered = last.then(() => transact(verb, words))
      last = answered.catch(() => {})
      return answered
    },
    stop: () => guest.destroy(),
  }
}
