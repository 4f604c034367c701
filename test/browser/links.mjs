/** How an end of a migration gets its connection in a page or a Worker, by kind: `stopcopy/web` over the real thing. */

import {
  acceptBroadcast,
  connectBroadcast,
  messagePortDuplex,
  rtcDataChannelDuplex,
  webSocketDuplex,
} from '../../dist/web/index.js'

/** Each resolves to a duplex and what severs it from this side, where there is such a thing. */
export const links = {
  'broadcast-accept': async ({ name }) => ({ duplex: await acceptBroadcast(name) }),
  'broadcast-connect': async ({ name }) => ({
    duplex: await connectBroadcast(name, { connectTimeoutMs: 60_000 }),
  }),
  port: async ({ port }) => ({ duplex: messagePortDuplex(port) }),
  'web-socket': async ({ url }) => ({ duplex: webSocketDuplex(url, { connectTimeoutMs: 60_000 }) }),
  'rtc-answer': answer,
  'rtc-offer': offer,
}

/** Waits for an offer on the BroadcastChannel of that name: the signalling of two pages of one origin. */
async function answer({ name }) {
  const signals = signalling(name)
  const connection = new RTCPeerConnection()
  const channel = new Promise((resolve) => {
    connection.addEventListener('datachannel', (event) => resolve(opened(connection, event.channel)))
  })
  await connection.setRemoteDescription(await signals.next('offer'))
  signals.say('answer', await described(connection, await connection.createAnswer()))
  return channel
}

async function offer({ name }) {
  const signals = signalling(name)
  const connection = new RTCPeerConnection()
  const end = opened(connection, connection.createDataChannel('device'))
  const answered = signals.next('answer')
  signals.say('offer', await described(connection, await connection.createOffer()))
  await connection.setRemoteDescription(await answered)
  return end
}

function opened(connection, channel) {
  return {
    duplex: rtcDataChannelDuplex(channel, { connectTimeoutMs: 60_000 }),
    sever: () => connection.close(),
  }
}

/** The description with all candidates in it, so that there is one message each way. */
async function described(connection, description) {
  const gathered = new Promise((resolve) => {
    connection.addEventListener('icecandidate', ({ candidate }) => candidate === null && resolve())
  })
  await connection.setLocalDescription(description)
  await gathered
  const { type, sdp } = connection.localDescription
  return { type, sdp }
}

/** An offer is said again until it is answered: the other page may not listen yet. */
function signalling(name) {
  const channel = new BroadcastChannel(name)
  let again
  return {
    say(kind, description) {
      // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a channel, no window
      const send = () => channel.postMessage({ kind, description })
      send()
      if (kind === 'offer') again = setInterval(send, 100)
      else channel.close()
    },
    next: (kind) =>
      new Promise((resolve) => {
        channel.addEventListener('message', ({ data }) => {
          if (data.kind !== kind) return
          clearInterval(again)
          if (kind === 'answer') channel.close()
          resolve(data.description)
        })
      }),
  }
}
