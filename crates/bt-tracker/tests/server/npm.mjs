// The client of the package bittorrent-tracker, on whatever tracker it is given: two peers announce,
// the second is told about the first, and both scrape. Over WebSocket, offers and answers of made-up
// peers travel as those of browsers do. Prints one JSON object.
import { EventEmitter } from 'node:events'
import Client from 'bittorrent-tracker'

const [url, infoHash] = process.argv.slice(-2)
const isWs = url.startsWith('ws')
const found = { updates: [], peers: [], answered: null, scrape: null }

function fail (what) {
  console.log(JSON.stringify({ error: String(what), found }))
  process.exit(1)
}
setTimeout(() => fail('too late'), 15000)

// Stands in for a connection of a browser: trackers never look into what it says.
function madeUp (tracker) {
  tracker._createPeer = ({ initiator } = {}) => {
    const peer = new EventEmitter()
    peer.destroy = () => {}
    peer.signal = said => {
      if (initiator) found.answered = said.sdp
      else setImmediate(() => peer.emit('signal', { type: 'answer', sdp: 're: ' + said.sdp }))
    }
    if (initiator) setImmediate(() => peer.emit('signal', { type: 'offer', sdp: 'é' }))
    return peer
  }
}

function peer (port, announce) {
  const peerId = Buffer.alloc(20, port % 256)
  const client = new Client({ infoHash, peerId, port, announce, wrtc: isWs ? {} : false })
  client.on('error', fail)
  client.on('warning', fail)
  if (isWs) client._trackers.forEach(madeUp)
  return client
}

function next (client, event) {
  return new Promise(resolve => client.once(event, resolve))
}

// One socket serves all clients of one URL; another spelling is another socket.
const first = peer(3900, [url])
const second = peer(3901, [isWs ? url.replace(/announce$/, '') : url])
first.start({ left: 0 })
found.updates.push(await next(first, 'update'))
const told = next(second, 'peer')
second.start({ left: 10 })
found.updates.push(await next(second, 'update'))
const other = await told
found.peers.push(isWs ? other.id : other)
second.scrape()
found.scrape = await next(second, 'scrape')
second.complete({ left: 0 })
found.updates.push(await next(second, 'update'))
first.stop()
await next(first, 'update')
second.stop()
found.updates.push(await next(second, 'update'))
console.log(JSON.stringify(found))
process.exit(0)
