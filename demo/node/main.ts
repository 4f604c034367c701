/**
 * What `npm run demo:web` starts once the page is built: its web server, and the Node process of its demo.
 *
 * @module
 */

import { fileURLToPath } from 'node:url'
import { openHotel } from './machine-hotel.ts'
import { serveFolder } from './serve-folder.ts'

const PAGE_PORT = 4280
const HOTEL_PORT = 4281

const page = await serveFolder(fileURLToPath(new URL('../web', import.meta.url)), PAGE_PORT)
const { origin } = new URL(page.url)
const hotel = await openHotel({
  port: HOTEL_PORT,
  origins: [origin, origin.replace('127.0.0.1', 'localhost')],
  say: (line) => console.log(`node: ${line}`),
})
console.log(`The page:     ${page.url}`)
console.log(`This process: ${hotel.takeUrl} takes a machine, ${hotel.giveUrl} gives it back`)
console.log(
  'Ctrl-C ends both. Any other process takes machines as well; the page has its address at "Node at":',
)
console.log(
  `  npx stopcopy receive ./demo/dist/node/machine.js -l ws:127.0.0.1:4291/take --allow-origin ${origin} --keep`,
)
process.once('SIGINT', () => void Promise.all([page.close(), hotel.close()]).then(() => process.exit(130)))
