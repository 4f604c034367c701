/**
 * What runs in the Worker of one machine: the device, the engine that scans it, and its screen.
 *
 * @module
 */

import { VfioError } from 'stopcopy'
import { answerQuestions } from './undecided.ts'
import { MachineSlot } from './machine-slot.ts'
import type { Failure, FromPage, FromWorker, Request, Results } from './messages.ts'

const scope = globalThis as unknown as Pick<Worker, 'postMessage' | 'addEventListener'>
/** What does not wait for the request before it. */
const URGENT: readonly Request['ask'][] = ['input', 'cancel', 'answer']
/** Settles when the last request but one did: one after the other. */
let last: Promise<unknown> = Promise.resolve()
const slot = new MachineSlot((notice) => send({ notice }))

scope.addEventListener('message', ({ data }: MessageEvent<FromPage>) => {
  const { id, request } = data
  const isUrgent = URGENT.includes(request.ask)
  const answered = isUrgent ? answer(request) : last.then(() => answer(request))
  if (!isUrgent) last = answered.catch(() => {})
  answered.then(
    (result) => send({ id, result }),
    (error: unknown) => send({ id, failure: failureOf(error) }),
  )
})

function send(message: FromWorker): void {
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a Worker, no window
  scope.postMessage(message)
}

async function answer(request: Request): Promise<Results[keyof Results]> {
  switch (request.ask) {
    case 'screen':
      slot.screen.attach(request.canvas)
      return undefined
    case 'equip':
      slot.files = request.files
      return undefined
    case 'power-on':
      await slot.powerOn(request.kind)
      return undefined
    case 'power-off':
      await slot.powerOff()
      return undefined
    case 'input':
      slot.input(request.input)
      return undefined
    case 'send':
      return slot.send(request.link, request.options)
    case 'stream':
      return slot.stream()
    case 'receive':
      return slot.receive(request.link, request.prove)
    case 'settle':
      return slot.settle(request.how)
    case 'answer':
      await answerQuestions(request.link)
      return undefined
    case 'save':
      return slot.save(request.name)
    case 'load':
      return slot.load(request.file)
    default:
      slot.cancel()
      return undefined
  }
}

function failureOf(error: unknown): Failure {
  const message = error instanceof Error ? error.message : String(error)
  return { code: VfioError.is(error) ? error.code : 'UNKNOWN', message }
}
