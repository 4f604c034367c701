/** A station in a page, which cannot listen: it is the last stop. */

import { webSocketDuplex } from 'stopcopy/web'
import { openStation } from './station.mjs'

async function identify() {
  const { fullVersionList } = await navigator.userAgentData.getHighEntropyValues(['fullVersionList'])
  return { name: 'chromium', version: fullVersionList.find(({ brand }) => brand === 'Chromium')?.version }
}

/** `ws:HOST:PORT` is how stopcopy writes it, `ws://HOST:PORT` how browsers do. */
function connect(url) {
  return webSocketDuplex(url.replace(/^ws:(?:\/\/)?/, 'ws://'))
}

async function open() {
  const wasm = new Uint8Array(await (await fetch('./v86.wasm')).arrayBuffer())
  return openStation({ wasm, identify, connect })
}

globalThis.opening = open()
