/**
 * What runs in the Worker of one machine: the device, the engine that scans it, and its screen.
 *
 * @module
 */

import { VfioError } from 'stopcopy'
import { MachineSlot } from './machine-slot.ts'
import type { Failure, FromPage, FromWorker, Request, Results } from './messages.ts'

const scope = globalThis as unknown as Pick<Worker, 'postMessage' | 'addEventListener'>
const slot = new MachineSlot((notice) => send({ notice }))

scope.addEventListener('message', ({ data }: MessageEvent<FromPage>) => {
  const { id, request } = data
  answer(request).then(
    (result) => send({ id, result }),
    (error: unknown) => send({ id, failure: failureOf(error) }),
  )
})

function send(message: FromWorker): void {
  scope.postMessage(message)
}

async function answer(request: Request): Promise<Results[keyof Results]> {
  switch (request.ask) {
    case 'screen':
      return void slot.screen.attach(request.canvas)
    case 'power-on':
      return void (await slot.powerOn(request.kind))
    case 'power-off':
      return void (await slot.powerOff())
    case 'input':
      return void slot.input(request.input)
    case 'send':
      return slot.send(request.link, request.options)
    case 'receive':
      return slot.receive(request.link, request.kind)
    case 'save':
      return slot.save(request.name)
    case 'load':
      return slot.load(request.file, request.kind)
    case 'cancel':
      return void slot.cancel()
  }
}

function failureOf(error: unknown): Failure {
  const message = error instanceof Error ? error.message : String(error)
  return { code: VfioError.is(error) ? error.code : 'UNKNOWN', message }
}
