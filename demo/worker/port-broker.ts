/**
 * What runs in the SharedWorker of all tabs: gives two tabs that name the same meeting a MessagePort each.
 *
 * @module
 */

const scope = globalThis as unknown as EventTarget
const waiting = new Map<string, MessagePort>()

scope.addEventListener('connect', (event) => {
  const [tab] = (event as MessageEvent).ports
  if (tab === undefined) return
  tab.addEventListener('message', ({ data: meeting }: MessageEvent<unknown>) => {
    if (typeof meeting !== 'string') return
    const other = waiting.get(meeting)
    waiting.delete(meeting)
    if (other === undefined) {
      waiting.set(meeting, tab)
      return
    }
    const { port1, port2 } = new MessageChannel()
    other.postMessage(meeting, [port1])
    tab.postMessage(meeting, [port2])
  })
  tab.start()
})
